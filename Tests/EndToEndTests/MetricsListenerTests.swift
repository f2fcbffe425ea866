import AdminTypes
import Glibc
import JSON
import PrometheusText
import Testing
import Vocabulary

/// Prometheus' own tool, which Debian's package `prometheus` contains.
private let promtool = "/usr/bin/promtool"

@Suite("Prometheus", .timeLimit(.minutes(15)))
struct MetricsListenerTests {
    /// A scene whose agent serves metrics on loopback.
    private func scene(
        listen: String = "127.0.0.1:0", candidate: String? = nil, _ change: (inout ServiceFile) -> Void = { _ in }
    ) throws -> Scene {
        let scene = try Scene(candidate: candidate, change)
        setMetrics(scene, listen)
        return scene
    }

    private func setMetrics(_ scene: Scene, _ listen: String?) {
        let file = scene.path("canaryd.yaml")
        let lines = Files.read(file).split(separator: "\n").filter { !$0.hasPrefix("metrics:") }
        let own = listen.map { "metrics: {listen: \"\($0)\"}\n" } ?? ""
        Files.write(file, lines.joined(separator: "\n") + "\n" + own)
    }

    private func port(_ scene: Scene) throws -> UInt16 {
        let address = try #require(try scene.admin.agent().metricsAddress)
        return try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
    }

    private func page(_ scene: Scene) throws -> Exposition {
        let response = try #require(Client(port: try port(scene)).get("/metrics"))
        #expect(response.status == 200)
        return try ExpositionParser.parse(Array(response.body.utf8))
    }

    private func values(_ name: String, _ labels: [String: String], in page: Exposition) -> [Double] {
        page.samples(named: name).filter { sample in labels.allSatisfy { sample[$0.key] == $0.value } }.map(\.value)
    }

    // MARK: - Counters

    @Test("counters of what is known in advance start at 0, so that the first revert is an increase")
    func zero() async throws {
        let more = ", metrics: {preset: reference, interval: 200ms, timeout: 200ms}"
        let scene = try scene(candidate: "new") { $0.strategy = "{start: manual, steps: [{weight: 50%, hold: 10m}]}" }
        scene.service.versions[1].entry = ServiceFile.entry(scene.new, more: more)
        scene.new.behave { $0.metrics = "up 1\n" }
        scene.write()
        try await scene.start()
        let before = try page(scene)
        for kind in EventKind.allCases where kind != .configurationApplied {
            #expect(values("canaryd_events_total", ["service": "web", "kind": kind.rawValue], in: before).count == 1)
        }
        #expect(values("canaryd_events_total", ["kind": "reverted"], in: before) == [0])
        for version in ["old", "new"] {
            for outcome in ["success", "server_error", "timeout"] {
                let labels = ["version": version, "outcome": outcome]
                #expect(values("canaryd_requests_total", labels, in: before) == [0], "\(labels)")
            }
            for reason in ["connect-failed", "response-timeout", "response-malformed-status-line"] {
                let labels = ["version": version, "reason": reason]
                #expect(values("canaryd_failed_requests_total", labels, in: before) == [0], "\(labels)")
            }
            for name in ["rescued_requests", "surplus_connections", "keyless_requests", "matched_requests"] {
                #expect(values("canaryd_\(name)_total", ["version": version], in: before) == [0], "\(name)")
            }
        }
        for result in ["ok", "failed"] {
            #expect(values("canaryd_scrapes_total", ["version": "new", "result": result], in: before).count == 1)
        }
        for code in ["202", "409", "500"] {
            #expect(values("canaryd_admin_requests_total", ["code": code], in: before) == [0])
        }
        #expect(values("canaryd_needs_person", ["action": "start"], in: before) == [1])
        try scene.command(.start)
        try await until("the scrapes of the candidate are counted") {
            let counted = values("canaryd_scrapes_total", ["version": "new", "result": "ok"], in: try page(scene))
            return (counted.first ?? 0) > 0
        }
        try scene.command(.revert, reason: "to be counted")
        try await until("the revert is counted") {
            values("canaryd_events_total", ["kind": "reverted"], in: try page(scene)) == [1]
        }
        #expect(values("canaryd_needs_person", [:], in: try page(scene)) == [0, 0, 0, 0])
        try scene.command(.freeze, reason: "to be seen")
        try await until("the freeze is seen") { values("canaryd_frozen", [:], in: try page(scene)) == [1] }
    }

    @Test("a refused reload is a metric until one succeeds")
    func refusedReload() async throws {
        let scene = try scene()
        try await scene.start()
        #expect(values("canaryd_config_last_reload_successful", [:], in: try page(scene)) == [1])
        scene.policy("quick", "nonsense")
        _ = try await scene.reload()
        try await until("it is seen") {
            values("canaryd_config_last_reload_successful", [:], in: try page(scene)) == [0]
        }
        scene.policy("quick", Policies.quick)
        _ = try await scene.reload()
        try await until("it is over") {
            values("canaryd_config_last_reload_successful", [:], in: try page(scene)) == [1]
        }
    }

    // MARK: - The address

    @Test("a reload moves the metrics to another address, is refused if that is in use, and ends them")
    func reload() async throws {
        let (first, second) = (Ports.free(), Ports.free())
        let scene = try scene(listen: "127.0.0.1:\(first)")
        try await scene.start()
        let client = Client(port: first)
        #expect(client.get("/metrics")?.status == 200)
        setMetrics(scene, "127.0.0.1:\(second)")
        let moved = try await scene.reload()
        #expect(moved.contains("metrics: Prometheus is served on 127.0.0.1:\(second)"), "\(moved)")
        #expect(!moved.contains("need a restart"))
        #expect(try port(scene) == second)
        #expect(Client(port: second).get("/metrics")?.status == 200)
        #expect(Client(port: first).get("/metrics") == nil)

        let taken = try Upstream()
        setMetrics(scene, "127.0.0.1:\(taken.port)")
        let refused = try await scene.reload()
        #expect(refused.contains("metrics: cannot listen on 127.0.0.1:\(taken.port)"), "\(refused)")
        #expect(refused.contains("in use") && refused.contains("not reloaded"), "\(refused)")
        #expect(Client(port: second).get("/metrics")?.status == 200)

        // Files that are refused for another reason leave the old listener and no new one.
        let third = Ports.free()
        setMetrics(scene, "127.0.0.1:\(third)")
        let port = scene.service.port
        scene.service.port = taken.port
        scene.write()
        #expect(try await scene.reload().contains("not reloaded"))
        #expect(Client(port: second).get("/metrics")?.status == 200)
        try await until("the new listener is closed") { Client(port: third).get("/metrics") == nil }
        scene.service.port = port
        scene.write()
        setMetrics(scene, nil)
        let ended = try await scene.reload()
        #expect(ended.contains("metrics: not served over TCP"), "\(ended)")
        #expect(Client(port: second).get("/metrics") == nil)
        #expect(try scene.admin.agent().metricsAddress == nil)
    }

    @Test("an address that another process uses is refused at the start, and that is no unclean stop")
    func inUse() async throws {
        let taken = try Upstream()
        let scene = try scene(listen: "127.0.0.1:\(taken.port)")
        let process = try scene.launch()
        #expect(try await process.wait() == .code(1))
        let said = scene.log
        #expect(said.contains("error: metrics: cannot listen on 127.0.0.1:\(taken.port): "), "\(said)")
        #expect(said.contains("in use; ") && said.split(separator: "\n").count == 1, "\(said)")
        setMetrics(scene, "127.0.0.1:0")
        try await scene.start()
        #expect(try scene.admin.events("web").allSatisfy { $0.kind != "recovering" })
    }

    @Test("an address that is not on loopback is a warning of --check and in the log")
    func beyondLoopback() async throws {
        let port = Ports.free()
        let scene = try scene(listen: "0.0.0.0:\(port)")
        let log = scene.path("check.log")
        let process = try Subprocess(
            Binaries.canaryd, ["--config", scene.path("canaryd.yaml"), "--check"], output: log, error: log)
        #expect(try await process.wait() == .code(0))
        let warning = "warning: 0.0.0.0:\(port) is not on loopback: "
        #expect(Files.read(log).contains(warning), "\(Files.read(log))")
        try await scene.start()
        #expect(scene.log.contains(warning))
        #expect(Client(port: port).get("/metrics")?.status == 200)
    }

    // MARK: - Shipped files

    /// An agent with every setting that adds metrics, and the page of a rollout with traffic.
    private func fullPage() async throws -> (scene: Scene, page: Exposition) {
        let scene = try scene(candidate: "new") {
            $0.strategy = "{steps: [{weight: 50%, hold: 10m}]}"
            $0.judge = "sequential"
            $0.extra = "traffic: {limits: {connections: 1000, requests: 1000, buffer: 64MiB}}\n"
        }
        let file = scene.path("canaryd.yaml")
        Files.write(file, Files.read(file) + "accessLog: {path: access.log}\n")
        let more = ", metrics: {preset: reference, interval: 200ms, timeout: 200ms}"
        scene.service.versions[0].entry = ServiceFile.entry(scene.old, more: more)
        scene.write()
        try await scene.start()
        let load = Load(port: scene.service.port)
        try await until("a check is measured") {
            let present = try page(scene)
            return ["value", "evidence", "verdict"].allSatisfy { !present.samples(of: "canaryd_check_\($0)").isEmpty }
        }
        let full = try page(scene)
        _ = try await load.end()
        return (scene, full)
    }

    private static let root = String(
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/"))
    private static func text(_ path: String) throws -> String {
        let text = Files.read("\(root)/\(path)")
        return try #require(text.isEmpty ? nil : text, "\(path) is missing")
    }

    /// The words of a text that look like names of the agent's metrics.
    private func names(_ text: String) -> Set<String> {
        let words = text.split { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_")) }
        return Set(words.filter { $0.hasPrefix("canaryd_") || $0.hasPrefix("process_") }.map(String.init))
    }

    private static let rules = "examples/prometheus/alerts.yaml"
    private static let dashboard = "examples/prometheus/dashboard.json"

    @Test("every metric that the alert rules, the dashboard and the documentation name is exported, and the reverse")
    func exported() async throws {
        let (_, page) = try await fullPage()
        let known = Set(page.families.map(\.name)).union(page.samples.map(\.name))
        let operations = try Self.text("docs/OPERATIONS.md")
        let documented = names(operations).filter { $0 != "process_" }
        for (file, text) in [
            (Self.rules, try Self.text(Self.rules)), (Self.dashboard, try Self.text(Self.dashboard)),
            ("docs/OPERATIONS.md", operations),
        ] {
            let named = names(text).subtracting(["process_"])
            #expect(named.count > 10)
            #expect(named.subtracting(known).sorted() == [], "\(file)")
        }
        // A reason is documented as it is, or without its prefix in the row of refused response heads.
        let reasons = Set(page.samples(named: "canaryd_failed_requests_total").compactMap { $0["reason"] })
        #expect(reasons.count > 20)
        for reason in reasons {
            let bare = reason.hasPrefix("response-") ? String(reason.dropFirst("response-".count)) : reason
            #expect(operations.contains("`\(reason)`") || operations.contains("`\(bare)`"), "\(reason)")
        }
        let missing = page.families.map(\.name).filter { !documented.contains($0) && !$0.hasPrefix("process_") }
        #expect(missing == [], "not in docs/OPERATIONS.md")
    }

    @Test("every label and every value by which the alert rules and the dashboard select is exported")
    func selected() async throws {
        let (_, page) = try await fullPage()
        var count = 0
        for file in [Self.rules, Self.dashboard] {
            let text = try Self.text(file).replacing("\\\"", with: "\"")
            for match in text.matches(of: /(canaryd_[a-z_]+)\{([^}]*)\}/) {
                let samples = page.samples(named: String(match.1))
                #expect(!samples.isEmpty, "\(match.1) in \(file)")
                for matcher in match.2.matches(of: /([a-z]+)(=~|!~|!=|=)"([^"]*)"/) {
                    let (label, values) = (String(matcher.1), matcher.3.split(separator: "|"))
                    // Prometheus adds these two, and a variable stands for any value.
                    if ["job", "instance"].contains(label) || matcher.3.hasPrefix("$") { continue }
                    count += 1
                    let exported = Set(samples.compactMap { $0[label] })
                    for value in values {
                        #expect(exported.contains(String(value)), "\(match.1){\(label)=\"\(value)\"} in \(file)")
                    }
                }
            }
        }
        #expect(count > 15)
    }

    @Test("the dashboard's panels have distinct ids, lie beside each other, and say what they show")
    func layout() throws {
        let dashboard = try JSONReader.parse(Array(try Self.text(Self.dashboard).utf8))
        guard case .array(let panels)? = dashboard["panels"] else { throw HarnessError("no panels") }
        func number(_ value: JSONValue?) -> Int? { if case .number(let text)? = value { Int(text) } else { nil } }
        var ids: Set<Int> = []
        var cells: Set<[Int]> = []
        for panel in panels {
            guard case .string(let title)? = panel["title"] else { throw HarnessError("a panel without a title") }
            #expect(ids.insert(try #require(number(panel["id"]))).inserted, "\(title)")
            let grid = try #require(panel["gridPos"])
            let (x, y, w, h) = (number(grid["x"])!, number(grid["y"])!, number(grid["w"])!, number(grid["h"])!)
            #expect(x + w <= 24, "\(title)")
            for column in x..<x + w {
                for row in y..<y + h { #expect(cells.insert([column, row]).inserted, "\(title) overlaps another") }
            }
            if panel["type"] == .string("row") { continue }
            guard case .array(let targets)? = panel["targets"], case .string(let words)? = panel["description"] else {
                throw HarnessError("\(title) has no queries or no description")
            }
            #expect(!targets.isEmpty && words.hasSuffix("."), "\(title)")
        }
        #expect(ids.count > 20)
    }

    private func run(_ command: String, in folder: String) async throws -> (exit: Subprocess.Exit, output: String) {
        let log = "\(folder)/promtool.log"
        Files.write(log, "")
        let process = try Subprocess("/bin/sh", ["-c", command], output: log, error: log)
        return (try await process.wait(), Files.read(log))
    }

    @Test(
        "promtool finds nothing in the metrics, and the tests of the alert rules pass",
        .enabled(if: access(promtool, X_OK) == 0, "promtool is not installed"))
    func accepted() async throws {
        let (scene, _) = try await fullPage()
        let body = try #require(Client(port: try port(scene)).get("/metrics")?.body)
        let file = scene.path("page.prom")
        Files.write(file, body)
        let check = try await run("\(promtool) check metrics <\(file)", in: scene.folder.path)
        #expect(check.exit == .code(0) && check.output.isEmpty, "\(check.output)")
        let folder = "\(Self.root)/examples/prometheus"
        let rules = try await run("\(promtool) test rules \(folder)/alerts.test.yaml", in: scene.folder.path)
        #expect(rules.exit == .code(0), "\(rules.output)")
        let config = try await run("\(promtool) check config \(folder)/prometheus.yaml", in: scene.folder.path)
        #expect(config.exit == .code(0), "\(config.output)")
        // Each alert has a test in which it fires.
        let tests = try Self.text("examples/prometheus/alerts.test.yaml")
        for rule in try Self.text(Self.rules).matches(of: /alert: (\w+)/) {
            #expect(tests.contains("alertname: \(rule.1)\n        exp_alerts:\n"), "\(rule.1) is not tested")
        }
    }
}
