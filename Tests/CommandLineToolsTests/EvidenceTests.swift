import AdminAPI
import AdminTestSupport
import AdminTypes
import Analysis
import FoundationEssentials
import PolicyModel
import RolloutController
import RolloutEngine
import Testing
import Vocabulary

@testable import CommandLineTools

/// A rollout whose candidate fails a tenth of its requests, as the sequential judge sees it.
struct JudgedRollout {
    static let policies = [
        Policy(
            name: "standard",
            checks: [Check(name: "errors", kind: .errors(ErrorsCheck(maxIncrease: 0.5, floor: 0.002)))])
    ]
    let head = SequentialJudge(policies, risk: Risk(), isKeyed: false)
    var judge: SequentialJudge
    var items: [JudgedItem] = []

    /// - Parameter failing: each `failing`-th request of the candidate fails.
    init(seconds: Int, failing: Int = 10) {
        judge = head
        var sent = 0
        for second in 0..<seconds {
            var tick = ErrorTick(second: Int64(100 + second), step: 1)
            for shard in 0..<8 {
                tick.trials[shard] = 2
                tick.trials[8 + shard] = 1
                sent += 1
                if sent % failing == 0 { tick.responses[8 + shard].add(500) }
            }
            items.append(.errors(tick))
            items.append(.latencies(LatencyTick(second: Int64(100 + second), step: 1, share: Weight(clamping: 3_333))))
        }
        for item in items { judge.take(item) }
    }

    /// An evaluation with the judge's evidence.
    var evaluation: Evaluation {
        let evidence = judge.evidence[0].evidence
        let fails = evidence.value >= evidence.revertAt
        let n = UInt64(items.count / 2 * 8)
        let m = Measurement(
            subject: "increase", unit: .ratio, candidate: Double(n / 10) / Double(n), baseline: 0, candidateSamples: n,
            baselineSamples: 2 * n, bound: 0.002, value: 0.1, verdict: fails ? .fail : .pass)
        var result = CheckResult(
            policy: "standard", check: "errors", action: .revert, verdict: fails ? .fail : .pass,
            measured: fails ? .fail : .pass, measurements: [m],
            missing: fails ? "" : "about 2,300 more requests, 14 min at this rate")
        result.evidence = evidence
        var evaluation = Evaluation(results: [result], candidate: ArmCondition(requests: n, errors: n / 10))
        evaluation.items = judge.items
        return evaluation
    }

    /// The recording as a page of the agent's store.
    func page(_ items: [JudgedItem]? = nil) throws -> StoredPage {
        var page = StoredPage()
        page.head = String(decoding: try JSONEncoder().encode(Judge.sequential(head)), as: UTF8.self)
        page.items = ItemCoding.encode(items ?? self.items)
        page.count = (items ?? self.items).count
        return page
    }
}

@Suite("Evidence for people", .timeLimit(.minutes(15)))
struct EvidenceTests {
    let api: RunningAPI

    init() throws { api = try RunningAPI(Example.backend()) }

    private func run(_ arguments: String...) -> CommandRun {
        switch arguments.count {
        case 1: CommandRun(arguments[0], socket: api.adminSocket)
        case 2: CommandRun(arguments[0], arguments[1], socket: api.adminSocket)
        default: CommandRun(arguments[0], arguments[1], arguments[2], socket: api.adminSocket)
        }
    }

    /// Reverts the rollout, and sets the page of its recording.
    private func revert(_ rollout: JudgedRollout, _ page: StoredPage?) {
        api.sync { backend in
            _ = backend.handle(.evaluated(rollout.evaluation, elapsed: .seconds(1)), service: "income")
            backend.recordings["income"] = page.map { ["income-1": [$0]] }
        }
    }

    @Test("status shows evidence and proof of each check as odds, what is needed, and once how failures cluster")
    func status() {
        let rollout = JudgedRollout(seconds: 3)
        api.sync { $0.services["income"]?.evaluation = rollout.evaluation }
        let lines = run("status").output.split(separator: "\n").map(String.init)
        let place = lines.firstIndex { $0.hasPrefix("EVIDENCE") } ?? 0
        #expect(lines[place] == "EVIDENCE         AGAINST IT  FAILS AT  PROOF  PROVEN AT  STILL NEEDED")
        let evidence = rollout.judge.evidence[0].evidence
        #expect(lines[place + 1].hasPrefix("standard/errors"))
        #expect(
            lines[place + 1].contains(" \(CheckEvidence.odds(evidence.value))   100 : 1   none     20 : 1  about"))
        #expect(lines[place + 1].hasSuffix("about 2,300 more requests, 14 min at this rate"))
        #expect(lines[place + 2].hasPrefix("  errors: φ̂ "))
        #expect(!run("status").output.contains("\u{1b}"))
    }

    @Test("explain says how many requests failed, how strong the evidence is and when the policy reverts, with a plot")
    func explain() {
        let rollout = JudgedRollout(seconds: 60)
        revert(rollout, nil)
        let text = run("explain").output
        let odds = CheckEvidence.chance(rollout.judge.evidence[0].evidence.value)
        let flat = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(
            flat.contains(
                "The candidate failed 48 of 480 requests (10%), the baseline 0 of 960 requests (0%); allowed is at most 0.2%."
            ), "\(text)")
        #expect(
            flat.contains(
                "If it were sound, this much against it would come up, at any time of a rollout, in fewer than "
                    + "\(odds) rollouts; the policy reverts at 1 of 100."), "\(text)")
        #expect(text.contains("100 : 1 ┤"))
        #expect(text.contains("█ fails\n"))
    }

    @Test("explain says that the candidate fails, if errors made a latency check fail") func failsMore() {
        let note = MeasurementNote.failsMore(
            candidate: .init(failed: 12, total: 140), baseline: .init(failed: 1, total: 1260))
        let words = note.words
        let m = Analysis.Measurement(
            subject: "increase", unit: .seconds, candidate: .infinity, baseline: 0.02, candidateSamples: 140,
            baselineSamples: 1260, bound: 0.03, value: .infinity, verdict: .fail,
            notes: [note, .other("evidence 807 : 1")])
        #expect(m.words == "increase: \(words); evidence 807 : 1")
        let flat = explain(revertFor: m)
        #expect(flat.contains("The candidate \(words). If it were sound"), "\(flat)")
    }

    /// The output of `explain`, in one line, for a rollout that was reverted with this measurement.
    private func explain(revertFor m: Analysis.Measurement) -> String {
        let rollout = JudgedRollout(seconds: 60)
        api.sync { backend in
            var evaluation = rollout.evaluation
            evaluation.results[0].measurements = [m]
            _ = backend.handle(.evaluated(evaluation, elapsed: .seconds(1)), service: "income")
        }
        return run("explain").output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    @Test("explain names the quantile with the largest increase, whatever other notes there are")
    func quantile() {
        let m = Analysis.Measurement(
            subject: "increase", unit: .seconds, candidate: 0.09, baseline: 0.02, candidateSamples: 140,
            baselineSamples: 1260, bound: 0.03, value: 0.09, verdict: .fail,
            notes: [.other("something else"), .strongestAtQuantile(0.999), .evidence(value: 7, revertAt: 5)])
        let flat = explain(revertFor: m)
        #expect(flat.contains("At P99.9 the candidate took 90 ms, the baseline 20 ms"), "\(flat)")
    }

    @Test("explain of a promotion after a bake refers to the decision with the proof") func promoted() throws {
        revert(JudgedRollout(seconds: 60), nil)
        let json = run("explain", "--output=json").output
        var record = try JSONCoding.decode(DecisionRecord.self, from: Array(json.utf8))
        record.event.kind = "promoted"
        record.evaluation?.checks[0].verdict = .pass
        record.evaluation?.checks[0].missing = "about 900 more requests"
        func text(_ provenAt: Int64?) -> String {
            DecisionText.lines(record, colored: false, provenAt: provenAt).joined(separator: " ")
                .split(separator: " ").joined(separator: " ")
        }
        let alone = text(nil)
        #expect(
            alone.contains("still missing for a promotion: about 900") && alone.contains("Proof for it in this step"))
        let after = text(12)
        #expect(after.contains("canaryctl explain 12") && !after.contains("missing") && !after.contains("Proof for it"))
    }

    @Test("A plot has its height, columns in scale, and only ASCII characters without Unicode")
    func plot() {
        let trace = EvidenceStatus.Trace(spacing: 2, points: [-3, 0, 1, 2, 4, 6, 6.5])
        let plot = EvidencePlot(isUnicode: true, width: 14, height: 4)
        let lines = plot.lines(trace, threshold: 6)
        #expect(
            lines == [
                "            403 : 1 ┤╌╌╌╌╌╌╌╌╌╌▆▆██ fails",
                "                    │        ▄▄████",
                "                    │      ▂▂██████",
                "                    │    ▅▅████████",
                "              1 : 1 └──────────────",
                "                     start      14s",
            ])
        let plain = EvidencePlot(isUnicode: false, width: 14, height: 4).lines(trace, threshold: 6)
        #expect(plain.count == 6 && plain.allSatisfy { $0.utf8.allSatisfy { $0 < 0x80 } })
        #expect(plain[1] == "                    |        ######")
        #expect(plot.lines(EvidenceStatus.Trace(spacing: 1, points: []), threshold: 6).isEmpty)
        let long = EvidenceStatus.Trace(spacing: 1, points: (0..<120).map { Figure(Double($0) / 20) })
        #expect(plot.lines(long, threshold: 6).allSatisfy { $0.count <= 21 + 14 + " fails".count })
    }

    @Test("The first variable of the locale that is set decides whether Unicode is drawn")
    func locale() {
        #expect(Console.isUnicode([nil, nil, "en_GB.UTF-8"]))
        #expect(Console.isUnicode(["", "C.utf8", nil]))
        #expect(!Console.isUnicode(["C", "en_GB.UTF-8", nil]))
        #expect(!Console.isUnicode([nil, nil, nil]))
    }

    @Test("A replay of the recording is the same bit for bit")
    func same() throws {
        let rollout = JudgedRollout(seconds: 60)
        revert(rollout, try rollout.page())
        let result = run("explain", "--replay")
        #expect(result.status == 0 && result.errors.isEmpty)
        #expect(result.output.hasPrefix("replayed 120 items of income-1\n  ✓ standard/errors  evidence "))
        #expect(result.output.hasSuffix("The evidence of its check is the same, bit for bit.\n"))
        let json = run("explain", "--replay", "--output=json").output
        #expect(try JSONCoding.decode(ReplayReport.self, from: Array(json.utf8)).same)
    }

    @Test("Items that were recorded after the decision do not count in its replay")
    func later() throws {
        let rollout = JudgedRollout(seconds: 60)
        revert(rollout, try rollout.page(JudgedRollout(seconds: 80).items))
        #expect(run("explain", "--replay").status == 0)
    }

    @Test("If the recording has one more request, the replay names the check that differs")
    func different() throws {
        let rollout = JudgedRollout(seconds: 60)
        var items = rollout.items
        guard case .errors(var tick) = items[40] else { return }
        tick.trials[12] += 1
        items[40] = .errors(tick)
        revert(rollout, try rollout.page(items))
        let result = run("explain", "--replay")
        #expect(result.status == 1)
        #expect(result.errors.hasPrefix("canaryctl: not the same: standard/errors; "))
        #expect(result.output.contains("✗ standard/errors  NOT THE SAME"))
    }

    @Test("A recording that is pruned, incomplete, damaged or without its head is refused with the reason")
    func missing() throws {
        let rollout = JudgedRollout(seconds: 60)
        revert(rollout, nil)
        func refusal(_ page: StoredPage?) -> String {
            api.sync { $0.recordings["income"] = page.map { ["income-1": [$0]] } }
            let result = run("explain", "--replay")
            #expect(result.status == 1 && result.output.isEmpty)
            return result.errors
        }
        #expect(refusal(nil).contains("the recording of income-1 is pruned: the agent keeps 16 MiB"))
        #expect(refusal(try rollout.page(Array(rollout.items.prefix(30)))).contains("it rests on 120 items"))
        var page = try rollout.page()
        page.isWhole = false
        #expect(refusal(page).contains("is not whole"))
        page = try rollout.page()
        page.head = nil
        #expect(refusal(page).contains("the judge with which income-1 began is not in its recording"))
        page.head = "{}"
        #expect(refusal(page).contains("its first judge is not as this version writes it"))
        page = try rollout.page()
        page.items[0] = 0x7e
        #expect(refusal(page).contains("the recording is damaged at byte 1 after item 0"))
        page = try rollout.page()
        page.count += 1
        #expect(refusal(page).contains("121 items were written after item 0, 120 are there"))
    }

    @Test("A decision of the threshold judge, and one without a measurement, cannot be replayed")
    func nothing() {
        api.sync { _ = $0.handle(.evaluated(Example.harmful, elapsed: .seconds(1)), service: "income") }
        #expect(run("explain", "--replay").errors.contains("only the sequential judge records"))
        #expect(run("explain", "2", "--replay").errors.contains("rests on no measurement"))
    }

    @Test("watch draws evidence and proof as bars, aligned")
    func watch() throws {
        let rollout = JudgedRollout(seconds: 3)
        api.sync { $0.services["income"]?.evaluation = rollout.evaluation }
        let json = run("status", "income", "--output=json").output
        let status = try JSONCoding.decode(ServiceStatus.self, from: Array(json.utf8))
        let lines = WatchScreen(width: 140, height: 40, isColored: false).lines(
            status, events: [], now: Timestamp(milliseconds: 0))
        let place = try #require(lines.firstIndex { $0.contains("evidence against it, fails at") })
        let columns = lines[place + 1].enumerated().filter { $0.element == "▕" }.map(\.offset)
        #expect(columns.count == 2)
        #expect(Array(lines[place])[columns[0]] == "e" && Array(lines[place])[columns[1]] == "p")
        #expect(lines[place + 1].contains("of 100 : 1") && lines[place + 1].contains("none of 20 : 1"))
    }
}
