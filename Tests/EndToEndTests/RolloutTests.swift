import AdminTypes
import Glibc
import Testing

@Suite("Whole rollouts", .timeLimit(.minutes(15)))
struct RolloutTests {
    @Test("a sound candidate goes through its steps to promotion and no request fails")
    func promotion() async throws {
        let scene = try Scene {
            $0.strategy =
                "{warmup: {requests: 5, within: 1m}, steps: [{weight: 20%, hold: 1s}, {weight: 50%, hold: 1s}], "
                + "bake: {for: 1s, control: 10%}}"
        }
        try await scene.start()
        let load = Load(port: scene.service.port)
        let outcome = try await scene.outcome()
        let report = try await load.end()
        #expect(outcome.result == .promoted)
        #expect(report.failed == 0, "\(report.failures)")
        #expect(report.responses["new", default: 0] > 0)
        let after = try scene.status()
        #expect(after.serving == "new" && after.previous == "old" && after.phase == .idle)
        let kinds = try scene.admin.events("web").map(\.kind)
        let expected = ["rollout_started", "warmed_up", "step_started", "step_started", "proving", "bake_started"]
        #expect(kinds.filter { $0 != "check_changed" && $0 != "held" } == expected + ["promoted"])
        #expect(Client(port: scene.service.port).get()?.version == "new")
    }

    @Test("a candidate that responds with 500 is reverted, and the explanation has the numbers")
    func failing() async throws {
        let scene = try Scene()
        scene.new.behave { $0.status = 500 }
        try await scene.start()
        let load = Load(port: scene.service.port)
        let outcome = try await scene.outcome()
        let report = try await load.end()
        #expect(outcome.result == .reverted)
        #expect(outcome.reason.contains("error-rate"), "\(outcome.reason)")
        // Only requests to which the candidate itself responded have failed.
        #expect(report.lost == 0 && report.failed == report.responses["new"], "\(report)")
        let decision = try scene.admin.decision(outcome.decision, of: "web")
        let check = try #require(decision.evaluation?.checks.first { $0.check == "error-rate" })
        #expect(check.verdict == .fail && check.measurements.first?.candidate?.value == 1)
        let status = try scene.status()
        #expect(status.serving == "old" && status.refused?.version == "new" && status.candidateWeight.basisPoints == 0)
        let hits = scene.new.hits
        for _ in 0..<50 { #expect(Client(port: scene.service.port).get()?.version == "old") }
        #expect(scene.new.hits == hits)
    }

    @Test("a slow candidate is reverted for its latency, although none of its requests fails")
    func slow() async throws {
        let scene = try Scene { $0.policies = ["latency"] }
        scene.policy("latency", Policies.latency)
        scene.new.behave { $0.delay = .milliseconds(400) }
        try await scene.start()
        let load = Load(port: scene.service.port, clients: 8)
        let outcome = try await scene.outcome()
        let report = try await load.end()
        #expect(outcome.result == .reverted && outcome.reason.contains("p95-latency"), "\(outcome.reason)")
        #expect(report.failed == 0, "\(report.failures)")
    }

    @Test("a candidate that misses the positives of one group is reverted because of feedback alone")
    func quality() async throws {
        let scene = try Scene { $0.policies = ["quality"] }
        scene.policy("quality", Policies.quality)
        try await scene.start()
        let load = Load(port: scene.service.port)
        let outcome = try await eventually("a verdict") {
            let rows = load.takeResponses().enumerated().map { i, response in
                let group = i % 2 == 0 ? "Female" : "Male"
                let prediction = response.version == "new" && group == "Female" ? 0 : 1
                return "{\"inference_id\":\"\(response.id)\",\"label\":1,\"prediction\":\(prediction),"
                    + "\"groups\":{\"sex\":\"\(group)\"}}"
            }
            if !rows.isEmpty {
                let body = Array("[\(rows.joined(separator: ","))]".utf8)
                _ = try scene.feedback.postFeedback(body, service: "web")
            }
            return try scene.admin.history("web").rollouts.first { $0.result != .running }
        }
        let report = try await load.end()
        #expect(outcome.result == .reverted && outcome.reason.contains("sex=Female"), "\(outcome.reason)")
        #expect(report.failed == 0, "\(report.failures)")
    }

    private func metrics(requests: Int, errors: Int, queue: Int) -> String {
        """
        # TYPE reference_requests_total counter
        reference_requests_total{model="m",code="200"} \(requests)
        reference_requests_total{model="m",code="500"} \(errors)
        # TYPE reference_queue_depth gauge
        reference_queue_depth{model="m"} \(queue)

        """
    }

    private func scraped() throws -> Scene {
        let scene = try Scene { $0.policies = ["scraped"] }
        let more = ", metrics: {preset: reference, interval: 200ms, timeout: 200ms}"
        scene.service.versions = [
            ("old", ServiceFile.entry(scene.old, more: more)), ("new", ServiceFile.entry(scene.new, more: more)),
        ]
        scene.policy("scraped", Policies.scraped)
        scene.write()
        return scene
    }

    @Test("a candidate is reverted for errors that only its own metrics show, else promoted", arguments: [true, false])
    func scrapedErrors(isHarmful: Bool) async throws {
        let scene = try scraped()
        try await scene.start()
        let load = Load(port: scene.service.port)
        var count = 0
        let outcome = try await eventually("a verdict", or: { scene.log }) {
            count += 5
            let good = metrics(requests: count, errors: 0, queue: 1)
            scene.old.behave { $0.metrics = good }
            let other = isHarmful ? metrics(requests: count, errors: count, queue: 1) : good
            scene.new.behave { $0.metrics = other }
            return try scene.admin.history("web").rollouts.first { $0.result != .running }
        }
        _ = try await load.end()
        #expect(outcome.result == (isHarmful ? .reverted : .promoted), "\(outcome.reason)")
        if isHarmful { #expect(outcome.reason.contains("scraped-errors"), "\(outcome.reason)") }
    }

    @Test("a candidate is reverted for a gauge that is beyond its bound in consecutive scrapes")
    func gauge() async throws {
        let scene = try scraped()
        try await scene.start()
        let load = Load(port: scene.service.port)
        var count = 0
        let outcome = try await eventually("a verdict", or: { scene.log }) {
            count += 5
            let good = metrics(requests: count, errors: 0, queue: 1)
            let full = metrics(requests: count, errors: 0, queue: 51)
            scene.old.behave { $0.metrics = good }
            scene.new.behave { $0.metrics = full }
            return try scene.admin.history("web").rollouts.first { $0.result != .running }
        }
        _ = try await load.end()
        #expect(outcome.result == .reverted && outcome.reason.contains("queue"), "\(outcome.reason)")
    }
}
