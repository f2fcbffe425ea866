import AdminClient
import AdminTestSupport
import AdminTypes
import Testing
import Vocabulary

@testable import CommandLineTools

@Suite("The screen of watch", .timeLimit(.minutes(15)))
struct WatchScreenTests {
    let api: RunningAPI
    let now = Timestamp(milliseconds: 1_795_232_490_250)

    init() throws {
        api = try RunningAPI(Example.backend())
        api.sync { $0.services["income"]?.evaluation = Example.evaluation }
    }

    private func snapshot() throws -> (ServiceStatus, [EventRecord]) {
        let client = AdminClient(path: api.adminSocket)
        return (try client.service("income"), try client.events("income"))
    }

    @Test("Shows weights, phase, arms with sparklines, checks against bounds, and the last events")
    func screen() throws {
        let (status, events) = try snapshot()
        let screen = WatchScreen(width: 100, height: 24, isColored: false)
        #expect(
            screen.lines(status, events: events, now: now).joined(separator: "\n") == """
                income  step 1 of 3                                                       generation 3  03:41:30 UTC

                baseline      99% █████████████████████████████████████████████████▌  fp32-v1
                candidate      1% ▌                                                   int8-v2@2026-11-20

                phase     step 1 of 3  ▕                    ▏ 2m left
                next      step 2: 10% for 10m

                             req/s  errors       P50       P95       P99   P95, last 2 min (to 109.4 ms)
                baseline      40.0   0.05%     42 ms     84 ms    126 ms       █▇▇▇██▇▇▇██▇▇▇██▇▇▇█
                candidate      4.4      0%   45.6 ms   91.2 ms  136.8 ms       █▇████▇████▇████▇███

                ✓ standard/error-rate   pass        0% ≤ 1%                   ceiling, baseline 0.05%
                ✓ standard/p95-latency  pass        91.2 ms ≤ 200 ms          ceiling, baseline 84 ms
                · standard/recall       no data     sex=Female: 12 of 100 samples on the candidate, 431 on the base…

                events
                03:41:30  rollout_started  int8-v2@2026-11-20 against fp32-v1
                03:41:30  step_started     step 1 of 3: 1% to int8-v2@2026-11-20 for 2m
                """)
    }

    @Test(
        "At 80 columns, proofs and notes are complete, and a value beyond its bound is not shown as below it"
    )
    func narrow() throws {
        let rollout = JudgedRollout(seconds: 3)
        api.sync { backend in
            var evaluation = rollout.evaluation
            evaluation.results[0].measurements[0].value = 0.1
            backend.services["income"]?.evaluation = evaluation
        }
        var (status, events) = try snapshot()
        status.notes = [
            "a note that is longer than the screen is wide: " + String(repeating: "word ", count: 12) + "12 : 1"
        ]
        let lines = WatchScreen(width: 80, height: 40, isColored: false).lines(status, events: events, now: now)
        #expect(lines.allSatisfy { $0.count <= 80 })
        let text = lines.joined(separator: "\n")
        #expect(text.contains("✓ errors  pass     10% > 0.2%  increase, baseline 0%"), "\(text)")
        let head = try #require(lines.first { $0.contains("evidence, fails at") })
        #expect(head.hasSuffix("proof, proven at"))
        #expect(text.contains(" of 100 : 1") && text.contains("none of 20 : 1"), "\(text)")
        #expect(lines.contains { $0.hasPrefix("! a note") } && lines.contains { $0.hasPrefix("  word") })
        #expect(text.contains("12 : 1"))
    }

    @Test(
        "No line is wider than the terminal, and there are no more lines than it has rows",
        arguments: [(40, 10), (60, 24), (200, 60)])
    func size(_ width: Int, _ height: Int) throws {
        let (status, events) = try snapshot()
        let lines = WatchScreen(width: width, height: height, isColored: false)
            .lines(status, events: events, now: now)
        #expect(lines.count <= height)
        #expect(lines.allSatisfy { $0.count <= width })
        #expect(lines[0].hasPrefix("income"))
    }

    @Test("If the agent is gone, the screen says so above the last status")
    func problem() throws {
        let (status, events) = try snapshot()
        let lines = WatchScreen(width: 100, height: 24, isColored: false)
            .lines(status, events: events, now: now, problem: "no agent")
        #expect(lines[2] == "no agent")
    }

    @Test("The line for a log does not change with every request")
    func line() throws {
        let (status, _) = try snapshot()
        let text = WatchLine.text(status)
        #expect(
            text == "income: step 1 of 3, 1% to int8-v2@2026-11-20; error-rate pass, p95-latency pass, recall no data")
        api.sync { $0.services["income"]?.candidate?.requestRate = 77 }
        #expect(WatchLine.text(try snapshot().0) == text)
    }
}
