import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

/// Clients of a listener that a later plan does not name.
@Suite("Closed listeners", .timeLimit(.minutes(15)))
struct ClosedListenerTests {
    private static let request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

    /// Publishes plans without the service, or with it on another address, so that the memory of the first plan is freed.
    private func closeListener(_ fixture: ProxyFixture, movesService: Bool) throws {
        for _ in 0..<3 {
            if movesService {
                fixture.plan.services[0].listen = [.unix(path: "/tmp/canaryd-moved-\(fixture.port).sock")]
                try fixture.proxy.prepare(fixture.plan)
            } else {
                fixture.plan.services = []
            }
            fixture.proxy.publish(fixture.plan)
        }
    }

    @Test("an idle client is disconnected, and nothing listens any more", arguments: [false, true])
    func idle(movesService: Bool) throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let client = fixture.client()
        client.send(Self.request)
        #expect(client.receiveResponse().status == 200)
        try closeListener(fixture, movesService: movesService)
        #expect(client.receiveAll() == "")
        #expect(fixture.proxy.connectionCount == 0)
    }

    @Test("a request under way gets its response, and then the connection ends", arguments: [false, true])
    func underWay(movesService: Bool) throws {
        let release = Mutex(false)
        let arrived = Mutex(false)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            arrived.withLock { $0 = true }
            eventually { release.withLock { $0 } }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send(Self.request)
        eventually { arrived.withLock { $0 } }
        try closeListener(fixture, movesService: movesService)
        release.withLock { $0 = true }
        let response = client.receiveResponse()
        #expect(response.status == 200 && response.text == "ok" && response["connection"] == "close")
        #expect(client.receiveAll() == "")
    }

    @Test("a request whose head is not complete yet finds no service", arguments: [false, true])
    func halfAHead(movesService: Bool) throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let client = fixture.client()
        client.send(Self.request)
        #expect(client.receiveResponse().status == 200)
        client.send("GET /b HTTP/1.1\r\n")
        // The loop has read the beginning of the head once it has done a later request of another client.
        eventually { fixture.exchange(Self.request).status == 200 && server.requests.count > 20 }
        try closeListener(fixture, movesService: movesService)
        client.send("Host: x\r\n\r\n")
        let response = client.receiveResponse()
        #expect(response.status == 404 && response["connection"] == "close", "\(response.head)")
        #expect(!server.requests.contains { $0.path == "/b" })
    }
}
