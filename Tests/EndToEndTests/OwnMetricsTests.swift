import AdminTypes
import Glibc
import PrometheusText
import Testing

@Suite("The agent's own metrics and log", .timeLimit(.minutes(15)))
struct OwnMetricsTests {
    private func metrics(_ scene: Scene) throws -> Exposition {
        let (status, body) = try scene.admin.exchange("GET", "/metrics")
        #expect(status == 200)
        return try ExpositionParser.parse(body)
    }

    private func value(_ name: String, _ labels: [String: String] = [:], in exposition: Exposition) -> Double? {
        let found = exposition.samples.filter { sample in
            sample.name == name && labels.allSatisfy { sample[$0.key] == $0.value }
        }
        return found.isEmpty ? nil : found.reduce(0) { $0 + $1.value }
    }

    @Test("every request is counted once, by version and outcome, and the state in force is exported")
    func requests() async throws {
        let scene = try Scene { $0.strategy = "{steps: [{weight: 50%, hold: 10m}]}" }
        scene.new.behave { $0.status = 404 }
        let more = ", metrics: {preset: reference, interval: 200ms, timeout: 200ms}"
        scene.service.versions[0].entry = ServiceFile.entry(scene.old, more: more)
        scene.old.behave { $0.metrics = "up 1\n" }
        scene.write()
        try await scene.start()
        try await scene.wait("the step") { $0.candidateWeight.basisPoints == 5_000 }
        let client = Client(port: scene.service.port)
        var sent: [String: Double] = [:]
        for _ in 0..<60 { sent[try #require(client.get()).version, default: 0] += 1 }
        try await until("all are counted") {
            value("canaryd_requests_total", in: try metrics(scene)) == 60
        }
        let now = try metrics(scene)
        for (version, count) in sent {
            #expect(value("canaryd_requests_total", ["service": "web", "version": version], in: now) == count)
            #expect(value("canaryd_request_duration_seconds_count", ["version": version], in: now) == count)
        }
        #expect(value("canaryd_candidate_weight_ratio", ["service": "web"], in: now) == 0.5)
        #expect(value("canaryd_phase", ["phase": "step"], in: now) == 1)
        #expect(value("canaryd_phase", in: now) == 1)
        #expect((value("process_resident_memory_bytes", in: now) ?? 0) > 1e6)
        #expect(value("canaryd_client_connections", in: now) == 1)
        #expect((value("canaryd_upstream_connections", in: now) ?? 0) >= 2)
        try await until("scrapes are counted") {
            (value("canaryd_scrapes_total", ["version": "old", "result": "ok"], in: try metrics(scene)) ?? 0) > 1
        }
    }

    @Test("memory that only the start needed is released")
    func memory() async throws {
        let scene = try Scene(candidate: nil)
        try await scene.start()
        let resident = { try #require(value("process_resident_memory_bytes", in: try metrics(scene))) }
        // The peak is read from /proc: on a busy machine, the pages may be released before the first scrape.
        let agent = try #require(scene.agent)
        let peak = try #require(
            Files.read("/proc/\(agent.pid)/status").split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
                .flatMap { Double($0.split(whereSeparator: { $0 == " " || $0 == "\t" })[1]) })
        try await until("pages are released") { try resident() < 0.8 * peak * 1024 }
    }

    @Test("under systemd each line of the log begins with its priority")
    func journal() async throws {
        let scene = try Scene(candidate: nil)
        let settings = Files.read(scene.path("canaryd.yaml"))
        Files.write(scene.path("canaryd.yaml"), settings.replacing("format: plain", with: "level: notice"))
        // JOURNAL_STREAM has to name the file to which standard error goes.
        Files.write(scene.path("canaryd.log"), "")
        let stream: String = try #require(Files.identity(scene.path("canaryd.log")))
        try scene.launch(environment: ["JOURNAL_STREAM": stream])
        try await until("the agent is ready", or: { scene.log }) { scene.log.contains("<5>ready ") }
        scene.policy("quick", Policies.quick.replacing("p95, max", with: "p59x, max"))
        scene.agent?.signal(SIGHUP)
        try await until("the reload is refused") { scene.log.contains("not reloaded") }
        for line in scene.log.split(separator: "\n") { #expect(line.hasPrefix("<"), "\(line)") }
        #expect(scene.log.contains("<3>") && scene.log.contains("quick.yaml:7:"))
    }
}
