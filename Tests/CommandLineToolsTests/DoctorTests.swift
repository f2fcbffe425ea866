import AdminTestSupport
import AdminTypes
import RolloutController
import Testing
import Vocabulary

@testable import CommandLineTools

@Suite("doctor", .timeLimit(.minutes(15)))
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

    /// Runs doctor and returns its exit status and the lines with a grade.
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
        #expect(ok.contains("ok    metrics: http://127.0.0.1:9464/metrics, for Prometheus"))
        #expect(ok.contains("ok    income: step 1 of 3, 1% to int8-v2@2026-11-20, holds 2m more"))
    }

    @Test("A server that is down, a change that is not on disk and an agent that is not ready fail, with the fix")
    func failing() {
        api.sync { backend in
            backend.readiness = HealthStatus(ok: false, problems: ["127.0.0.1:8080 is in use"])
            backend.services["income"]?.isDurable = false
            backend.targetList = [
                TargetStatus(
                    version: "int8-v2", server: "127.0.0.1:9002", reachable: false, state: .refusing, scrape: nil)
            ]
        }
        let (status, failures) = lines("fail")
        #expect(status == 1)
        #expect(
            failures == [
                "fail  ready: 127.0.0.1:8080 is in use; the agent's log says more: journalctl -u canaryd",
                "fail  income: a change is in force that is not on disk; repair the disk under the state directory; the write is "
                    + "retried by itself",
                "fail  income/int8-v2: 127.0.0.1:9002 takes no connection; start it, or take it out of the service's file",
            ])
    }

    @Test("doctor, status and explain report a check that has paused the rollout")
    func pausedByCheck() {
        api.sync { backend in
            var evaluation = Example.harmful
            evaluation.results[2].action = .pause
            backend.handle(.evaluated(evaluation, elapsed: .seconds(1)), service: "income")
        }
        let fails = "check fails: standard/recall: sex=Female: 17.1% against 53.9% on the baseline"
        #expect(
            lines("warn").lines.contains {
                $0.hasPrefix("warn  income: income-1 is paused: \(fails)")
                    && $0.hasSuffix(
                        "canaryctl explain income shows the numbers; then canaryctl resume, promote or revert income")
            })
        let status = CommandRun("status", "income", socket: api.adminSocket).output
        #expect(status.contains("income: step 1 of 3, paused, 1% to int8-v2"), "\(status)")
        #expect(status.contains("waits for  resume, promote or revert (paused by policy: \(fails)"), "\(status)")
        let explained = CommandRun("explain", "income", socket: api.adminSocket).output
        #expect(
            explained.contains("paused of income") && explained.contains("standard/recall: fail (pauses)"),
            "\(explained)")
    }

    @Test("doctor and status report why requests failed in the proxy")
    func failures() {
        api.sync { backend in
            backend.services["income"]?.candidate?.failures = [
                FailureView(
                    stage: .response, reason: "response-two-content-lengths",
                    message: "the server's response is refused: there is more than one Content-Length", count: 1_200,
                    lastAt: 1_795_248_000_000)
            ]
        }
        let text =
            "1,200 requests, the server's response is refused: there is more than one Content-Length "
            + "(response-two-content-lengths), last at 2026-11-21 08:00:00 UTC"
        #expect(
            lines("warn").lines.contains(
                "warn  income/int8-v2@2026-11-20: failed in the proxy: \(text); look at what its server sends, with curl -v "
                    + "past canaryd"))
        let status = CommandRun("status", "income", socket: api.adminSocket)
        #expect(status.output.split(separator: "\n").contains("failed: int8-v2@2026-11-20: \(text)"))
    }

    @Test("doctor and status report connections that were closed for bytes that no request had asked for")
    func surplus() {
        api.sync { backend in
            backend.services["income"]?.candidate?.failures = [
                FailureView(
                    stage: .afterResponse, reason: "surplus-bytes", message: "the server sent too much", count: 1,
                    lastAt: 1_795_248_000_000)
            ]
        }
        let text = "1 connection, the server sent too much (surplus-bytes), last at 2026-11-21 08:00:00 UTC"
        #expect(
            lines("warn").lines.contains {
                $0.hasPrefix("warn  income/int8-v2@2026-11-20: closed by the proxy: \(text); correct its server")
            })
        let status = CommandRun("status", "income", socket: api.adminSocket)
        #expect(status.output.split(separator: "\n").contains("closed: int8-v2@2026-11-20: \(text)"))
    }

    @Test("The reason why a server gets no requests is reported with a fix")
    func conditions() {
        api.sync { backend in
            backend.targetList = [
                TargetStatus(
                    version: "v", server: "a:1", reachable: false, state: .unhealthy,
                    detail: "answers GET /ready with 503", scrape: nil),
                TargetStatus(
                    version: "v", server: "b:1", reachable: false, state: .unresolved, detail: "no such host",
                    scrape: nil),
                TargetStatus(
                    version: "v", server: "c:1", reachable: false, state: .ejected, until: Timestamp(milliseconds: 0),
                    scrape: nil),
            ]
        }
        #expect(
            lines("fail").lines == [
                "fail  income/v: a:1 is unhealthy: it answers GET /ready with 503; look into its log, or correct "
                    + "traffic.healthCheck",
                "fail  income/v: b:1 does not resolve: no such host; correct its name, or add it to the resolver or "
                    + "/etc/hosts",
            ])
        #expect(
            lines("warn").lines.contains(
                "warn  income/v: c:1 kept failing and is left out until 1970-01-01 00:00:00 UTC; look into its log; it is "
                    + "tried again then"))
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
                    version: "int8-v2", server: "127.0.0.1:9002", reachable: true, state: .healthy,
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

    @Test("A page that lacks the preset's series comes with the switch that the server needs")
    func switches() {
        let fix = "start SGLang with --enable-metrics"
        api.sync { backend in
            backend.targetList = [
                (false, "answered 404 instead of 200"), (true, "the page has none of SGLang's series"),
            ]
            .map { isRead, problem in
                TargetStatus(
                    version: "v", server: "a:1", reachable: true, state: .healthy,
                    scrape: .init(
                        url: "http://a:1/metrics", at: Timestamp(milliseconds: 0), ok: isRead, problem: problem,
                        fix: fix, samples: 0, durationSeconds: 0.1))
            }
        }
        let consequence = "; start SGLang with --enable-metrics; until then, checks on scraped series have no data"
        let warnings = lines("warn").lines
        #expect(warnings.contains("warn  income/v: http://a:1/metrics: answered 404 instead of 200" + consequence))
        #expect(
            warnings.contains("warn  income/v: http://a:1/metrics: the page has none of SGLang's series" + consequence))
    }

    @Test("Labels while no rollout runs are no warning; labels that no check reads are one")
    func unusedFeedback() {
        api.sync { $0.services["income"]?.feedback.noRollout = 50 }
        #expect(lines("warn").1.allSatisfy { !$0.contains("feedback") })
        api.sync { $0.services["income"]?.feedback.noCheck = 7 }
        #expect(
            lines("warn").1.contains {
                $0.hasPrefix(
                    "warn  income feedback: 0 joined, 50 while no rollout ran, 7 that no check asked for; labels come")
            })
    }

    @Test("A refused reload fails with each reason, and an access log that cannot be written with its cause")
    func reloadAndAccessLog() {
        api.sync { backend in
            backend.agent.refusedReload = RefusedReload(
                at: Timestamp(milliseconds: 0), reasons: ["income: fp32 serves and cannot go", "b: port in use"])
            backend.agent.accessLog = AccessLogStatus(
                path: "/var/log/a.log", written: 1_000, dropped: 0, failed: 3, problem: "No space left on device")
        }
        let lead = "fail  reload: refused at 1970-01-01 00:00:00 UTC, and nothing of it is in force: "
        #expect(
            lines("fail").lines == [
                lead + "income: fp32 serves and cannot go; correct that, then systemctl reload canaryd",
                lead + "b: port in use; correct that, then systemctl reload canaryd",
                "fail  access log: /var/log/a.log: 1,000 lines written, 3 could not be written; the last write failed: "
                    + "No space left on device; make room, or change accessLog; requests are served, their lines are lost",
            ])
        api.sync { $0.agent.accessLog?.problem = nil }
        let lost = "warn  access log: /var/log/a.log: 1,000 lines written, 3 could not be written"
        #expect(lines("warn").lines.contains { $0.hasPrefix(lost) })
        api.sync { $0.agent.accessLog = AccessLogStatus(path: nil, written: 7, dropped: 0, failed: 0, problem: nil) }
        #expect(lines("ok").lines.contains("ok    access log: standard error: 7 lines written"))
    }

    @Test("Without an agent the status is 3 and the one line says what to do")
    func unreachable() {
        let result = CommandRun("doctor", socket: "/nonexistent/admin.sock")
        #expect(result.status == 3)
        #expect(result.output.hasPrefix("fail  agent: no agent at /nonexistent/admin.sock"))
        #expect(result.errors == "")
    }
}
