import AdminTypes
import FoundationEssentials
import GRDB
import Glibc
import Testing

@Suite("Replays of decisions", .timeLimit(.minutes(15)))
struct ReplayTests {
    /// An agent that has just reverted a failing candidate by the sequential judge.
    private func reverted() async throws -> Scene {
        let scene = try Scene {
            $0.judge = "sequential"
            $0.strategy = "{steps: [{weight: 50%, hold: 5m}]}"
        }
        scene.new.behave { $0.status = 500 }
        try await scene.start()
        let load = Load(port: scene.service.port, rate: 60)
        let outcome = try await scene.outcome()
        _ = try await load.end()
        #expect(outcome.result == .reverted && outcome.reason.contains("error-rate"), "\(outcome.reason)")
        return scene
    }

    /// Changes the agent's database while the agent runs.
    private func change(_ scene: Scene, _ body: (Database) throws -> Void) throws {
        try DatabaseQueue(path: scene.path("state/canaryd.sqlite")).write(body)
    }

    private func bodies(_ db: Database) throws -> [(id: Int64, body: [UInt8])] {
        try Row.fetchAll(db, sql: "SELECT id, body FROM recording WHERE rollout <> '' ORDER BY id").map {
            ($0["id"], [UInt8]($0["body"] as Data))
        }
    }

    @Test(
        "A revert is explained with its evidence, and its replay is the same bit for bit, also after a restart")
    func same() async throws {
        let scene = try await reverted()
        let explained = try await scene.ctl("explain", "web-1")
        #expect(explained.status == 0 && explained.errors.isEmpty, "\(explained.errors)")
        #expect(explained.output.contains("✗ quick/error-rate: fail"), "\(explained.output)")
        #expect(explained.output.contains("If it were sound,"), "\(explained.output)")
        #expect(explained.output.contains("The candidate failed"), "\(explained.output)")
        #expect(explained.output.contains(" fails\n"), "\(explained.output)")
        let decision = try scene.admin.decision(nil, of: "web")
        let evaluation = try #require(decision.evaluation)
        #expect(evaluation.items ?? 0 > 0)
        let replay = try await scene.ctl("explain", "web-1", "--replay")
        #expect(replay.status == 0, "\(replay)")
        #expect(replay.output.contains("is the same, bit for bit."), "\(replay.output)")
        try await scene.end()
        try await scene.start()
        let later = try await scene.ctl("explain", "web-1", "--replay")
        #expect(later.status == 0 && later.output == replay.output, "\(later)")
    }

    @Test("A replay finds that a recorded status was changed, and names the check that differs")
    func changed() async throws {
        let scene = try await reverted()
        try change(scene) { db in
            for (id, body) in try bodies(db) {
                guard let place = failingStatus(body) else { continue }
                var body = body
                // The low byte of 404; the high one is that of 500.
                body[place] = 0x94
                // The checksum is removed, since the damage would otherwise be found before the replay.
                try db.execute(
                    sql: "UPDATE recording SET body = ?, checksum = NULL WHERE id = ?", arguments: [Data(body), id])
                return
            }
            Issue.record("no response with status 500 was recorded")
        }
        let replay = try await scene.ctl("explain", "web-1", "--replay")
        #expect(replay.status == 1, "\(replay)")
        #expect(replay.errors.hasPrefix("canaryctl: not the same: quick/error-rate"), "\(replay.errors)")
        #expect(replay.output.contains("✗ quick/error-rate"), "\(replay.output)")
        #expect(!replay.output.contains("bit for bit"), "\(replay.output)")
    }

    /// The index of a status 500 among the candidate's responses in the first tick of a stretch: tag, second, step,
    /// then for each sub-shard the requests and, where there are any, the number of statuses, each with its count.
    private func failingStatus(_ body: [UInt8]) -> Int? {
        guard body.first == 4 else { return nil }
        var place = 1
        func next() -> Int? {
            var (value, shift) = (0, 0)
            while place < body.count, shift < 56 {
                let byte = Int(body[place])
                place += 1
                value |= (byte & 0x7f) << shift
                shift += 7
                if byte & 0x80 == 0 { return value }
            }
            return nil
        }
        guard next() != nil, next() != nil else { return nil }
        for shard in 0..<16 {
            guard let trials = next() else { return nil }
            guard trials > 0 else { continue }
            guard let statuses = next() else { return nil }
            for _ in 0..<statuses {
                let start = place
                guard let status = next(), next() != nil else { return nil }
                if shard >= 8, status == 500 { return start }
            }
        }
        return nil
    }

    @Test("A damaged stretch is refused with its place, and a pruned recording with the reason")
    func damaged() async throws {
        let scene = try await reverted()
        try change(scene) { db in
            let (id, body) = try #require(try bodies(db).first)
            var damaged = body
            damaged[0] = 0x7e
            try db.execute(sql: "UPDATE recording SET body = ? WHERE id = ?", arguments: [Data(damaged), id])
        }
        let incomplete = try await scene.ctl("explain", "web-1", "--replay")
        #expect(incomplete.status == 1 && incomplete.errors.contains("or a part of it is damaged"), "\(incomplete)")
        try change(scene) { try $0.execute(sql: "UPDATE recording SET checksum = NULL") }
        let refused = try await scene.ctl("explain", "web-1", "--replay")
        #expect(refused.status == 1 && refused.output.isEmpty, "\(refused)")
        #expect(
            refused.errors.hasPrefix(
                "canaryctl: the recording of web-1 cannot be read: the recording is damaged at byte 1 after item 0"),
            "\(refused.errors)")
        try change(scene) { try $0.execute(sql: "DELETE FROM recording WHERE rollout <> ''") }
        try change(scene) { try $0.execute(sql: "DELETE FROM recording_head") }
        let pruned = try await scene.ctl("explain", "web-1", "--replay")
        #expect(pruned.status == 1, "\(pruned)")
        #expect(pruned.errors.contains("cannot be replayed: the recording of web-1 is pruned"), "\(pruned.errors)")
    }
}
