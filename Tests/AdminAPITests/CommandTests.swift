import AdminAPI
import AdminClient
import AdminTestSupport
import AdminTypes
import Glibc
import RolloutEngine
import TestSupport
import Testing

@Suite("Commands over the admin API", .timeLimit(.minutes(15)))
struct CommandTests {
    let api: RunningAPI
    let client: AdminClient

    init() throws {
        api = try RunningAPI(Example.backend())
        client = AdminClient(path: api.adminSocket)
    }

    private func refusal(_ body: String, verb: String = "pause") throws -> (status: Int, ErrorBody.Problem) {
        let (status, answer) = try client.exchange("POST", "/v1/services/income/\(verb)", body: Array(body.utf8))
        return (status, try JSONCoding.decode(ErrorBody.self, from: answer).error)
    }

    @Test("A command says what changed and shows the service after it")
    func pause() throws {
        let result = try client.command(.pause, service: "income", CommandRequest(reason: "lunch", by: "eve"))
        #expect(result.message == "income-1 paused at 1%; reverts still happen")
        #expect(result.durable)
        #expect(result.status.rollout?.pause?.reason == "lunch")
        #expect(result.status.rollout?.pause?.by == "eve")
    }

    @Test("Without a body the user of the connection is who asks")
    func peer() throws {
        let (status, _) = try client.exchange("POST", "/v1/services/income/freeze")
        #expect(status == 200)
        #expect(try client.service("income").freeze?.by == "uid \(getuid())")
    }

    @Test("Every verb of the engine is reached by its own path", arguments: CommandVerb.allCases)
    func verbs(_ verb: CommandVerb) throws {
        _ = try client.exchange("POST", "/v1/services/income/\(verb.rawValue)", body: Array("{}".utf8))
        #expect(api.sync { $0.lastCommand?.verb.name } == verb.rawValue)
    }

    @Test("Force and target reach the engine")
    func options() throws {
        _ = try? client.command(.revert, service: "income", CommandRequest(force: true, to: "fp32-v1"))
        #expect(api.sync { $0.lastCommand?.verb } == .revert(to: "fp32-v1", force: true))
        _ = try? client.command(.promote, service: "income", CommandRequest(force: true))
        #expect(api.sync { $0.lastCommand?.verb } == .promote(force: true))
    }

    @Test("A refused command is a 409 with the engine's code")
    func refused() throws {
        let (status, problem) = try refusal("{}", verb: "resume")
        #expect(status == 409)
        #expect(problem.code == "nothing_to_do")
        #expect(problem.message == "income-1 is not paused")
    }

    @Test("A stale generation is refused and says how to see the new one")
    func stale() throws {
        let (status, problem) = try refusal(#"{"generation": 77}"#)
        #expect(status == 409)
        #expect(problem.code == "stale_generation")
        #expect(problem.message.contains("canaryctl status income"))
        let now = try client.service("income").generation
        #expect(throws: Never.self) {
            try client.command(.pause, service: "income", CommandRequest(generation: now))
        }
    }

    @Test("What is in force and not on disk is a 202")
    func notDurable() throws {
        api.sync { $0.diskFault = "no space left on device" }
        let (status, body) = try client.exchange("POST", "/v1/services/income/revert")
        #expect(status == 202)
        let result = try JSONCoding.decode(CommandResult.self, from: body)
        #expect(!result.durable)
        #expect(result.status.phase == .idle)
        #expect(!result.status.durable)
    }

    @Test("What gives the candidate more and cannot be written is a 503 and changes nothing")
    func notWritten() throws {
        let before = try client.service("income").generation
        api.sync { $0.diskFault = "no space left on device" }
        let (status, problem) = try refusal("", verb: "advance")
        #expect(status == 503)
        #expect(problem.code == "not_written")
        #expect(problem.message.contains("no space left on device"))
        #expect(try client.service("income").generation == before)
    }

    @Test(
        "A body that is wrong is refused with what to write instead",
        arguments: [
            (#"{"reasn": "x"}"#, "pause has no field \"reasn\"; it takes reason, by, generation"),
            (#"{"force": true}"#, "pause has no field \"force\"; it takes reason, by, generation"),
            (#"{"reason": 3}"#, "reason is a string, not a number"),
            (#"{"reason": "a\u001b[2J"}"#, "reason has control characters; write plain text"),
            (#"{"by": ""}"#, "by is empty; leave it out or give a value"),
            (#"{"generation": -1}"#, "generation is a whole number, not a number; canaryctl status shows it"),
            (#"{"generation": "1"}"#, "generation is a whole number, not a string; canaryctl status shows it"),
            (#"{"reason": "a", "reason": "b"}"#, "the body is not JSON: line 1: key \"reason\" is repeated"),
            ("{", "the body is not JSON: line 1: expected a key in quotes"),
            ("[]", "the body is an array; send an object such as {\"reason\": \"…\"}"),
        ])
    func bad(_ body: String, _ message: String) throws {
        let (status, problem) = try refusal(body)
        #expect(status == 400)
        #expect(problem.message == message)
        #expect(api.sync { $0.lastCommand } == nil)
    }

    @Test("Reason and sender have a limit")
    func limits() throws {
        let long = String(repeating: "x", count: AdminLimits.reason + 1)
        #expect(try refusal("{\"reason\": \"\(long)\"}").1.message == "reason has 1001 bytes; at most 1000")
        #expect(try refusal("{\"reason\": \"\(long.dropLast())\"}", verb: "resume").0 == 409)
        #expect(try refusal("{\"by\": \"\(long.prefix(101))\"}").1.message == "by has 101 bytes; at most 100")
    }

    @Test("A body beyond the limit is a 413 in the same shape")
    func tooLarge() throws {
        let (status, problem) = try refusal(String(repeating: " ", count: AdminLimits.commandBytes + 1))
        #expect(status == 413)
        #expect(problem.message.contains("\(AdminLimits.commandBytes)"))
    }

    @Test("Another media type is a 415")
    func mediaType() throws {
        let raw = RawClient(path: api.adminSocket)
        raw.send(
            "POST /v1/services/income/pause HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
                + "Connection: close\r\n\r\n{}")
        let answer = raw.receiveAll()
        #expect(answer.hasPrefix("HTTP/1.1 415 "))
        #expect(answer.contains("text/plain is not taken here; send Content-Type: application/json"))
    }
}
