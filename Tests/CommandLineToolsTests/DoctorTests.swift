import AdminTestSupport
import AdminTypes
import Testing

@testable import CommandLineTools

@Suite("doctor")
struct DoctorTests {
    let api: RunningAPI

    init() throws {
        api = try RunningAPI(Example.backend())
        let sockets = (api.adminSocket, api.feedbackSocket)
        api.sync { backend in
            backend.agent.configurationFile = nil
            backend.agent.stateDirectory = "/tmp"
            backend.agent.adminAddress = "unix:" + sockets.0
            backend.agent.feedbackAddress = "unix:" + sockets.1
        }
    }

    /// Grade and subject of each line that begins so.
    private func lines(_ grade: String) -> (status: Int32, lines: [String]) {
        let result = CommandRun("doctor", socket: api.adminSocket)
        return (result.status, result.output.split(separator: "\n").map(String.init).filter { $0.hasPrefix(grade) })
    }

    @Test("Nothing fails on a sound agent, and the status is 0")
    func sound() {
        let (status, failures) = lines("fail")
        #expect(status == 0)
        #expect(failures.isEmpty)
        let ok = lines("ok").lines
        #expect(ok.contains("ok    ready: listeners are open, the state is loaded"))
        #expect(ok.contains("ok    admin socket: \(api.adminSocket) (0660)"))
        #expect(ok.contains("ok    income: step 1 of 3, 1% to int8-v2@2026-11-20, holds 2m more"))
    }

    @Test("A server that is down, a change that is not on disk and an agent that is not ready fail, with the mend")
    func failing() {
        api.sync { backend in
            backend.readiness = HealthStatus(ok: false, problems: ["127.0.0.1:8080 is in use"])
            backend.services["income"]?.isDurable = false
            backend.targetList = [
                TargetStatus(version: "int8-v2", server: "127.0.0.1:9002", reachable: false, scrape: nil)
            ]
        }
        let (status, failures) = lines("fail")
        #expect(status == 1)
        #expect(
            failures == [
                "fail  ready: 127.0.0.1:8080 is in use; the agent's log says more: journalctl -u canaryd",
                "fail  income: a change is in force that is not on disk; mend the disk under the state directory; it is "
                    + "retried by itself",
                "fail  income/int8-v2: 127.0.0.1:9002 takes no connection; start it, or take it out of the service's file",
            ])
    }

    @Test("Scrapes that fail, feedback that finds no request, notes and a clock that is off are warnings")
    func warnings() {
        api.sync { backend in
            backend.agent.now = Timestamp(milliseconds: 0)
            backend.services["income"]?.notes = ["change that line to baseline: int8-v2"]
            backend.services["income"]?.feedback.unmatched = 50
            backend.services["income"]?.feedback.joined = 50
            backend.targetList = [
                TargetStatus(
                    version: "int8-v2", server: "127.0.0.1:9002", reachable: true,
                    scrape: .init(
                        url: "http://127.0.0.1:9002/metrics", at: Timestamp(milliseconds: 0), ok: false,
                        problem: "404", samples: 0, durationSeconds: 0.1))
            ]
        }
        let (status, warnings) = lines("warn")
        #expect(status == 0)
        #expect(warnings.contains { $0.hasPrefix("warn  clock: the agent's clock is ") })
        #expect(warnings.contains("warn  income: change that line to baseline: int8-v2"))
        #expect(
            warnings.contains(
                "warn  income/int8-v2: http://127.0.0.1:9002/metrics: 404; checks on scraped series have no data until it "
                    + "answers"))
        #expect(
            warnings.contains { $0.hasPrefix("warn  income feedback: 50 joined, 50 unmatched; post the x-request-id") })
    }

    @Test("Without an agent the status is 3 and the one line says what to do")
    func unreachable() {
        let result = CommandRun("doctor", socket: "/nonexistent/admin.sock")
        #expect(result.status == 3)
        #expect(result.output.hasPrefix("fail  agent: no agent at /nonexistent/admin.sock"))
        #expect(result.errors == "")
    }
}
