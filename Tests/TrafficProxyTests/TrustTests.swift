import Analysis
import CLinuxEngine
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Trust", .timeLimit(.minutes(15)))
struct TrustTests {
    /// The head that the server gets.
    private func relay(
        _ fields: String, trusted: TrustedNetworks, headers: HeaderRules = HeaderRules()
    ) throws -> String {
        let seen = Mutex("")
        let upstream = ScriptedUpstream { peer, _ in
            let head = peer.receive(until: "\r\n\r\n")
            seen.withLock { $0 = head }
            peer.send(BodyTests.ok)
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(
            baseline: [upstream.port], traffic: TrafficRules(headers: headers), trusted: trusted)
        #expect(fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n\r\n").status == 200)
        return seen.withLock { $0 }
    }

    static let claims = """
        X-Forwarded-For: 6.6.6.6\r\nX-FORWARDED-PROTO: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r
        X-Real-IP: 6.6.6.6\r\nX-Canary: evil\r\nX-Canary-Thing: evil\r\nx-forwarded: evil\r\nOther: 1
        """

    @Test("what a client that is not trusted says of addresses and routing does not reach the server")
    func untrusted() throws {
        let head = try relay(Self.claims, trusted: TrustedNetworks())
        #expect(!head.contains("6.6.6.6") && !head.contains("evil"))
        #expect(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"))
        #expect(head.contains("\r\nx-forwarded-proto: http\r\n"))
        #expect(head.contains("\r\nOther: 1\r\n"))
    }

    @Test("what a trusted client says stays, and its own address is added")
    func trusted() throws {
        let head = try relay(Self.claims, trusted: .host)
        #expect(head.contains("\r\nx-forwarded-for: 6.6.6.6, 127.0.0.1\r\n"))
        for line in Self.claims.split(separator: "\r\n").dropFirst() where !line.hasPrefix("Forwarded") {
            #expect(head.contains("\r\n\(line)\r\n"))
        }
        #expect(head.contains("\r\nforwarded: for=6.6.6.6\r\n"))
    }

    @Test(
        "underscores for hyphens hide no reserved name, whoever sends them", arguments: [TrustedNetworks.host, .init()])
    func aliases(trusted: TrustedNetworks) throws {
        let head = try relay(
            "x_forwarded_for: evil\r\nX-Forwarded_For: evil\r\nx_forwarded_host: evil\r\nX_Real_IP: evil\r\nx_canary: evil\r\n"
                + "x-canary_version: evil\r\nx_request_id: evil\r\nx-request_id: evil\r\nmy_own: 5", trusted: trusted,
            headers: HeaderRules(requestID: .keep))
        for line in head.split(separator: "\r\n") where line.contains("_") { #expect(line == "my_own: 5") }
        #expect(!head.contains("evil"))
    }

    @Test("a client cannot make fields of ours vanish by naming them in Connection")
    func connectionNames() throws {
        for trusted in [TrustedNetworks.host, TrustedNetworks()] {
            let head = try relay(
                "Connection: x-request-id, X-Forwarded-For, x-forwarded-proto, forwarded, x-canary\r\n"
                    + "X-Request-Id: mine\r\n\(Self.claims)", trusted: trusted, headers: HeaderRules(rfc7239: true))
            #expect(head.contains("\r\nx-request-id: mine\r\n"))
            #expect(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"))
            #expect(head.contains("\r\nx-forwarded-proto: http\r\n"))
            #expect(head.contains("\r\nforwarded: for=127.0.0.1;proto=http\r\n"))
            #expect(!head.lowercased().contains("\r\nx-canary:"))
        }
    }

    @Test("append and replace do the same for everyone, and off tells the server nothing")
    func modes() throws {
        let both = [TrustedNetworks.host, TrustedNetworks()]
        for trusted in both {
            let appended = try relay(
                Self.claims, trusted: trusted, headers: HeaderRules(forwarded: .append, rfc7239: true))
            #expect(appended.contains("\r\nx-forwarded-for: 6.6.6.6, 127.0.0.1\r\n"))
            #expect(appended.contains("\r\nforwarded: for=6.6.6.6, for=127.0.0.1;proto=http\r\n"))
            let replaced = try relay(
                Self.claims, trusted: trusted, headers: HeaderRules(forwarded: .replace, rfc7239: true))
            #expect(replaced.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"))
            #expect(replaced.contains("\r\nforwarded: for=127.0.0.1;proto=http\r\n"))
            #expect(!replaced.contains("6.6.6.6"))
            let off = try relay(Self.claims, trusted: trusted, headers: HeaderRules(forwarded: .off))
            #expect(!off.lowercased().contains("forwarded"))
            #expect(!off.contains("6.6.6.6"))
        }
    }

    @Test("whose request id is kept is the service's matter")
    func requestIDs() throws {
        let kept: [(RequestIDRule, Bool, Bool)] = [
            (.keep, true, true), (.keep, false, true), (.trusted, true, true), (.trusted, false, false),
            (.new, true, false), (.new, false, false),
        ]
        for (rule, isTrusted, isKept) in kept {
            let head = try relay(
                "X-Request-Id: mine", trusted: isTrusted ? .host : TrustedNetworks(),
                headers: HeaderRules(requestID: rule))
            #expect(head.contains("\r\nx-request-id: mine\r\n") == isKept)
            #expect(head.contains("\r\nx-request-id: "))
        }
    }

    @Test(
        "a match on a reserved name is for trusted clients, unless it is x-canary and opened; any other is for everyone",
        arguments: [
            ("x-canary", nil, true, true), ("x-canary", nil, false, false), ("x-canary", false, false, true),
            ("x_canary", nil, false, false), ("x-tenant", nil, false, true), ("x-tenant", true, false, false),
            ("x-tenant", true, true, true), ("x-forwarded-host", nil, false, false),
            ("x-forwarded-host", nil, true, true), ("x-forwarded-for", false, false, false),
            ("forwarded", false, false, false), ("x-real-ip", nil, false, false), ("x-real-ip", nil, true, true),
        ] as [(String, Bool?, Bool, Bool)])
    func match(header: String, needsTrust: Bool?, isTrusted: Bool, isForced: Bool) throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new")
        let rule = HeaderMatch(header: header, equals: "always", to: .candidate, trusted: needsTrust)
        let fixture = try ProxyFixture(
            baseline: [old.port], candidate: [new.port], traffic: TrafficRules(match: [rule]),
            trusted: isTrusted ? .host : TrustedNetworks())
        let response = fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\(header): always\r\n\r\n")
        #expect(response["x-canary-version"] == (isForced ? "new" : "old"))
        #expect(fixture.observations(1)[0].flags.contains(.matched) == isForced)
    }

    @Test("ordinary clients are kept on their arm by their key; by a reserved name only trusted ones are")
    func sticky() throws {
        let old = try NamedServer("old")
        for (name, isTrusted, isKeyed) in [
            ("x-user-id", false, true), ("x-forwarded-for", false, false), ("x-forwarded-for", true, true),
        ] {
            let fixture = try ProxyFixture(
                baseline: [old.port], traffic: TrafficRules(sticky: .header(name)),
                trusted: isTrusted ? .host : TrustedNetworks())
            _ = fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\(name): 7\r\n\r\n")
            #expect(fixture.observations(1)[0].flags.contains(.keyless) == !isKeyed)
        }
    }

    @Test("a network holds its own addresses and no others")
    func networks() {
        let ten = TrustedNetworks.Network(high: 0, low: 0xffff_0a00_0000, prefix: 104)
        #expect(ten.contains(high: 0, low: 0xffff_0aff_ffff) && !ten.contains(high: 0, low: 0xffff_0b00_0000))
        let all = TrustedNetworks.Network(high: 0, low: 0, prefix: 0)
        #expect(all.contains(high: .max, low: 1) && !all.contains(high: 0, low: 0xffff_0a00_0001))
        let unique = TrustedNetworks.Network(high: 0xfd00 << 48, low: 0, prefix: 8)
        #expect(unique.contains(high: 0xfdff << 48, low: 9) && !unique.contains(high: 0xfe00 << 48, low: 9))
        let odd = TrustedNetworks.Network(high: 1, low: 0xf000 << 48, prefix: 68)
        #expect(odd.contains(high: 1, low: 0xf1 << 56) && !odd.contains(high: 1, low: 0xe1 << 56))
        var socket = ce_ip()
        socket.is_unix = 1
        #expect(TrustedNetworks.host.contains(socket) && !TrustedNetworks(networks: [all]).contains(socket))
    }
}
