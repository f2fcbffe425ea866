import AdminTestSupport
import AdminTypes
import RolloutController
import RolloutEngine
import Testing

@testable import CommandLineTools

@Suite("Commands that read", .timeLimit(.minutes(15)))
struct ReadingCommandTests {
    let api: RunningAPI

    init() throws { api = try RunningAPI(Example.backend()) }

    private func run(_ arguments: String...) -> CommandRun {
        switch arguments.count {
        case 1: CommandRun(arguments[0], socket: api.adminSocket)
        case 2: CommandRun(arguments[0], arguments[1], socket: api.adminSocket)
        default: CommandRun(arguments[0], arguments[1], arguments[2], socket: api.adminSocket)
        }
    }

    @Test("--socket and --output may precede the subcommand")
    func optionsFirst() {
        let usual = CommandRun("status", "--output", "json", socket: api.adminSocket)
        #expect(usual.status == 0)
        let first = CommandRun("--socket", api.adminSocket, "--output=json", "status")
        #expect(first.status == 0)
        #expect(first.output.contains("\"services\"") && usual.output.contains("\"services\""))
        #expect(CommandRun("--socket").status == 2)
    }

    @Test("status shows the step of a rollout, both arms and every check")
    func status() {
        api.sync { $0.services["income"]?.evaluation = Example.evaluation }
        let result = run("status")
        #expect(result.status == 0)
        #expect(result.errors == "")
        #expect(
            result.output == """
                income: step 1 of 3, 1% to int8-v2@2026-11-20, holds 2m more
                  serving  fp32-v1, generation 3
                  rollout  income-1, since 2026-11-21 03:41:30 UTC
                  next     step 2: 10% for 10m

                ARM        VERSION             SERVERS  REQUESTS  REQ/S  ERRORS  4XX      P50      P95       P99
                baseline   fp32-v1                 1/1     4,000   40.0   0.05%    –    42 ms    84 ms    126 ms
                candidate  int8-v2@2026-11-20      1/1       440    4.4      0%    –  45.6 ms  91.2 ms  136.8 ms

                CHECK                 VERDICT  OF            VALUE        BOUND  BASELINE  DIFFERENCE (95%)      SAMPLES
                standard/error-rate   pass     ceiling          0%         ≤ 1%     0.05%                 –  440 / 4,000
                standard/p95-latency  pass     ceiling     91.2 ms     ≤ 200 ms     84 ms                 –  440 / 4,000
                standard/recall       no data  sex=Female        –  ≤ 15 points     53.9%                 –     12 / 431  \
                sex=Female: 12 of 100 samples on the candidate, 431 on the baseline

                """)
    }

    @Test("status of a service without a rollout says what serves and what was refused")
    func idle() {
        api.sync { _ = $0.handle(.evaluated(Example.harmful, elapsed: .seconds(1)), service: "income") }
        let result = run("status")
        #expect(result.output.hasPrefix("income: fp32-v1 serves all, no rollout\n"))
        #expect(result.output.contains("  refused  int8-v2@2026-11-20, reverted once\n"))
    }

    @Test("status of several services is one line each")
    func several() throws {
        let api = try RunningAPI(Example.backend("income", "fraud"))
        let result = CommandRun("status", socket: api.adminSocket)
        #expect(
            result.output == """
                SERVICE  PHASE        SERVING  CANDIDATE           WEIGHT  VERDICT  NEXT
                fraud    step 1 of 3  fp32-v1  int8-v2@2026-11-20      1%  –        step 2: 10% for 10m
                income   step 1 of 3  fp32-v1  int8-v2@2026-11-20      1%  –        step 2: 10% for 10m

                """)
    }

    @Test("json has the values of the API, and yaml the same values")
    func forms() throws {
        let json = run("status", "income", "--output=json")
        let status = try JSONCoding.decode(ServiceStatus.self, from: Array(json.output.utf8))
        #expect(status.rollout?.id == "income-1")
        let yaml = run("status", "income", "--output=yaml")
        #expect(yaml.output.contains("\ncandidateWeight:\n  basisPoints: 100\n  percent: 1\n"))
        #expect(yaml.output.contains("\nlisten:\n  - \"127.0.0.1:8080\"\n"))
        #expect(yaml.output.contains("\nphase: step\n"))
        #expect(yaml.output.contains("\nwaitsFor: []\n"))
    }

    @Test("history lists rollouts with their results")
    func history() {
        let record = RolloutRecord(
            id: "income-1", service: "income", baseline: .init(name: "fp32-v1"), candidate: .init(name: "skewed"),
            startedAt: 1_795_232_490_250, endedAt: 1_795_232_582_250, result: .reverted, reason: "recall fell",
            decision: 17, candidateRequests: 1421)
        api.sync { $0.records = [record] }
        #expect(
            run("history").output == """
                ROLLOUT   CANDIDATE  AGAINST  BEGAN (UTC)           TOOK  REQUESTS  RESULT    DECISION  REASON
                income-1  skewed     fp32-v1  2026-11-21 03:41:30  1m32s     1,421  reverted        17  recall fell

                """)
    }

    @Test("events are lines, oldest first; what a person did has their name")
    func events() {
        api.sync { $0.record(Event(.paused, message: "paused at 1%: lunch", by: "eve"), service: "income") }
        let lines = run("events").output.split(separator: "\n")
        #expect(lines.last == "2026-11-21 03:41:30 UTC  #3      paused           paused at 1%: lunch (eve)")
        #expect(lines.first?.contains("rollout_started") == true)
    }

    @Test("Text that another user wrote cannot control the terminal")
    func controls() {
        api.sync { $0.record(Event(.paused, message: "a\u{1b}[2Jb", by: "e\u{7}ve"), service: "income") }
        #expect(run("events", "--limit=1").output.contains("a·[2Jb (e·ve)"))
    }

    @Test("explain describes the last decision in words, with every number, bound and sample")
    func explain() {
        api.sync { _ = $0.handle(.evaluated(Example.harmful, elapsed: .seconds(1)), service: "income") }
        let result = run("explain")
        #expect(result.status == 0)
        #expect(
            result.output == """
                decision 3: reverted of income, rollout income-1
                  int8-v2@2026-11-20 reverted, fp32-v1 serves all: standard/recall: sex=Female: 17.1% against 53.9% \
                on the baseline, worse by 36.8 points (at most 15 points), 117 and 431 samples
                  2026-11-21 03:41:30 UTC, decided by policy; after it the candidate has 0%, generation 4

                baseline  2 errors in 4,000 requests since the rollout began, 0 in 1,200 of the last 30 s; \
                1 of 1 servers reachable
                candidate 0 errors in 440 requests since the rollout began, 0 in 132 of the last 30 s; \
                1 of 1 servers reachable

                ✓ standard/error-rate: pass
                    ceiling: pass. candidate 0%, baseline 0.05%; allowed: at most 1%; 440 samples on the candidate,
                      4,000 on the baseline

                ✓ standard/p95-latency: pass
                    ceiling: pass. candidate 91.2 ms, baseline 84 ms; allowed: at most 200 ms; 440 samples on the
                      candidate, 4,000 on the baseline

                ✗ standard/recall: fail
                    sex=Female: fail. candidate 17.1%, baseline 53.9%: worse by 36.8 points; allowed: at most \
                15 points;
                      117 samples on the candidate, 431 on the baseline
                    sex=Male: pass. candidate 62.9%, baseline 63.7%: worse by 0.8 points; allowed: at most 15 points;
                      203 samples on the candidate, 902 on the baseline
                    failed 3 times in this rollout (2 tolerated), inconclusive 0 times, 0 errors in a row

                """)
        #expect(run("explain", "3").output == result.output)
        #expect(run("explain", "#3").output == result.output)
    }

    @Test("explain takes a rollout or a number, and says so if it is unknown")
    func explainRollout() {
        api.sync { backend in
            backend.handle(.evaluated(Example.harmful, elapsed: .seconds(1)), service: "income")
            backend.records = [
                RolloutRecord(
                    id: "income-1", service: "income", baseline: .init(name: "fp32-v1"),
                    candidate: .init(name: "int8-v2"), startedAt: 0, result: .reverted, decision: 3),
                RolloutRecord(
                    id: "income-0", service: "income", baseline: .init(name: "fp32-v1"),
                    candidate: .init(name: "int8-v2"), startedAt: 0),
            ]
        }
        #expect(run("explain", "income-1").output.hasPrefix("decision 3: reverted of income"))
        #expect(run("explain", "income-0").errors.contains("is running: nothing has ended it"))
        #expect(run("explain", "income-9").errors.contains("no decision and no rollout income-9"))
        let unknown = run("explain", "99")
        #expect(unknown.status == 1)
        #expect(unknown.errors == "canaryctl: there is no decision 99; canaryctl events lists them\n")
    }

    @Test("Colors are written only if they are wanted")
    func colors() {
        api.sync { $0.services["income"]?.evaluation = Example.harmful }
        let colored = CommandRun("status", socket: api.adminSocket, colored: true)
        #expect(colored.output.contains("\u{1b}[31mfail\u{1b}[0m"))
        #expect(!run("status").output.contains("\u{1b}"))
    }
}
