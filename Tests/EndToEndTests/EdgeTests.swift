import Glibc
import Testing

@Suite("Trust and the access log", .timeLimit(.minutes(15)))
struct EdgeTests {
    private func lines(_ scene: Scene, _ name: String) -> [Substring] {
        Files.read(scene.path(name)).split(separator: "\n")
    }

    private func start(_ scene: Scene, _ settings: String) async throws {
        let file = scene.path("canaryd.yaml")
        Files.write(file, Files.read(file) + settings + "\n")
        try await scene.start()
    }

    @Test("the access log continues in a new file after SIGHUP, even if other files have errors")
    func rotation() async throws {
        let scene = try Scene(candidate: nil)
        try await start(scene, "accessLog: {path: access.log}")
        let client = Client(port: scene.service.port)
        _ = client.get("/first?token=1")
        try await until("the line is written") { lines(scene, "access.log").count == 1 }
        rename(scene.path("access.log"), scene.path("access.log.1"))
        scene.policy("quick", "nonsense")
        #expect(try await scene.reload().contains("not reloaded"))
        _ = client.get("/second")
        try await until("the line is written") { lines(scene, "access.log").count == 1 }
        #expect(lines(scene, "access.log")[0].contains("\"path\":\"/second\",\"status\":200"))
        let first = lines(scene, "access.log.1")
        #expect(first.count == 1 && first[0].contains("\"path\":\"/first\",\"status\":200"))
        let (_, metrics) = try scene.admin.exchange("GET", "/metrics")
        let text = String(decoding: metrics, as: UTF8.self)
        #expect(text.contains("canaryd_access_log_lines_total{result=\"written\"} 2"))
        _ = client.get("/last")
        let exit = try await scene.end()
        #expect(exit == .code(0))
        #expect(lines(scene, "access.log").count == 2)
    }

    @Test("an access log that cannot be opened is refused at the start in one line")
    func refused() async throws {
        let scene = try Scene(candidate: nil)
        let file = scene.path("canaryd.yaml")
        Files.write(file, Files.read(file) + "accessLog: {path: nowhere/access.log}\n")
        _ = try await scene.launch().wait()
        #expect(scene.log.contains("nowhere/access.log cannot be opened") && scene.log.contains("create its folder"))
    }

    @Test("a client on this host may choose an arm, unless the agent trusts no network", arguments: [true, false])
    func trust(trusts: Bool) async throws {
        let scene = try Scene {
            $0.strategy = "{steps: [{weight: 1%, hold: 10m}]}"
            $0.extra =
                "traffic: {match: [{header: x-canary, equals: always, to: candidate}], sticky: {header: x-user}}\n"
        }
        try await start(scene, trusts ? "" : "trustedNetworks: []")
        try await scene.wait("the step") { $0.candidateWeight.basisPoints == 100 }
        // Find a key that the split assigns to the baseline, with requests that do not match.
        let client = Client(port: scene.service.port)
        var key = 0
        while client.get(headers: [("x-user", "\(key)")])?.version != "old" { key += 1 }
        let response = client.get(headers: [("x-user", "\(key)"), ("x-canary", "always")])
        #expect(response?.version == (trusts ? "new" : "old"))
    }
}
