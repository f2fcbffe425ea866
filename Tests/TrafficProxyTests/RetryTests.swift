import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Retries within an arm", .timeLimit(.minutes(15)))
struct RetryTests {
    private static let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"

    @Test("a POST that no connection took goes to each other server once, and counts once")
    func refused() throws {
        let server = try NamedServer("a")
        for _ in 0..<10 {
            // Fresh each time: nothing is known of the servers.
            let fixture = try ProxyFixture(baseline: [deadPort(), deadPort(), deadPort(), server.port])
            #expect(fixture.exchange(Self.post).text == "a POST / body")
            let batch = fixture.proxy.drain()
            #expect(batch.ended.map(\.outcome) == [.success])
        }
        #expect(server.requests.count == 10)
    }

    @Test("attempts are bounded, however many servers there are")
    func bounded() throws {
        let fixture = try ProxyFixture(baseline: (0..<12).map { _ in deadPort() })
        let response = fixture.exchange(Self.post)
        #expect(response.status == 503)
        let batch = fixture.proxy.drain()
        #expect(batch.ended.map(\.outcome) == [.connectFailure])
        #expect(batch.health[0].reachable == 8)
    }

    @Test("a server that does not take the connection in time is left for another")
    func hanging() throws {
        let full = FullBacklog()
        let server = try NamedServer("a")
        let traffic = TrafficRules(timeouts: Timeouts(connect: .milliseconds(100)))
        let fixture = try ProxyFixture(baseline: [full.port, server.port], traffic: traffic)
        for _ in 0..<4 { #expect(fixture.exchange(Self.post).text == "a POST / body") }
        let seen = fixture.observations(4)
        #expect(seen.allSatisfy { $0.outcome == .success })
        // The one that met it waited for it, and says so.
        #expect(seen.count { $0.total >= 100_000 } == 1)
        #expect(server.requests.count == 4)
        let alone = try ProxyFixture(baseline: [full.port], traffic: traffic)
        let response = alone.exchange(Self.post)
        #expect(response.status == 504)
        #expect(response.text.contains("\"connect_timeout\""))
        #expect(alone.observations(1)[0].outcome == .connectFailure)
        // The full backlog keeps its port until the end of the test.
        withExtendedLifetime(full) {}
    }

    @Test("what was sent to a server that took it is never sent to another, whatever it did then")
    func sent() throws {
        let bodies = Mutex(0)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "body")
            bodies.withLock { $0 += 1 }
            peer.reset()
        }
        let other = try NamedServer("other")
        let fixture = try ProxyFixture(baseline: [upstream.port, other.port])
        var statuses: [Int] = []
        for _ in 0..<4 { statuses.append(fixture.exchange(Self.post).status) }
        let broken = bodies.withLock { $0 }
        #expect(broken > 0)
        #expect(statuses.count { $0 == 502 } == broken)
        #expect(other.requests.count == 4 - broken)
        #expect(fixture.observations(4).count { $0.outcome == .connectFailure } == broken)
    }

    @Test("after a stale connection a new one is opened, though others rest that may be stale as well")
    func manyStale() throws {
        // Answers one request a connection; on a second it closes without a word.
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(BodyTests.ok)
            _ = peer.receive(until: "\r\n\r\n")
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let clients = (0..<6).map { _ in fixture.client() }
        // All open at the same time, so that each has a connection of its own.
        for client in clients { client.send("GET / HTTP/1.1\r\n") }
        for client in clients { client.send("Host: x\r\n\r\n") }
        for client in clients { #expect(client.receiveResponse().status == 200) }
        let before = upstream.accepted
        clients[0].send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(clients[0].receiveResponse().status == 200)
        #expect(upstream.accepted == before + 1)
    }
}

/// A listener whose backlog is full: attempts to connect get no response.
final class FullBacklog {
    let port: UInt16
    private let listener: Int32
    private var waiting: [Int32] = []

    init() {
        let socket = LoopbackSocket(backlog: 0)
        (port, listener) = (socket.port, socket.descriptor)
        for _ in 0..<4 {
            let fd = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            _ = LoopbackSocket.connect(fd, port: port)
            waiting.append(fd)
        }
    }

    deinit { for fd in waiting + [listener] { close(fd) } }
}
