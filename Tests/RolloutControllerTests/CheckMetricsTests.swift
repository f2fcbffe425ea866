import PolicyModel
import PrometheusText
import RolloutController
import TestSupport
import Testing

@Suite("Metrics of checks", .timeLimit(.minutes(15)))
struct CheckMetricsTests {
    @Test("a quantile that lies among the errors is +Inf")
    func infinity() throws {
        let latency = Check(
            name: "median", kind: .latency(LatencyCheck(quantile: 0.5, maxIncrease: 0.15)), action: .notify)
        let agent = try Agent.started(.sample(policies: [Policy(name: "standard", checks: [latency])]))
        agent.run(60, candidateErrors: 0.9)
        var writer = ExpositionWriter()
        agent.controller.writeMetrics(into: &writer)
        let lines = String(decoding: writer.bytes, as: UTF8.self).split(separator: "\n")
        let values = lines.filter { $0.hasPrefix("canaryd_check_value{") }
        #expect(values.count == 1 && values.allSatisfy { $0.hasSuffix(" +Inf") }, "\(values)")
        #expect(!lines.contains { $0.contains("e+308") })
    }
}
