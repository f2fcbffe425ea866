import Analysis
import PolicyModel
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Ejection of outliers", .timeLimit(.minutes(15)))
struct EjectionTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    private static let three = TrafficRules(
        outlierDetection: OutlierDetection(consecutive5xx: 3, consecutiveGatewayFailure: 2))

    private func isEjected(_ state: ServerState) -> Bool { if case .ejected = state { true } else { false } }

    @Test("a server that keeps failing is left out on every loop, and the others take its requests")
    func left() throws {
        let good = try NamedServer("good")
        let bad = try NamedServer("bad", status: 500)
        let fixture = try ProxyFixture(baseline: [good.port, bad.port], traffic: Self.three, loops: 2)
        var requests = 0
        while bad.requests.count < 3 || !isEjected(fixture.proxy.drain().health[0].states[1]) {
            _ = fixture.exchange(Self.get)
            requests += 1
            try #require(requests < 10_000)
        }
        // A loop that reported it had told the other before; the second report comes after the other heard.
        #expect(fixture.waitFor(.baseline) { isEjected($0[1]) } == 1)
        let before = bad.requests.count
        for _ in 0..<30 { #expect(fixture.exchange(Self.get).status == 200) }
        #expect(bad.requests.count == before)
    }

    @Test("a candidate whose only server is out fails at once, as a version that cannot be reached")
    func candidate() throws {
        let baseline = try NamedServer("old")
        let candidate = try NamedServer("new", status: 500)
        let fixture = try ProxyFixture(
            baseline: [baseline.port], candidate: [candidate.port], weight: 10_000, traffic: Self.three)
        let client = fixture.client()
        for status in [500, 500, 500, 503, 503] {
            client.send(Self.get)
            let reply = client.receiveResponse()
            #expect(reply.status == status)
            #expect(reply["x-canary-version"] == "new")
            #expect(reply["retry-after"] == (status == 503 ? "1" : nil))
        }
        #expect(candidate.requests.count == 3)
        #expect(fixture.waitFor(.candidate) { isEjected($0[0]) } == 0)
        let seen = fixture.observations(5)
        #expect(seen.map(\.arm) == Array(repeating: .candidate, count: 5))
        #expect(seen.map(\.outcome) == [.serverError, .serverError, .serverError, .connectFailure, .connectFailure])
    }

    @Test("a baseline whose only server is out still uses it: there is no better place")
    func baseline() throws {
        let server = try NamedServer("old", status: 503)
        let fixture = try ProxyFixture(baseline: [server.port], traffic: Self.three)
        for _ in 0..<8 { #expect(fixture.exchange(Self.get).text.hasPrefix("old ")) }
        #expect(fixture.waitFor(.baseline) { isEjected($0[0]) } == 1)
        #expect(server.requests.count == 8)
    }

    @Test("a server that takes connections and never answers well is an outlier, and one that refuses is not")
    func gateway() throws {
        let silent = ScriptedUpstream { peer, _ in _ = peer.receive(until: "\r\n\r\n") }
        let fixture = try ProxyFixture(
            baseline: [silent.port, deadPort()], candidate: [silent.port], weight: 0, traffic: Self.three)
        for _ in 0..<12 { #expect(fixture.exchange(Self.get).status == 502) }
        _ = fixture.waitFor(.baseline) { isEjected($0[0]) && $0[1] == .refusing }
    }

    @Test("of two servers that fail only one is taken out, where half may be")
    func share() throws {
        let a = try NamedServer("a", status: 500)
        let b = try NamedServer("b", status: 500)
        let baseline = try NamedServer("old")
        let fixture = try ProxyFixture(
            baseline: [baseline.port], candidate: [a.port, b.port], weight: 10_000, traffic: Self.three)
        for _ in 0..<40 { #expect(fixture.exchange(Self.get).status == 500) }
        #expect(fixture.waitFor(.candidate) { $0.count(where: isEjected) == 1 } == 1)
    }

    @Test("a failure that the baseline makes good is the candidate's server's all the same")
    func rescued() throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new", status: 500)
        var traffic = Self.three
        traffic.rescue = Rescue()
        let fixture = try ProxyFixture(
            baseline: [old.port], candidate: [new.port], weight: 10_000, traffic: traffic)
        for _ in 0..<6 { #expect(fixture.exchange(Self.get).text.hasPrefix("old ")) }
        #expect(new.requests.count == 3)
        #expect(fixture.waitFor(.candidate) { isEjected($0[0]) } == 0)
    }

    @Test("rules that change begin to count anew")
    func changed() throws {
        let server = try NamedServer("new", status: 500)
        let old = try NamedServer("old")
        let fixture = try ProxyFixture(
            baseline: [old.port], candidate: [server.port], weight: 10_000, traffic: Self.three)
        for status in [500, 500, 500, 503] { #expect(fixture.exchange(Self.get).status == status) }
        fixture.plan.services[0].traffic.outlierDetection?.consecutive5xx = 2
        fixture.proxy.publish(fixture.plan)
        for status in [500, 500, 503] { #expect(fixture.exchange(Self.get).status == status) }
        fixture.plan.services[0].traffic.outlierDetection = nil
        fixture.proxy.publish(fixture.plan)
        for _ in 0..<9 { #expect(fixture.exchange(Self.get).status == 500) }
    }
}
