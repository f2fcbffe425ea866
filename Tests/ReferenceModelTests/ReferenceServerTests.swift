import HTTPEngine
import Testing

@testable import ReferenceModel

/// A server of the small INT8 artifact on a port of its own.
private func withServer(
    _ change: (inout ReferenceServer.Options) -> Void = { _ in },
    _ body: (ReferenceServer, TestClient) throws -> Void
) throws {
    var options = ReferenceServer.Options(
        artifact: try #require(AdultFixture.artifacts[.int8]), listen: .tcp(host: "127.0.0.1", port: 0))
    change(&options)
    let server = try ReferenceServer.start(options)
    defer { server.stop(grace: .milliseconds(50)) }
    try body(server, TestClient(server.endpoint))
}

private let infer = "/v2/models/income/infer"
private let traffic = TrafficRows(data: AdultFixture.subset, rows: (0..<200).map { $0 })

/// A body with one FP32 tensor `features`.
private func encodedBody(_ shape: String, _ data: String) -> String {
    #"{"inputs":[{"name":"features","datatype":"FP32","shape":\#(shape),"data":\#(data)}]}"#
}

@Suite(.timeLimit(.minutes(15))) struct ReferenceServerTests {
    @Test("Named columns as JSON give the artifact's own scores, with id and request id")
    func columns() throws {
        try withServer { _, client in
            let artifact = try #require(AdultFixture.artifacts[.int8])
            let scores = artifact.scores(AdultFixture.subset.features(of: [0, 1, 2], by: artifact.encoding))
            for row in 0..<3 {
                let body = String(decoding: traffic.inferenceBody(row), as: UTF8.self)
                let reply = try #require(client.call("POST", infer, ["x-request-id": "r\(row)"], body: body))
                let score = scores[row]
                #expect(reply.status == 200)
                #expect(reply.headers["x-request-id"] == "r\(row)")
                #expect(
                    reply.text == #"{"model_name":"income","model_version":"int8","id":"r\#(row)","outputs":["#
                        + #"{"name":"label","datatype":"INT64","shape":[1],"data":[\#(score >= 0.5 ? 1 : 0)]},"#
                        + #"{"name":"score","datatype":"FP32","shape":[1],"data":[\#(score)]}]}"#)
            }
        }
    }

    @Test("Binary tensors in and out carry the same scores to the bit, in the order and form that was asked")
    func binary() throws {
        try withServer { _, client in
            let artifact = try #require(AdultFixture.artifacts[.int8])
            let features = AdultFixture.subset.features(of: Array(0..<130), by: artifact.encoding)
            let width = artifact.encoding.width
            let json =
                #"{"id":"b","inputs":[{"name":"features","datatype":"FP32","shape":[130,\#(width)],"#
                + #""parameters":{"binary_data_size":\#(features.count * 4)}}],"#
                + #""outputs":[{"name":"score","parameters":{"binary_data":true}},{"name":"label"}]}"#
            var body = Array(json.utf8)
            BinaryTensor.append(features, to: &body)
            client.send("POST", infer, ["Inference-Header-Content-Length": String(json.utf8.count)], body: body)
            let reply = try #require(client.receive())
            #expect(reply.status == 200)
            let length = try #require(reply.headers["inference-header-content-length"].flatMap { Int($0) })
            let head = String(decoding: reply.body.prefix(length), as: UTF8.self)
            #expect(
                head.contains(
                    #"{"name":"score","datatype":"FP32","shape":[130],"parameters":{"binary_data_size":520}}"#))
            let tail = Array(reply.body.dropFirst(length))
            let tensor = Safetensors.Tensor(type: .float32, shape: [130], bytes: tail)
            let expected = artifact.scores(features)
            #expect(tensor.floats == expected)
            let labels = expected.map { $0 >= 0.5 ? "1" : "0" }.joined(separator: ",")
            #expect(head.contains(#"{"name":"label","datatype":"INT64","shape":[130],"data":[\#(labels)]}"#))
        }
    }

    @Test(
        "An invalid request gets the status 400 with the reason",
        arguments: [
            ("", "not valid JSON"),
            ("[]", "expected an object"),
            ("{}", "no `inputs`"),
            (#"{"inputs":[{"name":"age"}]}"#, "needs a name, a datatype and a shape"),
            (encodedBody("[1,2]", "[1,2]"), "has to be numbers of shape [n, "),
            (encodedBody("[1,2]", "[1,2,3]"), "has 3 values, its shape [1, 2] needs 2"),
            (encodedBody("[-1,2]", "[]"), "has the shape [-1, 2]"),
            (encodedBody("[4611686018427387904,4]", "[]"), "has the shape"),
            (encodedBody("[1048577]", "[]"), "up to 1048576 values"),
            (encodedBody("[1,1,1,1,1,1,1,1,1]", "[1]"), "more than 8 dimensions"),
            (encodedBody("[1,2]", #"[1,"2"]"#), "numbers and strings"),
            (encodedBody("[1,2]", #"["1","2"]"#), "its `data` are strings"),
            (encodedBody("[1,2]", "[NaN,1]"), "expected a number"),
            (
                #"{"inputs":[{"name":"age","datatype":"INT64","shape":[1],"data":[1]}]}"#,
                "input `education_num` is missing"
            ),
            (#"{"inputs":[{"name":"agge","datatype":"INT64","shape":[1],"data":[1]}]}"#, "input `agge` is unknown"),
            (#"{"inputs":[{"name":"sex","datatype":"BYTES","shape":[1],"data":["x"]}]}"#, "unknown category `x`"),
            (#"{"inputs":[{"name":"sex","datatype":"INT64","shape":[1],"data":[1]}]}"#, "has to be BYTES"),
            (#"{"inputs":[{"name":"age","datatype":"INT64","shape":[0],"data":[]}]}"#, "0 rows in one request"),
            (
                #"{"inputs":[{"name":"age","datatype":"INT64","shape":[1],"parameters":{"binary_data_size":8}}]}"#,
                "says 8 binary bytes, 0 are left"
            ),
            (#"{"id":"\#(String(repeating: "i", count: 257))","inputs":[]}"#, "an id of more than 256 bytes"),
        ])
    func badRequests(body: String, message: String) throws {
        try withServer { _, client in
            let reply = try #require(client.call("POST", infer, body: body))
            #expect(reply.status == 400)
            #expect(reply.text.hasPrefix(#"{"error":""#) && reply.text.contains(message), "\(reply.text)")
        }
    }

    @Test("More rows than the limit, an unknown output, a foreign coding and a wrong header length are refused")
    func limits() throws {
        try withServer { _, client in
            let rows = FeatureEncoding.rowLimit + 1
            let zeros = Array(repeating: "0", count: rows).joined(separator: ",")
            let column = #"{"inputs":[{"name":"age","datatype":"INT64","shape":[\#(rows)],"data":[\#(zeros)]}]}"#
            let large = try #require(client.call("POST", infer, body: column))
            #expect(large.status == 400 && large.text.contains("\(rows) rows in one request"))
            let row = String(decoding: traffic.inferenceBody(0), as: UTF8.self)
            let output = row.dropLast() + #","outputs":[{"name":"x"}]}"#
            #expect(client.call("POST", infer, body: String(output))?.text.contains("output `x` is unknown") == true)
            #expect(client.call("POST", infer, ["Content-Encoding": "gzip"], body: row)?.status == 415)
            for length in ["x", "-1", "99999"] {
                #expect(
                    client.call("POST", infer, ["Inference-Header-Content-Length": length], body: row)?.status == 400)
            }
            #expect(client.call("POST", infer, body: row)?.status == 200)
        }
    }

    @Test(
        "Routes respond by method and name",
        arguments: [
            ("GET", "/v2", 200), ("GET", "/v2/health/live", 200), ("GET", "/v2/health/ready", 200),
            ("GET", "/v2/models/income", 200), ("GET", "/v2/models/income/ready", 200),
            ("GET", "/v2/models/income/versions/int8", 200), ("GET", "/v2/models/income/versions/int8/ready", 200),
            ("GET", "/v2/models/income/versions/2", 404), ("GET", "/v2/models/other", 404),
            ("GET", "/v2/models/other/ready", 404), ("POST", "/v2/models/other/infer", 404), ("GET", "/", 404),
            ("GET", "/v2/models/income/x", 404), ("POST", "/v2/health/live", 405), ("GET", infer, 405),
            ("GET", "/v2/models/income/feedback", 405), ("POST", "/v2/faults", 403), ("GET", "/metrics", 200),
        ])
    func routes(method: String, path: String, status: Int) throws {
        try withServer { _, client in
            let reply = try #require(client.call(method, path))
            #expect(reply.status == status)
            if status >= 400 { #expect(reply.text.hasPrefix(#"{"error":""#)) }
        }
    }

    @Test("Metrics count requests, rows and feedback by group")
    func metrics() throws {
        try withServer { _, client in
            for row in 0..<3 {
                _ = client.call("POST", infer, body: String(decoding: traffic.inferenceBody(row), as: UTF8.self))
            }
            _ = client.call("POST", infer, body: "{")
            let feedback = #"{"label":1,"prediction":0,"groups":{"sex":"Female"},"inference_id":"x"}"#
            #expect(client.call("POST", "/v2/models/income/feedback", body: feedback + "\n" + feedback)?.status == 204)
            #expect(
                client.call("POST", "/v2/models/income/feedback", body: #"{"label":2,"prediction":0}"#)?.status == 400)
            let text = try #require(client.call("GET", "/metrics")).text
            for line in [
                #"reference_requests_total{model="income",code="200"} 3"#,
                #"reference_requests_total{model="income",code="400"} 1"#,
                #"reference_request_duration_seconds_count{model="income"} 3"#,
                #"reference_rows_total{model="income"} 3"#,
                #"reference_queue_depth{model="income"} 0"#,
                #"reference_feedback_total{model="income",attribute="all",group="all",label="1",prediction="0"} 2"#,
                #"reference_feedback_total{model="income",attribute="sex",group="Female",label="1",prediction="0"} 2"#,
            ] { #expect(text.contains(line + "\n"), "\(line)") }
        }
    }

    @Test("Groups of feedback beyond the limit are counted together")
    func feedbackLimit() {
        var metrics = ServerMetrics()
        for index in 0..<ServerMetrics.feedbackLimit + 5 {
            metrics.recordFeedback(.init(attribute: "a", group: "\(index)", label: 0, prediction: 0))
        }
        let text = String(
            decoding: metrics.text(
                model: "m", version: "v", queueDepth: 0, process: ProcessFigures(cpuSeconds: 0, residentBytes: 0)),
            as: UTF8.self)
        #expect(text.contains(#"attribute="other",group="other",label="0",prediction="0"} 5"#))
    }

    @Test("A full queue gives 503 with Retry-After, and draining completes the queued requests")
    func fullQueueAndDrain() throws {
        var options = ReferenceServer.Options(
            artifact: try #require(AdultFixture.artifacts[.int8]), listen: .tcp(host: "127.0.0.1", port: 0))
        // Nothing is computed before the batch is full or the server closes.
        options.batching = BatchLimits(rows: 64, delay: .seconds(3600), waiting: 2)
        let server = try ReferenceServer.start(options)
        let clients = (0..<3).map { _ in TestClient(server.endpoint) }
        let probe = TestClient(server.endpoint)
        for (index, client) in clients.enumerated() {
            client.send("POST", infer, body: traffic.inferenceBody(index))
            if index < 2 {
                // The metrics come after the request on the one loop, once it is there.
                let depth = #"reference_queue_depth{model="income"} \#(index + 1)"#
                while probe.call("GET", "/metrics")?.text.contains(depth + "\n") == false {}
            }
        }
        let refused = try #require(clients[2].receive())
        #expect(refused.status == 503)
        #expect(refused.headers["retry-after"] == "1")
        server.stop(grace: .seconds(5))
        #expect(clients[0].receive()?.status == 200)
        #expect(clients[1].receive()?.status == 200)
    }

    @Test("A port in use is one clear error")
    func portInUse() throws {
        try withServer { server, _ in
            let options = ReferenceServer.Options(
                artifact: try #require(AdultFixture.artifacts[.int8]), listen: server.endpoint)
            let error = #expect(throws: ListenError.self) { try ReferenceServer.start(options) }
            #expect(error?.description.contains("cannot listen on 127.0.0.1:") == true)
        }
    }
}
