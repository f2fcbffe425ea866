import AdminTypes
import Glibc
import Testing

@Suite("Crashes and restarts", .timeLimit(.minutes(15)))
struct CrashTests {
    private struct Seeded: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    /// A scene whose last step is longer than several restarts.
    private func scene() throws -> Scene {
        try Scene {
            $0.strategy =
                "{steps: [{weight: 10%, hold: 1s}, {weight: 30%, hold: 1s}, {weight: 50%, hold: 20s}, "
                + "{weight: 60%, hold: 10m}]}"
        }
    }

    @Test(
        "an agent killed at any moment restores what it acknowledged and gives the candidate no more than before",
        arguments: [UInt64(1), 2])
    func killed(seed: UInt64) async throws {
        var random = Seeded(state: seed)
        let scene = try scene()
        try await scene.start()
        let load = Load(port: scene.service.port, rate: 80)
        for round in 1...5 {
            if try scene.status().rollout == nil {
                try scene.command(.retry, reason: "round \(round)")
            }
            // A rollout that still waits for its start has nothing to recover.
            try await scene.wait("the rollout runs") { $0.rollout?.recovering == false && $0.phase != .waiting }
            let killAt = ContinuousClock.now + .milliseconds(Int.random(in: 0..<1_500, using: &random))
            var seen: [EventRecord] = []
            var reasons: [String] = []
            // Send commands and read events until the kill.
            while ContinuousClock.now < killAt {
                let reason = "round \(round) change \(reasons.count)"
                let isPaused = try scene.status().rollout?.pause != nil
                let result = try scene.command(isPaused ? .resume : .pause, reason: reason)
                #expect(result.durable)
                reasons.append(reason)
                seen = try scene.admin.events("web", limit: 500)
                try await Task.sleep(for: .milliseconds(Int.random(in: 0..<60, using: &random)))
            }
            let before = try scene.status()
            try await scene.kill()
            let hits = scene.new.hits
            try await scene.start()
            let events = try scene.admin.events("web", limit: 500)
            try check(events, hold: seen, reasons: reasons)
            let stop = events.last { $0.kind == "recovering" || $0.message.contains("uncleanly") }
            #expect((stop?.id ?? 0) > (seen.last?.id ?? 0) && stop?.candidateWeight.basisPoints == 0)
            try await follow(scene, from: before, hits: hits)
        }
        _ = try await load.end()
    }

    /// Checks that the journal has the events and commands that were acknowledged.
    private func check(_ events: [EventRecord], hold seen: [EventRecord], reasons: [String]) throws {
        let known = Dictionary(events.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        for event in seen where event.id != nil { #expect(known[event.id] == event) }
        let messages = events.map(\.message).joined(separator: "\n")
        for reason in reasons { #expect(messages.contains(reason), "\(reason) was acknowledged and is gone") }
    }

    /// Follows the rollout from the restart until it has recovered or ended. Until then the candidate must get no
    /// requests, and after that no more than before.
    private func follow(_ scene: Scene, from before: ServiceStatus, hits: Int) async throws {
        let limit = before.rollout.map { _ in before.candidateWeight.basisPoints } ?? 0
        // The hits are read before the status: if that says that the rollout is recovering, they must be the old ones.
        try await until("the rollout moves again or is over") {
            let now = scene.new.hits
            let status = try scene.status()
            guard let rollout = status.rollout else { return true }
            guard rollout.recovering else { return true }
            #expect(status.candidateWeight.basisPoints == 0)
            #expect(now == hits, "\(now - hits) requests reached the candidate while it recovered")
            if rollout.pause != nil { _ = try? scene.command(.resume, reason: "after the restart") }
            return false
        }
        let recovered = try scene.admin.events("web", limit: 500).last { ["recovered", "reverted"].contains($0.kind) }
        // A step may have been committed after the last query and before the kill: it was not acknowledged to anybody,
        // but it is in the journal, before the restart.
        let journal = try scene.admin.events("web", limit: 500)
        let restart = journal.lastIndex { $0.kind == "recovering" || $0.message.contains("uncleanly") }
        let committed = restart.flatMap { journal[..<$0].last?.candidateWeight.basisPoints } ?? 0
        #expect((recovered?.candidateWeight.basisPoints ?? 0) <= max(limit, committed))
    }

    @Test("the third unclean stop under one rollout reverts it")
    func third() async throws {
        let scene = try scene()
        try await scene.start()
        let load = Load(port: scene.service.port, rate: 60)
        for stop in 1...3 {
            try await scene.wait("the rollout runs") {
                $0.rollout?.recovering == false && $0.candidateWeight.basisPoints > 0
            }
            try await scene.kill()
            try await scene.start()
            let status = try scene.status()
            if stop < 3 { #expect(status.rollout != nil) } else { #expect(status.rollout == nil) }
        }
        let last = try #require(try scene.admin.history("web").rollouts.first)
        #expect(last.result == .reverted && last.reason.contains("3 times"), "\(last.reason)")
        _ = try await load.end()
        #expect(Client(port: scene.service.port).get()?.version == "old")
    }

    @Test("after a crash without traffic, the candidate gets nothing until the baseline has served a request")
    func silence() async throws {
        let scene = try Scene { $0.strategy = "{steps: [{weight: 99%, hold: 10m}]}" }
        try await scene.start()
        try await scene.wait("the rollout runs") { $0.candidateWeight.basisPoints == 9_900 }
        try await scene.kill()
        try await scene.start()
        try await scene.wait("an evaluation without requests") { $0.rollout?.holdReason == .recovering }
        #expect(try scene.status().candidateWeight.basisPoints == 0)
        #expect(Client(port: scene.service.port).get()?.version == "old")
        try await scene.wait("the split is in force again") { $0.candidateWeight.basisPoints == 9_900 }
    }

    @Test("after SIGTERM, the rollout continues at once where it was")
    func clean() async throws {
        let scene = try Scene {
            $0.strategy = "{steps: [{weight: 10%, hold: 1s}, {weight: 30%, hold: 1s}, {weight: 50%, hold: 10m}]}"
        }
        try await scene.start()
        let load = Load(port: scene.service.port, rate: 60)
        try await scene.wait("the third step") { $0.rollout?.step == 3 }
        let before = try scene.status()
        #expect(try await scene.end() == .code(0))
        try await scene.start()
        let after = try scene.status()
        #expect(after.rollout?.recovering == false && after.rollout?.id == before.rollout?.id)
        #expect(after.candidateWeight == before.candidateWeight && after.rollout?.step == 3)
        #expect((after.rollout?.heldSeconds ?? 0) >= (before.rollout?.heldSeconds ?? .infinity))
        #expect(try scene.admin.events("web").allSatisfy { $0.kind != "recovering" })
        _ = try await load.end()
    }
}
