import AdminTypes
import Glibc
import Testing

@Suite("canaryctl with a real agent", .timeLimit(.minutes(15)))
struct CommandLineTests {
    private func scene(candidate: String? = "new") throws -> Scene {
        try Scene(candidate: candidate) {
            $0.strategy = "{steps: [{weight: 20%, hold: 10m}, {weight: 50%, hold: 10m}]}"
        }
    }

    @Test("every changing command takes effect, and history, events and explain show it")
    func changing() async throws {
        let scene = try scene()
        scene.service.strategy =
            "{start: manual, promotion: manual, steps: [{weight: 20%, hold: 10m}, {weight: 50%, hold: 10m}]}"
        scene.write()
        try await scene.start()
        let load = Load(port: scene.service.port, rate: 60)
        func run(_ arguments: String..., expecting text: String) async throws {
            let run = try await scene.ctl(arguments + ["--reason", "of the test"])
            #expect(run.status == 0 && run.output.contains(text), "\(arguments): \(run)")
        }
        try await scene.wait("the rollout waits for a manual start") { $0.phase == .waiting }
        try await run("start", expecting: "web-1 started: new against old")
        try await run("advance", "web", expecting: "50% to new")
        try await run("pause", expecting: "paused at 50%")
        try await run("resume", expecting: "goes on at 50%")
        try await run("freeze", expecting: "web is frozen")
        #expect(try await scene.ctl("advance").errors.contains("canaryctl unfreeze first"))
        try await run("unfreeze", expecting: "not frozen any more")
        try await run("restart", expecting: "web-2 takes over")
        try await run("start", expecting: "web-2 started")
        try await run("revert", expecting: "new reverted: old serves all")
        try await run("retry", expecting: "web-3 tries new again")
        try await run("start", expecting: "web-3 started")
        try await run("promote", "--force", expecting: "new serves all")
        try await run("revert", "--to", "old", expecting: "old serves all")
        let report = try await load.end()
        #expect(report.failed == 0, "\(report.failures)")

        let history = try await scene.ctl("history")
        #expect(history.output.contains("web-3") && history.output.contains("promoted"), "\(history)")
        let events = try await scene.ctl("events", "--limit", "100")
        #expect(events.output.contains("of the test") && !events.output.contains("\u{1b}"), "\(events)")
        let explained = try await scene.ctl("explain", "web-3")
        #expect(explained.status == 0 && explained.output.contains("promoted by hand (of the test)"), "\(explained)")
        let status = try await scene.ctl("status")
        #expect(status.output.contains("note: new was reverted (of the test)"), "\(status)")
    }

    @Test("the JSON output of every command can be decoded as the API's types")
    func json() async throws {
        let scene = try scene()
        try await scene.start()
        try await scene.wait("the rollout runs") { $0.phase == .step }
        func decode<Value: Decodable>(_ type: Value.Type, _ arguments: String...) async throws -> Value {
            let run = try await scene.ctl(arguments + ["--output", "json"])
            #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
            return try JSONCoding.decode(type, from: Array(run.output.utf8))
        }
        #expect(try await decode(ServiceStatus.self, "status", "web").rollout?.id == "web-1")
        #expect(try await decode(ServiceList.self, "status").services.count == 1)
        #expect(try await decode(EventList.self, "events").events.contains { $0.kind == "step_started" })
        #expect(try await decode(HistoryList.self, "history").rollouts.first?.result == .running)
        #expect(try await decode(CommandResult.self, "revert").status.serving == "old")
        #expect(try await decode(DecisionRecord.self, "explain").event.kind == "reverted")
        let yaml = try await scene.ctl("status", "web", "--output", "yaml")
        #expect(yaml.status == 0 && yaml.output.contains("\nservice: web\n"), "\(yaml)")
    }

    @Test(
        "--wait returns at the end of the rollout, with 0 for a promotion and 1 for a revert", arguments: [true, false])
    func waiting(isSound: Bool) async throws {
        let scene = try Scene { $0.strategy = "{start: manual, steps: [{weight: 50%, hold: 1s}]}" }
        if !isSound { scene.new.behave { $0.status = 500 } }
        try await scene.start()
        let load = Load(port: scene.service.port)
        try await scene.wait("the rollout waits for a manual start") { $0.phase == .waiting }
        let run = try await scene.ctl("start", "--wait")
        #expect(run.status == (isSound ? 0 : 1), "\(run)")
        #expect(run.output.contains(isSound ? "web-1: promoted" : "web-1: reverted"), "\(run)")
        _ = try await load.end()
    }

    @Test("the exit status tells the kind of the failure, and the error is one line")
    func exitStatus() async throws {
        let scene = try scene(candidate: nil)
        let nobody = try await scene.ctl("status")
        #expect(nobody.status == 3 && nobody.errors.contains(scene.path("admin.sock")), "\(nobody)")
        try await scene.start()
        let none = try await scene.ctl("promote", "web")
        #expect(none.status == 1 && none.errors.contains("no rollout of web is running"), "\(none)")
        let stale = try await scene.ctl("freeze", "web", "--generation", "99")
        #expect(stale.status == 1 && stale.errors.contains("is at generation"), "\(stale)")
        let unknown = try await scene.ctl("status", "wed")
        #expect(unknown.status == 1 && unknown.errors.contains("web"), "\(unknown)")
        for line in [nobody.errors, none.errors, stale.errors, unknown.errors] {
            #expect(line.split(separator: "\n").count == 1, "\(line)")
        }
        #expect(try await scene.ctl("stauts").status == 2)
        #expect(try await scene.ctl("events", "--limit", "0").status == 2)
        #expect(try await scene.ctl("status", "--output", "xml").status == 2)
        try await scene.kill()
        #expect(try await scene.ctl("status").status == 3)
    }

    private struct Report: Decodable {
        struct Finding: Decodable { var grade: String }
        var findings: [Finding]
    }

    @Test("doctor finds nothing wrong with a sound agent, and tells what an outdated baseline in the file should be")
    func doctor() async throws {
        let scene = try scene()
        try await scene.start()
        try await scene.wait("the rollout runs") { $0.phase == .step }
        let sound = try await scene.ctl("doctor")
        #expect(sound.status == 0 && sound.errors.isEmpty, "\(sound)")
        try scene.command(.promote, force: true)
        let dated = try await scene.ctl("doctor")
        #expect(dated.output.contains("baseline: new"), "\(dated)")
        let json = try await scene.ctl("doctor", "--output", "json")
        let report = try JSONCoding.decode(Report.self, from: Array(json.output.utf8))
        #expect(report.findings.contains { $0.grade == "warn" })
    }

    @Test("lint needs no agent: 0 for sound files, 1 with every error for others")
    func lint() async throws {
        let scene = try scene()
        let files = [scene.path("policies"), scene.path("services")]
        let sound = try await scene.ctl(["policy", "lint"] + files)
        #expect(sound.status == 0 && sound.output.contains("2 files fine"), "\(sound)")
        scene.policy(
            "quick", Policies.quick.replacing("p95, max", with: "p59x, max").replacing("errors:", with: "eror:"))
        let bad = try await scene.ctl(["policy", "lint"] + files)
        #expect(
            bad.status == 1 && bad.output.contains("quick.yaml:5:") && bad.output.contains("quick.yaml:7:"), "\(bad)")
    }

    @Test("on a full disk, a revert is in force with exit status 4, and an advance is refused with 1")
    func fullDisk() async throws {
        let scene = try scene()
        try await scene.start()
        try await scene.wait("the first step") { $0.candidateWeight.basisPoints == 2_000 }
        let wal = scene.path("state/canaryd.sqlite-wal")
        // No file of the agent may grow beyond the present size of the store's write-ahead log.
        let size: Int = try #require(Files.size(wal))
        try await scene.limitFiles(to: size)
        let more = try await scene.ctl("advance")
        #expect(more.status == 1 && more.errors.contains("nothing changed"), "\(more)")
        #expect(try scene.status().candidateWeight.basisPoints == 2_000)
        let less = try await scene.ctl("revert", "--reason", "the disk is full")
        #expect(less.status == 4 && less.errors.contains("not yet durable"), "\(less)")
        #expect(try scene.status().candidateWeight.basisPoints == 0)
        for _ in 0..<20 { #expect(Client(port: scene.service.port).get()?.version == "old") }
        // The revert survives a kill, although the store does not have it.
        try await scene.kill()
        try await scene.start()
        let status = try scene.status()
        #expect(status.rollout == nil && status.refused?.reason == "the disk is full" && status.serving == "old")
    }

    @Test("a change that could not be written is written when the disk has space again")
    func diskIsBack() async throws {
        let scene = try scene()
        try await scene.start()
        try await scene.wait("the first step") { $0.candidateWeight.basisPoints == 2_000 }
        let size: Int = try #require(Files.size(scene.path("state/canaryd.sqlite-wal")))
        try await scene.limitFiles(to: size)
        #expect(try await scene.ctl("revert", "--reason", "the disk is full").status == 4)
        #expect(try scene.status().durable == false)
        try await scene.limitFiles(to: nil)
        let settled = try await scene.ctl("freeze", "--wait")
        #expect(settled.status == 0, "\(settled)")
        try await scene.wait("all is on disk") { $0.durable }
        #expect(try scene.admin.events("web").contains { $0.kind == "reverted" && $0.message.contains("disk is full") })
    }
}
