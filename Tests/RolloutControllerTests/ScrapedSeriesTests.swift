import Analysis
import PolicyModel
import RolloutController
import RolloutEngine
import TestSupport
import Testing
import Vocabulary

@Suite("Scraped series that checks cannot measure", .timeLimit(.minutes(15)))
struct ScrapedSeriesTests {
    private static let metric = MetricCheck(series: "vllm:num_request_waiting", aggregate: .max, max: 20)

    private func agent(_ action: CheckAction) throws -> Agent {
        var policy = Policy.errors()
        policy.checks.append(Check(name: "queue", kind: .metric(Self.metric), action: action))
        let versions = ["v1", "v2"].map { name in
            var version = Version.sample(name)
            version.metrics = MetricsSource(path: "/metrics")
            return version
        }
        return try Agent.started(.sample([.sample(versions: versions)], policies: [policy]))
    }

    /// A minute in which every page is scraped each five seconds.
    private func minute(_ agent: Agent, _ presence: SeriesPresence) {
        for _ in 0..<12 {
            agent.run(5)
            for target in agent.metrics.targets {
                var sample = ScrapeSample(at: agent.clock.now.monotonic)
                for query in target.series {
                    sample.series[query] = .values(presence == .shown ? ["": 3] : [:])
                    sample.details[query] = SeriesDetails(presence: presence)
                }
                agent.metrics.readings.append(
                    MetricReading(
                        service: target.service, version: target.version, server: target.server, at: sample.at,
                        outcome: .sample(sample)))
            }
        }
    }

    private let text = "did you mean vllm:num_requests_waiting?"

    @Test("a series that does not exist holds for a reason of its own, raises an alarm and is in the status")
    func required() throws {
        let agent = try agent(.revert)
        for _ in 0..<3 { minute(agent, .unknown(nearest: "vllm:num_requests_waiting")) }
        #expect(agent.state().rollout?.holdReason == .unusableSeries)
        let alarms = agent.listener.messages(of: .alarm)
        #expect(alarms.count { $0.hasPrefix("no series vllm:num_request_waiting in 3 scrapes of v2") } == 1)
        #expect(alarms.contains { $0.hasPrefix("no measurement: standard/queue") && $0.contains(text) })
        let view = try #require(agent.controller.view(of: "income"))
        #expect(view.notes.contains { $0.contains("scrapes of v2") && $0.contains(text) })
        #expect(view.waitsFor.contains { $0.contains(text) } && !view.waitsFor.contains { $0.contains("more traffic") })
        minute(agent, .shown)
        #expect(agent.state().rollout?.holdReason != .unusableSeries)
        let shown = try #require(agent.controller.view(of: "income"))
        #expect(shown.notes.allSatisfy { !$0.contains("no series") })
    }

    @Test("a check that notifies holds nothing and raises the same alarm, once")
    func notified() throws {
        let agent = try agent(.notify)
        for _ in 0..<2 { minute(agent, .unknown(nearest: "vllm:num_requests_waiting")) }
        #expect(agent.listener.messages(of: .alarm).count { $0.contains("scrapes of v2; \(text)") } == 1)
        for _ in 0..<3 { minute(agent, .unknown(nearest: "vllm:num_requests_waiting")) }
        #expect(agent.listener.kinds.contains(.promoted))
    }
}
