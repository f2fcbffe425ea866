import Glibc
import Testing

@Suite("Signals, sockets and systemd", .timeLimit(.minutes(15)))
struct ServiceManagerTests {
    @Test("SIGTERM lets requests in flight finish and ends with 0")
    func drain() async throws {
        let scene = try Scene(candidate: nil)
        try await scene.start()
        scene.old.behave { $0.holds = true }
        let clients = (0..<5).map { _ in Client(port: scene.service.port) }
        for client in clients { #expect(client.send()) }
        try await until("all requests are open") { scene.old.hits == 5 }
        scene.agent?.signal(SIGTERM)
        try await until("new clients are refused") { !Client(port: scene.service.port).connect() }
        #expect(scene.agent?.isRunning == true)
        scene.old.release()
        for client in clients { #expect(client.receive()?.status == 200) }
        #expect(try await scene.agent?.wait() == .code(0))
        #expect(Files.mode(scene.path("admin.sock")) == nil)
    }

    @Test("a second SIGTERM ends the agent at once, and the stop still counts as clean")
    func secondSignal() async throws {
        let scene = try Scene { $0.strategy = "{steps: [{weight: 50%, hold: 10m}]}" }
        try await scene.start()
        try await scene.wait("the rollout runs") { $0.candidateWeight.basisPoints == 5_000 }
        for server in [scene.old, scene.new] { server.behave { $0.holds = true } }
        let client = Client(port: scene.service.port)
        #expect(client.send())
        try await until("the request is open") { scene.old.hits + scene.new.hits == 1 }
        scene.agent?.signal(SIGTERM)
        try await until("the agent stops") { scene.log.contains("stopping: ") }
        #expect(try await scene.end(SIGTERM) == .code(0))
        #expect(client.receive() == nil)
        for server in [scene.old, scene.new] { server.behave { $0.holds = false } }
        try await scene.start()
        #expect(try scene.status().rollout?.recovering == false)
    }

    @Test("only owner and group may use the sockets")
    func modes() async throws {
        let scene = try Scene(candidate: nil)
        try await scene.start()
        #expect(Files.mode(scene.path("admin.sock")) == 0o660)
        #expect(Files.mode(scene.path("feedback.sock")) == 0o660)
        // The sockets that a killed agent leaves behind do not prevent the next start.
        try await scene.kill()
        #expect(Files.mode(scene.path("admin.sock")) == 0o660)
        try await scene.start()
        #expect(try scene.status().serving == "old")
    }

    @Test("the service manager is notified with READY, WATCHDOG, RELOADING and STOPPING")
    func notifications() async throws {
        let scene = try Scene(candidate: nil)
        let manager = try NotifySocket(path: scene.path("notify.sock"))
        try await scene.start(environment: ["NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"])
        try await until("READY", or: { manager.heard.joined(separator: "\n") }) { manager.has("READY=1") }
        try await until("WATCHDOG thrice") { manager.count("WATCHDOG=1") >= 3 }
        let ready = manager.count("READY=1")
        _ = try await scene.reload()
        try await until("READY again") { manager.count("READY=1") > ready }
        let reloading = try #require(manager.heard.first { $0.hasPrefix("RELOADING=1") })
        #expect(reloading.contains("MONOTONIC_USEC="))
        try await scene.end()
        #expect(manager.has("STOPPING=1"))
    }
}

/// Receives notifications as systemd does: see sd_notify(3).
private final class NotifySocket {
    let path: String
    private let descriptor: Int32
    private var messages: [String] = []

    init(path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0 else { throw HarnessError("\(path) cannot be bound") }
    }

    deinit { close(descriptor) }

    var heard: [String] {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { return messages }
            messages.append(String(decoding: buffer[..<count], as: UTF8.self))
        }
    }

    func count(_ line: String) -> Int { heard.count { $0.split(separator: "\n").contains { $0 == line } } }
    func has(_ line: String) -> Bool { count(line) > 0 }
}
