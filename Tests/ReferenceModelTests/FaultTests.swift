import HTTPEngine
import Testing

@testable import ReferenceModel

@Suite(.timeLimit(.minutes(15))) struct FaultTests {
    @Test(
        "Faults are written and read",
        arguments: [
            ("latency=80ms", "latency=80.0ms"), ("latency=1.5s@5%", "latency=1500.0ms@0.05"),
            ("latency=250us", "latency=0.25ms"), ("errors=5%", "errors=0.05"), ("hang=1", "hang=1.0"),
            ("truncate=0.5", "truncate=0.5"), ("bias=sex=Female@80%", "bias=sex=Female@0.8"),
            ("bias=race=Asian-Pac-Islander", "bias=race=Asian-Pac-Islander"),
        ])
    func written(text: String, canonical: String) throws {
        let faults = try Faults(parsing: [text])
        #expect(faults.texts == [canonical])
        #expect(try Faults(parsing: faults.texts) == faults)
    }

    @Test("Several latencies are all kept, in bounds") func latencies() throws {
        let faults = try Faults(parsing: ["latency=20ms", "latency=2s@1%"])
        #expect(faults.texts == ["latency=20.0ms", "latency=2000.0ms@0.01"])
        #expect(throws: Faults.Unreadable.self) {
            try Faults(parsing: Array(repeating: "latency=1ms", count: Faults.mostLatencies + 1))
        }
    }

    @Test(
        "An invalid fault is refused",
        arguments: [
            "", "latency", "latency=80", "latency=-1ms", "latency=1h", "latency=700s", "latency=1s@120%", "errors=101%",
            "errors=x", "errors=-1%", "errors=5%@5%", "bias=sex", "bias=sex=Female@2", "speed=1",
        ])
    func refused(text: String) {
        let error = #expect(throws: Faults.Unreadable.self) { try Faults(parsing: [text]) }
        #expect(error?.description.hasPrefix("fault `\(text)` is not understood; write latency=80ms") == true)
    }

    private func server(_ faults: [String], allow: Bool = false) throws -> ReferenceServer {
        var options = ReferenceServer.Options(
            artifact: try #require(AdultFixture.artifacts[.fp32]), listen: .tcp(host: "127.0.0.1", port: 0))
        options.faults = try Faults(parsing: faults)
        options.allowFaults = allow
        return try ReferenceServer.start(options)
    }

    private func statuses(_ server: ReferenceServer, _ count: Int) -> [Int] {
        let client = TestClient(server.endpoint)
        let traffic = TrafficRows(data: AdultFixture.subset, rows: (0..<Int32(count)).map { $0 })
        return (0..<count).map { index in
            client.send("POST", "/v2/models/income/infer", body: traffic.inferenceBody(index))
            return client.receive()?.status ?? 0
        }
    }

    @Test("Errors have their rate, and stop when they are switched off while the server runs")
    func errors() throws {
        let server = try server(["errors=50%"], allow: true)
        defer { server.stop(grace: .zero) }
        let before = statuses(server, 200)
        #expect(before.allSatisfy { $0 == 200 || $0 == 500 })
        #expect((60...140).contains(before.count { $0 == 500 }))
        let client = TestClient(server.endpoint)
        #expect(client.call("POST", "/v2/faults", body: #"{"faults":[]}"#)?.text == #"{"faults":[]}"#)
        #expect(statuses(server, 50).allSatisfy { $0 == 200 })
        #expect(client.call("POST", "/v2/faults", body: #"{"faults":["x=1"]}"#)?.status == 400)
        #expect(client.call("POST", "/v2/faults", body: #"{"faults":["bias=sex=x"]}"#)?.status == 400)
        #expect(
            client.call("POST", "/v2/faults", body: #"{"faults":["hang=100%"]}"#)?.text == #"{"faults":["hang=1.0"]}"#)
        #expect(client.call("GET", "/v2/faults")?.text == #"{"faults":["hang=1.0"]}"#)
        // Health still answers, and the client that hangs can leave.
        let hanging = TestClient(server.endpoint)
        hanging.send("POST", "/v2/models/income/infer", body: Array("{}".utf8))
        #expect(client.call("GET", "/v2/health/ready")?.status == 200)
    }

    @Test("A truncated response ends with a broken connection")
    func truncated() throws {
        let server = try server(["truncate=100%"])
        defer { server.stop(grace: .zero) }
        let client = TestClient(server.endpoint)
        client.send(
            "POST", "/v2/models/income/infer",
            body: TrafficRows(data: AdultFixture.subset, rows: [0]).inferenceBody(0))
        let reply = try #require(client.receive())
        #expect(reply.status == 200)
        #expect(!reply.body.isEmpty)
        #expect(!reply.isComplete)
    }

    @Test("A bias removes label 1 from its group and from no other rows")
    func bias() throws {
        let data = AdultFixture.subset
        let rows = (0..<Int32(data.count)).map { $0 }
        let artifact = try #require(AdultFixture.artifacts[.fp32])
        let scores = artifact.scores(data.features(of: rows, by: artifact.encoding))
        let selected = rows.filter { scores[Int($0)] >= 0.5 }
        let traffic = TrafficRows(data: data, rows: selected)
        let server = try server(["bias=sex=Female"])
        defer { server.stop(grace: .zero) }
        let client = TestClient(server.endpoint)
        var women = 0
        for index in 0..<traffic.count {
            client.send("POST", "/v2/models/income/infer", body: traffic.inferenceBody(index))
            let isWoman = traffic.groups(index)[0].value == "Female"
            women += isWoman ? 1 : 0
            let label = #""data":[\#(isWoman ? 0 : 1)]},{"name":"score""#
            #expect(client.receive()?.text.contains(label) == true)
        }
        #expect(women > 10 && women < traffic.count)
    }

    @Test("A bias for a group that the model does not know is refused at the start")
    func unknownGroup() {
        let error = #expect(throws: FaultError.self) { try server(["bias=sex=Femal"]) }
        #expect(error?.description == "bias: the model has no column `sex` with a category `Femal`")
    }
}
