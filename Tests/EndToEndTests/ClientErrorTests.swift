import AdminTypes
import Testing

/// A candidate that answers, but with 4xx: by the shipped policy, through a real agent.
@Suite("Client errors", .timeLimit(.minutes(15)))
struct ClientErrorTests {
    private func scene(_ policy: String = "standard") throws -> Scene {
        let scene = try Scene {
            $0.policies = [policy]
            $0.judge = "sequential"
            $0.strategy =
                "{warmup: {requests: 5, within: 1m}, steps: [{weight: 50%, hold: 1s}], bake: {for: 1s, control: 10%}}"
        }
        // What the repository ships, as it is.
        let shipped = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        scene.policy("standard", Files.read("/\(shipped)/policies/standard.yaml"))
        // Wide enough to be proven in seconds.
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

    @Test("404 to one request in three reverts, and 404 to all after a few requests", arguments: [3, 1])
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

    @Test("404 to one request in three from both arms alike is promoted")
    func promoted() async throws {
        let scene = try scene("alike")
        for server in [scene.old, scene.new] { server.behave { ($0.status, $0.every) = (404, 3) } }
        try await scene.start()
        let load = Load(port: scene.service.port, clients: 8)
        let outcome = try await scene.outcome()
        _ = try await load.end()
        #expect(outcome.result == .promoted, "\(outcome.reason)")
    }

    @Test("Where no check asks for it, the rollout holds and says what the responses are, not that traffic is missing")
    func nothingToTime() async throws {
        let scene = try scene("latency")
        scene.new.behave { $0.status = 404 }
        try await scene.start()
        let load = Load(port: scene.service.port)
        try await scene.wait("it stands for the right reason") { $0.rollout?.holdReason == .noMeasurement }
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
