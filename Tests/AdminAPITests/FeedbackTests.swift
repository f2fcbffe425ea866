import AdminAPI
import AdminClient
import AdminTestSupport
import AdminTypes
import Analysis
import PolicyModel
import TestSupport
import Testing

@Suite("The feedback socket", .timeLimit(.minutes(15)))
struct FeedbackTests {
    let api: RunningAPI

    init() throws { api = try RunningAPI(Example.backend()) }

    private func post(
        _ body: String, type: String = "application/json", to path: String = "/v1/services/income/feedback"
    ) -> (status: Int, text: String) {
        let raw = RawClient(path: api.feedbackSocket)
        raw.send(
            "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n"
                + "Connection: close\r\n\r\n" + body)
        let response = raw.receiveResponse()
        return (response.status, response.text)
    }

    private func problem(_ body: String, type: String = "application/json") throws -> ErrorBody.Problem {
        let (_, text) = post(body, type: type)
        return try JSONCoding.decode(ErrorBody.self, from: Array(text.utf8)).error
    }

    private static let row =
        #"{"inference_id":"a","label":1,"prediction":0,"score":0.31,"groups":{"sex":"Female"},"#
        + #""timestamp":"2026-11-21T03:41:30Z"}"#

    @Test("One object is one row, with every field read")
    func object() throws {
        let (status, text) = post(Self.row)
        #expect(status == 200)
        let result = try JSONCoding.decode(FeedbackResult.self, from: Array(text.utf8))
        #expect(result.accepted == 1)
        #expect(result.counts.pending == 1)
        let expected = Feedback(
            requestHash: RequestIdentifier.hash("a"), label: 1, prediction: 0, score: 0.31, groups: ["sex": "Female"])
        #expect(api.sync { $0.feedbackRows } == [expected])
    }

    @Test("An array and lines are many rows; empty lines and a missing last newline do not matter")
    func many() {
        let other = #"{"inference_id":"b","prediction":1}"#
        #expect(post("[\(Self.row),\n\(other)]").status == 200)
        #expect(post("\(Self.row)\n\n\(other)", type: "application/x-ndjson; charset=utf-8").status == 200)
        #expect(api.sync { $0.feedbackRows.count } == 4)
    }

    @Test("Every bad row is named by its line, and none of the request is taken")
    func badRows() throws {
        let lines = [
            #"{"inference_id":"a","prediction":1}"#, #"{"inference_id":"b","prediction":2}"#, "{nonsense",
            #"{"prediction":1}"#, #"{"inference_id":"c","label":1}"#,
        ]
        let problem = try problem(lines.joined(separator: "\n"), type: "application/x-ndjson")
        #expect(problem.code == "bad_feedback")
        #expect(
            problem.detail == [
                "line 2: prediction is 0 or 1, not 2", "line 3: not JSON: expected a key in quotes",
                "line 4: inference_id is missing: the x-request-id of the response that this row is about",
                "line 5: prediction and score are both missing: a label alone says nothing of the model",
            ])
        #expect(problem.message.hasPrefix("4 of 5 rows are bad and none was taken"))
        #expect(api.sync { $0.feedbackRows.isEmpty })
    }

    @Test(
        "A row that is wrong says how to fix it",
        arguments: [
            ("7", "line 1: a row is an object, not a number"),
            (#"{"inference_id":7,"prediction":1}"#, "line 1: inference_id is a string that is not empty, not a number"),
            (
                #"{"inference_id":"a","lable":1}"#,
                "line 1: unknown field \"lable\"; a row takes inference_id, label, prediction, score, groups, timestamp"
            ),
            (#"{"inference_id":"a","label":true,"prediction":1}"#, "line 1: label is 0 or 1, not a boolean"),
            (#"{"inference_id":"a","score":1e999}"#, "line 1: score is a finite number, not 1e999"),
            (#"{"inference_id":"a","score":"0.5"}"#, "line 1: score is a number, not a string"),
            (
                #"{"inference_id":"a","score":1,"groups":["x"]}"#,
                "line 1: groups is an object such as {\"sex\": \"Female\"}, not an array"
            ),
            (#"{"inference_id":"a","score":1,"groups":{"sex":1}}"#, "line 1: groups.sex is a string, not a number"),
            (
                #"{"inference_id":"a","score":1,"groups":{"sex":"\u0007"}}"#,
                "line 1: groups.sex has control characters; write plain text"
            ),
            (
                #"{"inference_id":"a","score":1,"timestamp":{}}"#,
                "line 1: timestamp is a string as RFC 3339 writes it, or a number"
            ),
        ])
    func badRow(_ row: String, _ message: String) throws {
        #expect(try problem(row).detail == [message])
    }

    @Test("Null stands for a field that is left out")
    func null() {
        #expect(post(#"{"inference_id":"a","label":null,"prediction":null,"score":0.5,"groups":null}"#).status == 200)
    }

    @Test("A row of an array is named by its place and line")
    func arrayRow() throws {
        let problem = try problem("[\(Self.row), \(Self.row),\n {}]")
        #expect(problem.detail[0].hasPrefix("row 3, line 2: inference_id is missing"))
    }

    @Test("Only so many bad rows are named; the rest is counted")
    func manyBad() throws {
        let problem = try problem(String(repeating: "{}\n", count: 30), type: "application/x-ndjson")
        #expect(problem.detail.count == AdminLimits.namedRows + 1)
        #expect(problem.detail.last == "and 10 more")
    }

    @Test("Rows, ids, groups and bytes have limits")
    func limits() throws {
        let tooMany = String(repeating: "{\"inference_id\":\"a\",\"score\":1}\n", count: AdminLimits.feedbackRows + 1)
        #expect(try problem(tooMany, type: "application/x-ndjson").code == "too_many_rows")
        let id = String(repeating: "x", count: AdminLimits.inferenceID + 1)
        #expect(try problem("{\"inference_id\":\"\(id)\",\"score\":1}").detail[0].contains("at most 256"))
        let groups = (0...AdminLimits.groupsOfRow).map { "\"g\($0)\":\"v\"" }.joined(separator: ",")
        #expect(
            try problem("{\"inference_id\":\"a\",\"score\":1,\"groups\":{\(groups)}}").detail[0].contains("at most 16"))
        let value = String(repeating: "v", count: AdminLimits.groupText + 1)
        #expect(
            try problem("{\"inference_id\":\"a\",\"score\":1,\"groups\":{\"g\":\"\(value)\"}}").detail[0]
                .contains("1 to 128 bytes"))
        #expect(post(String(repeating: " ", count: AdminLimits.feedbackBytes + 1)).status == 413)
        #expect(api.sync { $0.feedbackRows.isEmpty })
    }

    @Test("An empty body, broken JSON and text after the end are refused")
    func broken() throws {
        #expect(try problem("[]").message.hasPrefix("no row in the body"))
        #expect(try problem("", type: "application/x-ndjson").message.hasPrefix("no row in the body"))
        #expect(try problem("[\(Self.row)").message == "the body is not JSON: line 1: expected a comma or ]")
        #expect(try problem("\(Self.row)\n\(Self.row)").message.contains("application/x-ndjson"))
    }

    @Test("When too much waits, the response names the rows and says that the same body may be posted again")
    func full() throws {
        api.sync { $0.feedbackRoom = 1 }
        let (status, text) = post("[\(Self.row),\(Self.row),\(Self.row)]")
        #expect(status == 503)
        #expect(text.contains("2 of 3 rows were not taken") && text.contains("the 1 rows that were taken"))
        let problem = try JSONCoding.decode(ErrorBody.self, from: Array(text.utf8)).error
        #expect(problem.detail == ["row 2", "row 3"])
    }

    @Test("Labels that nothing is compared with are taken, and the response says why nothing comes of them")
    func unused() throws {
        for (audience, words) in [
            (FeedbackJoin.Audience.noRollout, "no rollout of income is running"),
            (.noCheck, "no check of the rollout of income asks for labels"),
        ] {
            api.sync { $0.audience = audience }
            let (status, text) = post(Self.row)
            #expect(status == 200)
            let result = try JSONCoding.decode(FeedbackResult.self, from: Array(text.utf8))
            #expect(result.note?.hasPrefix(words) == true)
        }
    }

    @Test("Scores outside the range that the checks declare are refused, with their rows named")
    func range() throws {
        let rows = [0.5, 60, 100.5, -1].enumerated().map { "{\"inference_id\":\"\($0)\",\"score\":\($1)}" }
        let lines = rows.joined(separator: "\n")
        #expect(post(lines, type: "application/x-ndjson").status == 200)
        api.sync { $0.services["income"]?.scores = .unit }
        var problem = try problem(lines, type: "application/x-ndjson")
        #expect(problem.message.hasPrefix("3 of 4 rows are bad and none was taken"))
        #expect(
            problem.detail.map { $0.prefix(40) }.map(String.init) == [
                "line 2: score 60.0 is outside [0, 1], th", "line 3: score 100.5 is outside [0, 1], t",
                "line 4: score -1.0 is outside [0, 1], th",
            ])
        api.sync { $0.services["income"]?.scores = ScoreRange(0, 100) }
        problem = try self.problem(lines, type: "application/x-ndjson")
        #expect(problem.detail.count == 2 && problem.detail[0].hasPrefix("line 3: score 100.5 is outside [0, 100]"))
        #expect(api.sync { $0.feedbackRows.count } == 4)
    }

    @Test("An attribute that is written twice in two forms of Unicode is refused: one of its values would be lost")
    func forms() throws {
        let problem = try problem(
            "{\"inference_id\":\"a\",\"score\":1,\"groups\":{\"\u{e9}\":\"x\",\"e\u{301}\":\"y\"}}")
        #expect(problem.detail[0].contains("is there twice, in two forms of Unicode"))
    }

    @Test("Nothing else is on this socket, and feedback is not on the other")
    func only() throws {
        let admin = AdminClient(path: api.adminSocket)
        #expect(try admin.exchange("POST", "/v1/services/income/feedback").status == 404)
        let feedback = AdminClient(path: api.feedbackSocket)
        for target in ["/v1/services", "/v1/services/income", "/healthz", "/metrics"] {
            #expect(try feedback.exchange("GET", target).status == 404)
        }
        for verb in CommandVerb.allCases {
            #expect(try feedback.exchange("POST", "/v1/services/income/\(verb.rawValue)").status == 404)
        }
        #expect(try feedback.exchange("GET", "/v1/services/income/feedback").status == 405)
        #expect(post(Self.row, to: "/v1/services/nope/feedback").status == 404)
        #expect(post(Self.row, type: "text/csv").status == 415)
    }
}
