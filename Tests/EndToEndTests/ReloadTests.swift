import AdminTypes
import Glibc
import Testing

@Suite("Reloads", .timeLimit(.minutes(15)))
struct ReloadTests {
    /// A scene whose first step is longer than any test.
    private func scene(candidate: String? = "new") throws -> Scene {
        try Scene(candidate: candidate) { $0.strategy = "{steps: [{weight: 50%, hold: 10m}]}" }
    }

    @Test("if one file is broken, no change of the others is applied")
    func wholly() async throws {
        let scene = try scene(candidate: nil)
        try await scene.start()
        scene.service.candidate = "new"
        scene.write()
        scene.policy("quick", Policies.quick.replacing("p95, max", with: "p59x, max"))
        let said = try await scene.reload()
        #expect(said.contains("quick.yaml:7:") && said.contains("not reloaded"), "\(said)")
        #expect(try scene.status().rollout == nil)
        let refused = try #require(try scene.admin.agent().refusedReload)
        #expect(refused.reasons.contains { $0.contains("quick.yaml:7:") && !$0.contains("\n") }, "\(refused)")
        scene.policy("quick", Policies.quick)
        #expect(try await scene.reload().contains("web: changed"))
        #expect(try scene.admin.agent().refusedReload == nil)
        try await scene.wait("the candidate starts") { $0.candidateWeight.basisPoints == 5_000 }
        #expect(try await scene.reload().contains("nothing changed"))
    }

    @Test("another candidate in the file starts a new rollout, no candidate ends it, and no request fails")
    func candidates() async throws {
        let scene = try scene()
        let third = try Upstream()
        scene.service.versions.append(("third", ServiceFile.entry(third)))
        scene.write()
        try await scene.start()
        let load = Load(port: scene.service.port)
        try await scene.wait("a share for new") { ($0.candidate?.requests ?? 0) > 5 }
        let first = try #require(try scene.status().rollout?.id)

        scene.service.candidate = "third"
        scene.write()
        _ = try await scene.reload()
        try await scene.wait("a share for third") {
            $0.candidate?.version == "third" && ($0.candidate?.requests ?? 0) > 5
        }
        #expect(try scene.status().rollout?.id != first)
        #expect(try scene.admin.history("web").rollouts.last?.result == .ended)

        scene.service.candidate = nil
        scene.write()
        _ = try await scene.reload()
        let status = try scene.status()
        #expect(status.rollout == nil && status.serving == "old" && status.refused == nil)
        let report = try await load.end()
        #expect(report.failed == 0, "\(report.failures)")
        let hits = (scene.new.hits, third.hits)
        for _ in 0..<20 { #expect(Client(port: scene.service.port).get()?.version == "old") }
        #expect(hits == (scene.new.hits, third.hits))
    }

    @Test("the version that serves cannot be removed from the file")
    func versionsInUse() async throws {
        let scene = try scene(candidate: nil)
        try await scene.start()
        scene.service.versions.remove(at: 0)
        scene.service.baseline = "new"
        scene.write()
        let said = try await scene.reload()
        #expect(said.contains("old serves and cannot be removed"), "\(said)")
        let status = try scene.status()
        #expect(status.serving == "old")
        #expect(Client(port: scene.service.port).get()?.version == "old")
    }

    @Test("reloads, promotions and reverts in a row under load fail no request")
    func nothingFails() async throws {
        let scene = try scene()
        let elsewhere = try Upstream()
        try await scene.start()
        let load = Load(port: scene.service.port, rate: 200, clients: 4)
        for round in 0..<6 {
            let next = round % 2 == 0 ? "new" : "old"
            try await scene.wait("\(next) gets its share") {
                $0.candidate?.version == next && ($0.candidate?.requests ?? 0) > 5
            }
            if round % 3 == 2 {
                try scene.command(.revert, reason: "round \(round)")
                _ = try await scene.reload()
                try scene.command(.retry)
                try await scene.wait("\(next) gets its share again") { ($0.candidate?.requests ?? 0) > 5 }
            }
            try scene.command(.promote, force: true)
            scene.service.candidate = next == "new" ? "old" : "new"
            // The version `old` moves to another server in one round, and has both in the next.
            scene.service.versions[0].entry =
                round % 2 == 0 ? ServiceFile.entry(elsewhere) : ServiceFile.entry(elsewhere, scene.old)
            scene.service.extra = "traffic: {timeouts: {response: \(50 + round)s}}\n"
            scene.write()
            _ = try await scene.reload()
        }
        let report = try await load.end()
        #expect(report.failed == 0 && report.sent > 100, "\(report)")
        #expect(elsewhere.hits > 0)
    }

    @Test("a rollout keeps the policies with which it started, says so, and uses the new ones after a restart")
    func pinned() async throws {
        let scene = try scene()
        try await scene.start()
        try await scene.wait("the rollout runs") { $0.candidateWeight.basisPoints == 5_000 }
        scene.new.behave { $0.delay = .milliseconds(400) }
        scene.policy("quick", Policies.quick.replacing("max: 5s", with: "max: 200ms"))
        let said = try await scene.reload()
        #expect(said.contains("count from the next rollout"), "\(said)")
        #expect(try scene.status().notes.contains { $0.contains("canaryctl restart") })
        let load = Load(port: scene.service.port, clients: 8)
        try await scene.wait("an evaluation passes") {
            $0.evaluation?.checks.count == 2 && $0.evaluation?.checks.allSatisfy { $0.verdict == .pass } == true
        }
        try scene.command(.restart, reason: "the new policy now")
        try await until("the new policy decides", or: { "\(String(describing: try? scene.status().evaluation))" }) {
            try scene.admin.history("web").rollouts.contains { $0.id == "web-2" && $0.result == .reverted }
        }
        let report = try await load.end()
        #expect(report.failed == 0, "\(report.failures)")
    }

    @Test("a key keeps its arm while the weight grows and over a restart")
    func sticky() async throws {
        let scene = try Scene {
            $0.strategy = "{start: manual, steps: [{weight: 30%, hold: 10m}, {weight: 60%, hold: 10m}]}"
            $0.extra =
                "traffic: {sticky: {header: x-user-id}, match: [{header: x-canary, equals: always, to: candidate}]}\n"
        }
        try await scene.start()
        func arms() -> [String] {
            let client = Client(port: scene.service.port)
            return (0..<60).compactMap { client.get(headers: [("X-User-Id", "user-\($0)")])?.version }
        }
        try await scene.wait("the rollout waits for a manual start") { $0.phase == .waiting }
        #expect(arms().allSatisfy { $0 == "old" })
        try scene.command(.start)
        let first = arms()
        #expect(first.count == 60 && Set(first) == ["old", "new"])
        try scene.command(.advance)
        let second = arms()
        for (before, after) in zip(first, second) where before == "new" { #expect(after == "new") }
        #expect(second.count { $0 == "new" } > first.count { $0 == "new" })
        try await scene.end()
        try await scene.start()
        #expect(arms() == second)
        // Requests whose arm a header chooses are relayed and not judged.
        let forced = Client(port: scene.service.port)
        for _ in 0..<20 { #expect(forced.get(headers: [("x-canary", "always")])?.version == "new") }
        #expect(arms() == second)
        try await scene.wait("the judged requests are counted") {
            $0.candidate?.requests == UInt64(first.count { $0 == "new" } + 3 * second.count { $0 == "new" })
        }
    }

    @Test("a reload can add and remove a service without an effect on the others")
    func services() async throws {
        let scene = try scene(candidate: nil)
        try await scene.start()
        let load = Load(port: scene.service.port)
        var other = scene.service
        other.name = "other"
        other.port = Ports.free()
        Files.write(scene.path("services/other.yaml"), other.text)
        #expect(try await scene.reload().contains("other: added"))
        #expect(Client(port: other.port).get()?.status == 200)
        unlink(scene.path("services/other.yaml"))
        #expect(try await scene.reload().contains("other: removed"))
        try await until("its port is closed") { Client(port: other.port).get() == nil }
        let report = try await load.end()
        #expect(report.failed == 0, "\(report.failures)")
    }
}
