import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Names of servers", .timeLimit(.minutes(15)))
struct ResolverTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    private static let quick = Resolver.Times(refresh: .milliseconds(5), retry: .milliseconds(5))

    /// A resolver that says what a test wants: a port of this machine, or why there is none.
    private final class Names: Sendable {
        let port = Mutex<UInt16?>(nil)
        let asked = Mutex(0)

        func lookUp(_ endpoint: Endpoint) -> Resolver.LookUpResult {
            asked.withLock { $0 += 1 }
            guard let port = port.withLock({ $0 }) else { return .failure("no such host") }
            var address = ce_address()
            _ = ce_resolve_literal("127.0.0.1", port, &address)
            return .addresses([address])
        }
    }

    private func fixture(_ names: Names, loops: Int = 2) throws -> ProxyFixture {
        try ProxyFixture(
            baseline: [80], loops: loops, host: "model.example", times: Self.quick, lookUp: { names.lookUp($0) })
    }

    @Test("a server without an address is a version that cannot be reached, until its name resolves")
    func appears() throws {
        let names = Names()
        let fixture = try fixture(names)
        let reply = fixture.exchange(Self.get)
        #expect(reply.status == 503)
        #expect(reply.text.contains("\"no_server\""))
        #expect(fixture.observations(1)[0].outcome == .connectFailure)
        #expect(fixture.waitFor(.baseline) { $0 == [.unresolved(reason: "no such host")] } == 0)
        #expect(fixture.proxy.unresolved(fixture.plan).map(\.reason) == ["no such host"])
        let server = try NamedServer("found")
        names.port.withLock { $0 = server.port }
        #expect(fixture.waitFor(.baseline) { $0 == [.healthy] } == 1)
        for _ in 0..<8 { #expect(fixture.exchange(Self.get).text.hasPrefix("found ")) }
        #expect(fixture.proxy.unresolved(fixture.plan).isEmpty)
    }

    @Test("a server that moves takes its requests along, and connections to where it was are not used again")
    func moves() throws {
        let names = Names()
        let old = try NamedServer("old")
        let new = try NamedServer("new")
        names.port.withLock { $0 = old.port }
        let fixture = try fixture(names)
        let client = fixture.client()
        client.send(Self.get)
        #expect(client.receiveResponse().text.hasPrefix("old "))
        names.port.withLock { $0 = new.port }
        var requests = 0
        while new.requests.isEmpty {
            _ = fixture.exchange(Self.get)
            requests += 1
            try #require(requests < 100_000)
        }
        // The loops hear of it one after the other; a report of all comes after.
        _ = fixture.proxy.drain()
        let before = old.requests.count
        client.send(Self.get)
        #expect(client.receiveResponse().text.hasPrefix("new "))
        #expect(old.requests.count == before)
    }

    @Test("a name that cannot be looked up any more keeps its address, also under a new plan")
    func keeps() throws {
        let names = Names()
        let server = try NamedServer("kept")
        names.port.withLock { $0 = server.port }
        let fixture = try fixture(names)
        #expect(fixture.exchange(Self.get).status == 200)
        names.port.withLock { $0 = nil }
        let before = names.asked.withLock { $0 }
        eventually { names.asked.withLock({ $0 }) >= before + 3 }
        fixture.setWeight(0)
        #expect(fixture.exchange(Self.get).status == 200)
        #expect(fixture.proxy.unresolved(fixture.plan).isEmpty)
        #expect(fixture.proxy.drain().health[0].states == [.healthy])
    }

    @Test("of several addresses one is kept for as long as it is among them")
    func several() throws {
        let server = try NamedServer("a")
        let turn = Mutex(0)
        let fixture = try ProxyFixture(
            baseline: [80], host: "model.example", times: Self.quick,
            lookUp: { _ in
                var addresses = [ce_address(), ce_address()]
                _ = ce_resolve_literal("127.0.0.1", server.port, &addresses[0])
                _ = ce_resolve_literal("127.0.0.1", 1, &addresses[1])
                let n = turn.withLock { turn in
                    turn += 1
                    return turn
                }
                return .addresses(n == 1 ? addresses : addresses.reversed())
            })
        eventually { turn.withLock({ $0 }) >= 5 }
        #expect(fixture.exchange(Self.get).status == 200)
    }

    @Test("a resolver that does not answer holds nothing up but its own names")
    func hangs() throws {
        let release = Mutex(false)
        defer { release.withLock { $0 = true } }
        let server = try NamedServer("literal")
        let fixture = try ProxyFixture(
            baseline: [server.port],
            lookUp: { _ in
                eventually { release.withLock({ $0 }) }
                return .failure("too late")
            })
        var second = fixture.plan.services[0]
        second.name = "second"
        second.slot = 8
        second.route = Route(path: "/second")
        second.baseline.servers = [Endpoint(host: "model.example", port: 80)]
        fixture.plan.services.append(second)
        try fixture.proxy.prepare(fixture.plan)
        fixture.proxy.publish(fixture.plan)
        #expect(fixture.exchange(Self.get).status == 200)
        #expect(fixture.exchange("GET /second HTTP/1.1\r\nHost: x\r\n\r\n").status == 503)
        let states = fixture.proxy.drain().health.map(\.states)
        #expect(states == [[.healthy], [.unresolved(reason: "it is being looked up")]])
    }
}
