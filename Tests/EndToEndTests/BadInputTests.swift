import AdminClient
import AdminTypes
import Glibc
import HTTPEngine
import Testing

@Suite("Bad input", .timeLimit(.minutes(15)))
struct BadInputTests {
    /// Starts an agent that has to exit with an error, and returns its log.
    /// - Parameter status: the expected exit status: 78 if the files have errors, 1 for other errors.
    private func refusal(_ scene: Scene, status: Int32 = 1) async throws -> String {
        let process = try scene.launch()
        #expect(try await process.wait() == .code(status), "\(scene.log)")
        return scene.log
    }

    private func oneLine(_ text: String) -> Bool { text.split(separator: "\n").count == 1 }

    @Test("a policy with an unknown key is refused with its line, and a similar key is suggested")
    func unknownKey() async throws {
        let scene = try Scene()
        scene.policy("quick", Policies.quick.replacing("    latency:", with: "    latencyy:"))
        let said = try await refusal(scene, status: 78)
        #expect(said.contains("quick.yaml:7:5: error: ") && said.contains("latency"), "\(said)")
        #expect(said.contains("^"))
    }

    @Test("a series that no page has is reported as missing, and the rollout is held")
    func missingSeries() async throws {
        let scene = try Scene { $0.policies = ["scraped"] }
        let more = ", metrics: {preset: reference, interval: 200ms, timeout: 200ms}"
        scene.service.versions = [
            ("old", ServiceFile.entry(scene.old, more: more)), ("new", ServiceFile.entry(scene.new, more: more)),
        ]
        scene.write()
        scene.policy(
            "scraped",
            """
            policy: scraped
            threshold: {interval: 1s, window: 10s, minSamples: 1, failureLimit: 0}
            checks:
              - name: memory
                metric: {series: no_such_series, aggregate: max, max: 50}

            """)
        let text = "# TYPE up gauge\nup 1\n"
        for server in [scene.old, scene.new] { server.behave { $0.metrics = text } }
        try await scene.start()
        let load = Load(port: scene.service.port)
        try await until("the check says what is missing", or: { "\(String(describing: try? scene.status()))" }) {
            try scene.status().evaluation?.checks.first?.summary.contains("no series no_such_series in ") == true
        }
        try await scene.wait("it is held for the series") { $0.rollout?.holdReason == .unusableSeries }
        #expect(try scene.status().notes.contains { $0.contains("no series no_such_series in ") })
        _ = try await load.end()
    }

    @Test("an agent starts although a server does not resolve, names the server, and responds with 503 in its place")
    func unresolvableAtStart() async throws {
        let scene = try Scene(candidate: nil)
        scene.service.versions[0].entry = "{servers: [\"http://no-such-host.invalid:9001\"]}"
        scene.write()
        try await scene.start()
        #expect(Client(port: scene.service.port).get()?.status == 503)
        try await until("the status names it", or: { "\(String(describing: try? scene.status()))" }) {
            try scene.status().baseline.down.first?.state == .unresolved
        }
        let status = try scene.status()
        #expect(status.baseline.reachable == 0)
        #expect(status.baseline.down.map(\.server) == ["http://no-such-host.invalid:9001"])
        #expect(scene.log.contains("no-such-host.invalid") && scene.log.contains("does not resolve"), "\(scene.log)")
    }

    @Test("a reload that adds a server that does not resolve is refused")
    func unresolvable() async throws {
        let entry = "{servers: [\"http://no-such-host.invalid:9001\"]}"
        let scene = try Scene(candidate: nil)
        let good = scene.service
        try await scene.start()
        scene.service.versions[0].entry = entry
        scene.write()
        let reload = try await scene.reload()
        #expect(reload.contains("no-such-host.invalid") && reload.contains("not reloaded"), "\(reload)")
        scene.service = good
        scene.service.versions[1].entry = entry
        scene.service.candidate = "new"
        scene.write()
        let candidate = try await scene.reload()
        #expect(candidate.contains("no-such-host.invalid") && candidate.contains("not reloaded"), "\(candidate)")
        #expect(Client(port: scene.service.port).get()?.status == 200)
    }

    @Test("a candidate that does not resolve at a start does not keep the service from being served")
    func lostCandidate() async throws {
        let scene = try Scene { $0.strategy = "{steps: [{weight: 50%, hold: 10m}]}" }
        try await scene.start()
        try scene.command(.promote, force: true)
        try await scene.end()
        // Now `new` serves, although the file's baseline is `old`.
        scene.service.versions.append(("third", "{servers: [\"http://no-such-host.invalid:9001\"]}"))
        scene.service.candidate = "third"
        scene.write()
        try await scene.start()
        try await scene.wait("the rollout does not start") { $0.rollout?.holdReason == .candidateDown }
        for _ in 0..<20 {
            let response = Client(port: scene.service.port).get()
            #expect(response?.version == "new" && response?.status == 200)
        }
        #expect(scene.log.contains("no-such-host.invalid"), "\(scene.log)")
    }

    @Test("a port in use is named at the start and at a reload")
    func portInUse() async throws {
        let taken = try Upstream()
        let scene = try Scene(candidate: nil)
        let port = scene.service.port
        scene.service.port = taken.port
        scene.write()
        let said = try await refusal(scene)
        #expect(said.contains("127.0.0.1:\(taken.port)") && said.contains("in use") && oneLine(said), "\(said)")

        scene.service.port = port
        scene.write()
        try await scene.start()
        scene.service.port = taken.port
        scene.write()
        let reload = try await scene.reload()
        #expect(reload.contains("127.0.0.1:\(taken.port)") && reload.contains("not reloaded"), "\(reload)")
        #expect(Client(port: port).get()?.status == 200)
        #expect(try scene.status().listen == ["127.0.0.1:\(port)"])
    }

    @Test("a state directory that cannot be created is refused in one line")
    func stateDirectory() async throws {
        let scene = try Scene()
        Files.write(scene.path("file"), "")
        let settings = Files.read(scene.path("canaryd.yaml"))
        Files.write(scene.path("canaryd.yaml"), settings.replacing("state: state/", with: "state: file/state"))
        let said = try await refusal(scene)
        #expect(said.contains("\(scene.folder.path)/file/state") && oneLine(said), "\(said)")
    }

    @Test("a second agent on the same state directory is refused, and the first continues to serve")
    func twoAgents() async throws {
        let scene = try Scene(candidate: nil)
        try await scene.start()
        let first = try #require(scene.agent)
        let log = scene.path("second.log")
        let second = try Subprocess(
            Binaries.canaryd, ["--config", scene.path("canaryd.yaml")], output: log, error: log)
        #expect(try await second.wait() == .code(1))
        let said = Files.read(log)
        #expect(said.contains("another agent (pid \(first.pid))") && oneLine(said), "\(said)")
        #expect(try scene.status().serving == "old")
        #expect(Client(port: scene.service.port).get()?.status == 200)
    }

    @Test("a start that fails because a group does not exist says so, and does not count as an unclean stop")
    func unknownGroup() async throws {
        let scene = try Scene { $0.strategy = "{steps: [{weight: 10%, hold: 10m}]}" }
        try await scene.start()
        try await scene.wait("the rollout runs") { $0.phase == .step }
        try await scene.end()
        let settings = Files.read(scene.path("canaryd.yaml"))
        let wrong = settings.replacing("socket: admin.sock", with: "socket: admin.sock, group: no-such-group")
        Files.write(scene.path("canaryd.yaml"), wrong)
        for _ in 1...3 {
            let said = try await refusal(scene)
            #expect(said.contains("error: admin: there is no group 'no-such-group': create it"), "\(said)")
        }
        Files.write(scene.path("canaryd.yaml"), settings)
        try await scene.start()
        let status = try scene.status()
        #expect(status.phase == .step && status.rollout?.recovering == false, "\(status)")
        #expect(try scene.admin.events("web").allSatisfy { $0.kind != "recovering" && $0.kind != "reverted" })
    }

    @Test("an agent whose admin socket is in use by another agent does not start, and does not disturb the other")
    func takenSocket() async throws {
        let scene = try Scene(candidate: nil)
        try await scene.start()
        let other = try Scene(candidate: nil)
        let settings = Files.read(other.path("canaryd.yaml"))
        Files.write(
            other.path("canaryd.yaml"),
            settings.replacing("{socket: admin.sock}", with: "{socket: \(scene.path("admin.sock"))}"))
        let said = try await refusal(other)
        #expect(said.contains(scene.path("admin.sock")) && oneLine(said), "\(said)")
        #expect(try scene.admin.agent().pid == scene.agent?.pid)
    }

    @Test("a missing agent's file is refused in one line")
    func missingFile() async throws {
        let scene = try Scene(candidate: nil)
        unlink(scene.path("canaryd.yaml"))
        let said = try await refusal(scene, status: 78)
        #expect(said.contains(scene.path("canaryd.yaml")) && oneLine(said), "\(said)")
    }

    @Test("a corrupt database is moved aside, the baseline serves, and nothing starts until someone unfreezes")
    func corruptDatabase() async throws {
        let scene = try Scene { $0.strategy = "{steps: [{weight: 50%, hold: 10m}]}" }
        try await scene.start()
        try await scene.wait("the rollout runs") { $0.candidateWeight.basisPoints == 5_000 }
        try await scene.end()
        let garbage = String(repeating: "this is no database. ", count: 2_000)
        Files.write(scene.path("state/canaryd.sqlite"), garbage)
        try await scene.start()
        let aside = try #require(Files.names(in: scene.path("state")).first { $0.hasPrefix("canaryd.sqlite.corrupt-") })
        #expect(Files.read(scene.path("state/\(aside)")) == garbage)
        let status = try scene.status()
        #expect(status.serving == "old" && status.candidateWeight.basisPoints == 0 && status.freeze != nil)
        #expect(scene.log.contains(aside))
        #expect(try scene.admin.events("web").contains { $0.kind == "alarm" && $0.message.contains(aside) })
        #expect(Client(port: scene.service.port).get()?.version == "old")
        try scene.command(.unfreeze, reason: "looked at it")
        try await scene.wait("the rollout starts") { $0.candidateWeight.basisPoints == 5_000 }
    }

    @Test("a missing database freezes the service, so that a candidate that was reverted does not start again")
    func missingDatabase() async throws {
        let scene = try Scene { $0.strategy = "{steps: [{weight: 50%, hold: 10m}]}" }
        try await scene.start()
        try await scene.wait("the rollout runs") { $0.candidateWeight.basisPoints == 5_000 }
        try scene.command(.revert, reason: "it is bad")
        try await scene.end()
        for name in Files.names(in: scene.path("state")) where name.hasPrefix("canaryd.sqlite") {
            unlink(scene.path("state/\(name)"))
        }
        try await scene.start()
        let status = try scene.status()
        #expect(status.serving == "old" && status.candidateWeight.basisPoints == 0)
        #expect(status.freeze?.reason.contains("canaryd.sqlite is missing") == true, "\(status)")
        #expect(try scene.admin.events("web").contains { $0.kind == "alarm" && $0.message.contains("is missing") })
        #expect(Client(port: scene.service.port).get()?.version == "old")
    }

    @Test("a scrape of garbage is reported with its line, and the agent continues")
    func garbageScrape() async throws {
        let scene = try Scene { $0.policies = ["scraped"] }
        let more = ", metrics: {preset: reference, interval: 200ms, timeout: 200ms}"
        scene.service.versions = [
            ("old", ServiceFile.entry(scene.old, more: more)), ("new", ServiceFile.entry(scene.new, more: more)),
        ]
        scene.policy("scraped", Policies.scraped)
        scene.write()
        for server in [scene.old, scene.new] { server.behave { $0.metrics = "up 1\n<html>no metrics</html>\n" } }
        try await scene.start()
        let load = Load(port: scene.service.port)
        try await until("the target's scrape fails") {
            let scrapes = try scene.admin.targets(of: "web").compactMap(\.scrape)
            return scrapes.count == 2 && scrapes.allSatisfy { !$0.ok && $0.problem.contains("line 2") }
        }
        try await scene.wait("the provider is down") { $0.rollout?.holdReason == .providerDown }
        let report = try await load.end()
        #expect(report.failed == 0, "\(report.failures)")
    }

    @Test("feedback for an unknown id is counted and shown; bad rows are refused with their line")
    func unknownFeedback() async throws {
        let scene = try Scene { $0.policies = ["quality"] }
        scene.policy("quality", Policies.quality)
        try await scene.start()
        try await scene.wait("the rollout runs") { $0.candidateWeight.basisPoints > 0 }
        let row = Array(#"{"inference_id":"nobody","label":1,"prediction":1}"#.utf8)
        #expect(try scene.feedback.postFeedback(row, service: "web").accepted == 1)
        let counts = try scene.status().feedback
        #expect(counts.pending + counts.unmatched == 1)
        let refused = try scene.feedback.exchange(
            "POST", "/v1/services/web/feedback", body: Array("[\(String(decoding: row, as: UTF8.self)),\n{}]".utf8))
        #expect(refused.status == 400 && String(decoding: refused.body, as: UTF8.self).contains("line 2"))
        // The feedback socket accepts no commands.
        #expect(try scene.feedback.exchange("POST", "/v1/services/web/promote").status == 404)
    }

    @Test("a promotion without a rollout and a command with a stale generation are refused with the reason")
    func refusedCommands() async throws {
        let scene = try Scene(candidate: nil)
        try await scene.start()
        let none = #expect(throws: AdminClientError.self) { try scene.command(.promote) }
        #expect("\(none!)".contains("no rollout of web is running") && "\(none!)".contains("candidate"))
        let generation = try scene.status().generation
        let stale = #expect(throws: AdminClientError.self) {
            try scene.admin.command(.freeze, service: "web", CommandRequest(generation: generation + 7))
        }
        #expect("\(stale!)".contains("is at generation \(generation), not \(generation + 7)"))
        #expect(try scene.status().freeze == nil)
    }

    @Test("--check names every error of every file and exits with 1")
    func check() async throws {
        let scene = try Scene()
        scene.policy("quick", Policies.quick.replacing("p95, max", with: "p59x, max"))
        scene.service.baseline = "oldd"
        scene.write()
        let log = scene.path("check.log")
        let process = try Subprocess(
            Binaries.canaryd, ["--config", scene.path("canaryd.yaml"), "--check"], output: log, error: log)
        #expect(try await process.wait() == .code(1))
        let said = Files.read(log)
        #expect(said.contains("quick.yaml:7:") && said.contains("web.yaml:6:") && said.contains("'old'"), "\(said)")
    }
}
