import AdminTypes
import Testing

/// Rollouts of a candidate that responds with 4xx, under the shipped policy and in a real agent.
@Suite("Client errors", .timeLimit(.minutes(15)))
struct ClientErrorTests {
    private func scene(_ policy: String = "standard") throws -> Scene {
        let scene = try Scene {
            $0.policies = [policy]
            $0.judge = "sequential"
            $0.strategy =
                "{warmup: {requests: 5, within: 1m}, steps: [{weight: 50%, hold: 1s}], bake: {for: 1s, control: 10%}}"
        }
        // The policy that the repository ships, unchanged.
        let shipped = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        scene.policy("standard", Files.read("/\(shipped)/policies/standard.yaml"))
        // A policy whose bounds are wide enough to be proven within seconds.
        scene.policy(
            "alike",
            """
            policy: alike
            checks:
              - name: error-rate
                errors: {max: 20%}
              - name: client-errors
                clientErrors: {maxIncrease: 200%, floor: 5%}

            """)
        scene.policy(
            "latency",
            """
            policy: latency
            checks:
              - name: p95-latency
                latency: {quantile: p95, max: 5s}

            """)
        return scene
    }

    @Test("a candidate that responds with 404 to one request in three, or to all, is reverted", arguments: [3, 1])
    func reverted(every: Int) async throws {
        let scene = try scene()
        scene.new.behave { ($0.status, $0.every) = (404, every) }
        try await scene.start()
        let load = Load(port: scene.service.port)
        let outcome = try await scene.outcome()
        _ = try await load.end()
        #expect(outcome.result == .reverted)
        #expect(outcome.reason.contains("standard/client-errors: 4xx"), "\(outcome.reason)")
        #expect(outcome.reason.contains("all of them 404"), "\(outcome.reason)")
        let explained = try await scene.ctl("explain", "web")
        #expect(explained.output.contains("standard/client-errors"), "\(explained.output)")
        let replayed = try await scene.ctl("explain", "web", "--replay")
        #expect(replayed.status == 0, "\(replayed.output)\(replayed.errors)")
    }

    @Test("a candidate that responds with 404 as often as the baseline is promoted")
    func promoted() async throws {
        let scene = try scene("alike")
        for server in [scene.old, scene.new] { server.behave { ($0.status, $0.every) = (404, 3) } }
        try await scene.start()
        let load = Load(port: scene.service.port, clients: 8)
        let outcome = try await scene.outcome()
        _ = try await load.end()
        #expect(outcome.result == .promoted, "\(outcome.reason)")
    }

    @Test("without a check of 4xx, a rollout with nothing but 404 is held and says so, and not that traffic is missing")
    func nothingToTime() async throws {
        let scene = try scene("latency")
        scene.new.behave { $0.status = 404 }
        try await scene.start()
        let load = Load(port: scene.service.port)
        try await scene.wait("the rollout is held for the right reason") { $0.rollout?.holdReason == .noMeasurement }
        let status = try scene.status()
        #expect(status.candidate?.frequentStatus == FrequentStatus(status: 404, ratio: 1))
        #expect(!status.waitsFor.contains { $0.contains("traffic") }, "\(status.waitsFor)")
        let text = try await scene.ctl("status", "web")
        #expect(text.output.contains("candidate: all of its responses are 404"), "\(text.output)")
        #expect(text.output.contains("there is no response to time"), "\(text.output)")
        _ = try await load.end()
        let alarm = try scene.admin.events("web").last { $0.kind == "alarm" }
        #expect(alarm?.message.contains("there is no response to time") == true)
    }
}
