import Analysis
import Glibc
import HTTPEngine
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Dealing", .timeLimit(.minutes(15)))
struct DealingTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test("the split is that of the plan, and observations say so")
    func ratio() throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new")
        let fixture = try ProxyFixture(baseline: [old.port], candidate: [new.port], weight: 2500, loops: 2)
        let client = fixture.client()
        var candidates = 0
        let count = 4000
        for start in stride(from: 0, to: count, by: 100) {
            _ = start
            client.send(String(repeating: Self.get, count: 100))
            for _ in 0..<100 where client.receiveResponse()["x-canary-version"] == "new" { candidates += 1 }
        }
        // Six standard deviations of a binomial are 164.
        #expect(abs(candidates - count / 4) < 165)
        let seen = fixture.observations(count)
        #expect(seen.count { $0.arm == .candidate } == candidates)
        #expect(seen.allSatisfy { ($0.place < 2500) == ($0.arm == .candidate) && !$0.flags.contains(.keyless) })
    }

    @Test("a key stays with the candidate while its weight grows")
    func sticky() throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new")
        let fixture = try ProxyFixture(
            baseline: [old.port], candidate: [new.port], traffic: TrafficRules(sticky: .header("x-user-id")))
        let client = fixture.client()
        var before = Set<Int>()
        for weight in [500, 1000, 2500, 5000, 10_000] {
            fixture.setWeight(weight)
            var now = Set<Int>()
            for user in 0..<200 {
                client.send("GET / HTTP/1.1\r\nHost: x\r\nX-User-ID: user-\(user)\r\n\r\n")
                let arm = client.receiveResponse()["x-canary-version"]
                let expected = fixture.plan.services[0].split.select(TrafficSplit.hash(key: "user-\(user)"))
                #expect(arm == (expected == .candidate ? "new" : "old"))
                if arm == "new" { now.insert(user) }
            }
            #expect(before.isSubset(of: now))
            before = now
        }
        #expect(before.count == 200)
        client.send(Self.get)
        _ = client.receiveResponse()
        #expect(fixture.observations(1001).last?.flags == [.judged, .keyless])
    }

    @Test("a cookie can be the key, wherever it stands")
    func cookieKey() throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new")
        let fixture = try ProxyFixture(
            baseline: [old.port], candidate: [new.port], weight: 5000, traffic: TrafficRules(sticky: .cookie("uid")))
        let client = fixture.client()
        for user in 0..<50 {
            let arm = fixture.plan.services[0].split.select(TrafficSplit.hash(key: "u\(user)"))
            for line in [
                "uid=u\(user)", "a=b; uid=u\(user); c=d", "xuid=no;uid=\"u\(user)\"", "a=1\r\nCookie: uid=u\(user)",
            ] {
                client.send("GET / HTTP/1.1\r\nHost: x\r\nCookie: \(line)\r\n\r\n")
                #expect(client.receiveResponse()["x-canary-version"] == (arm == .candidate ? "new" : "old"))
            }
        }
    }

    @Test("a header match forces the arm and is never judged; only the declared population is")
    func judged() throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new")
        let fixture = try ProxyFixture(
            baseline: [old.port], candidate: [new.port],
            traffic: TrafficRules(match: [HeaderMatch(header: "x-canary", equals: "always", to: .candidate)]),
            judged: JudgedRequests(methods: ["POST"], paths: ["/infer"]))
        let client = fixture.client()
        let cases: [(String, String, Observation.Flags)] = [
            ("POST /infer?x=1 HTTP/1.1\r\n", "old", .judged),
            ("POST /infer HTTP/1.1\r\nX-Canary: always\r\n", "new", .matched),
            ("POST /infer HTTP/1.1\r\nX-Canary: Always\r\n", "old", .judged), ("GET /infer HTTP/1.1\r\n", "old", []),
            ("POST /infer/ HTTP/1.1\r\n", "old", []), ("POST /health HTTP/1.1\r\n", "old", []),
        ]
        for (head, version, _) in cases {
            client.send("\(head)Host: x\r\nContent-Length: 0\r\n\r\n")
            #expect(client.receiveResponse()["x-canary-version"] == version)
        }
        #expect(fixture.observations(cases.count).map(\.flags) == cases.map(\.2))
    }
}

@Suite("Routes", .timeLimit(.minutes(15)))
struct RouteTests {
    private func service(
        _ name: String, _ port: UInt16, host: String? = nil, path: String = "/", slot: UInt32 = 0
    ) -> RoutedService {
        RoutedService(
            name: name, slot: slot, listen: [.tcp(host: "127.0.0.1", port: 0)], route: Route(host: host, path: path),
            baseline: RoutedVersion(name: name, servers: [Endpoint(host: "127.0.0.1", port: port)]), candidate: nil,
            split: TrafficSplit(candidate: .zero, generation: 1, salt: 1), traffic: TrafficRules(),
            judged: JudgedRequests())
    }

    @Test("the host and then the longest path on whole segments decide; where none fits it is a 404")
    func routes() throws {
        let server = try NamedServer("s")
        let proxy = try TrafficProxy(loops: 1)
        defer { proxy.shutdown(grace: .zero) }
        let plan = RoutingPlan(services: [
            service("v2", server.port, path: "/v2"), service("income", server.port, path: "/v2/models/income", slot: 1),
            service("hosted", server.port, host: "models.example", path: "/v2", slot: 2),
        ])
        try proxy.prepare(plan)
        proxy.publish(plan)
        guard case .tcp(_, let port) = proxy.boundAddress(of: .tcp(host: "127.0.0.1", port: 0)) else {
            Issue.record("not bound")
            return
        }
        let client = RawClient(port: port)
        let cases: [(String, String, String?)] = [
            ("/v2", "x", "v2"), ("/v2/", "x", "v2"), ("/v2?a", "x", "v2"), ("/v20", "x", nil), ("/", "x", nil),
            ("/v2/models/income", "x", "income"), ("/v2/models/income/infer", "x", "income"),
            ("/v2/models/income2", "x", "v2"), ("/v2/models/income", "Models.Example:80", "hosted"),
            ("/other", "models.example", nil), ("/V2", "x", nil),
        ]
        for (path, host, expected) in cases {
            client.send("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
            let response = client.receiveResponse()
            #expect(response.status == (expected == nil ? 404 : 200))
            #expect(response["x-canary-version"] == expected, "\(path) on \(host)")
        }
    }

    @Test("two services with one route are refused, with their names")
    func overlap() throws {
        let proxy = try TrafficProxy(loops: 1)
        defer { proxy.shutdown(grace: .zero) }
        let error = #expect(throws: PlanError.self) {
            try proxy.prepare(RoutingPlan(services: [service("a", 1, path: "/x"), service("b", 1, path: "/x")]))
        }
        #expect(
            error?.description == "services a and b have the same route /x on 127.0.0.1:0; "
                + "give one another host, path or listener")
    }

    @Test("a port in use and a socket that systemd did not pass are one clear line each, and nothing is opened")
    func prepareErrors() throws {
        let taken = ScriptedUpstream { _, _ in }
        let proxy = try TrafficProxy(loops: 2)
        defer { proxy.shutdown(grace: .zero) }
        var busy = service("a", 1)
        let free = ListenAddress.tcp(host: "127.0.0.1", port: 0)
        busy.listen = [free, .tcp(host: "127.0.0.1", port: taken.port)]
        let error = #expect(throws: ListenError.self) { try proxy.prepare(RoutingPlan(services: [busy])) }
        #expect(
            error?.description.hasPrefix("cannot listen on 127.0.0.1:\(taken.port): Address already in use; ") == true)
        #expect(proxy.boundAddress(of: free) == nil)
        var named = service("a", 1)
        named.listen = [.systemd(name: "web")]
        let passed = #expect(throws: ListenError.self) { try proxy.prepare(RoutingPlan(services: [named])) }
        #expect(
            passed?.description == "cannot listen on systemd:web: systemd passed no sockets; "
                + "start canaryd by its socket unit, with FileDescriptorName=web")
    }

    @Test("a listener that the plan no longer names is closed, others stay")
    func listenersFollowThePlan() throws {
        let server = try NamedServer("s")
        let path = "/tmp/canaryd-proxy-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        let proxy = try TrafficProxy(loops: 2)
        defer { proxy.shutdown(grace: .zero) }
        var one = service("s", server.port)
        one.listen = [.tcp(host: "127.0.0.1", port: 0), .unix(path: path)]
        try proxy.prepare(RoutingPlan(services: [one]))
        proxy.publish(RoutingPlan(services: [one]))
        for _ in 0..<20 {
            let client = RawClient(path: path)
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.receiveResponse().status == 200)
        }
        guard case .tcp(_, let port) = proxy.boundAddress(of: one.listen[0]) else { return }
        one.listen = [.unix(path: path)]
        let kept = RawClient(port: port)
        proxy.publish(RoutingPlan(services: [one]))
        #expect(proxy.boundAddress(of: .tcp(host: "127.0.0.1", port: 0)) == nil)
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let status = LoopbackSocket.connect(fd, port: port)
        #expect(status == -1 && errno == ECONNREFUSED)
        close(fd)
        let client = RawClient(path: path)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse().status == 200)
        kept.close()
    }
}
