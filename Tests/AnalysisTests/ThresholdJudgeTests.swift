import Foundation
import GrowthMeasure
import PolicyModel
import TestSupport
import Testing
import Vocabulary

@testable import Analysis

/// Requests of both arms in one window, and what a check makes of them.
private struct Scene {
    static let second: Int64 = 1_000_000_000
    var now = 1000 * Scene.second
    var window = ObservationWindow(retention: .seconds(130), startedAt: 900 * Scene.second)
    var quality = QualityTable()
    var judge = ThresholdJudge()

    mutating func add(_ arm: Arm, _ count: Int, _ outcome: Outcome = .success, milliseconds: Int = 20, ago: Int64 = 5) {
        for _ in 0..<count {
            window.record(
                Observation(
                    slot: 1, arm: arm, outcome: outcome, flags: .judged, place: 0,
                    startedAt: now - ago * Scene.second, requestHash: 0, firstByte: UInt32(milliseconds * 500),
                    total: UInt32(milliseconds * 1000)))
        }
    }

    mutating func look(_ check: Check, after: Int64 = 0) -> CheckResult {
        now += after * Scene.second
        let policy = Policy(name: "p", checks: [check])
        return judge.evaluate([policy], WindowSnapshot(observations: window, quality: quality), now: now)[0]
    }
}

@Suite(.timeLimit(.minutes(15))) struct ThresholdJudgeTests {
    private static func errors(_ check: ErrorsCheck, _ limits: ThresholdLimits = ThresholdLimits()) -> Check {
        Check(name: "c", kind: .errors(check), limits: limits)
    }

    struct Case: CustomStringConvertible, Sendable {
        var description: String
        var check: ErrorsCheck
        var candidate: (ok: Int, bad: Int)
        var baseline: (ok: Int, bad: Int)
        var measured: Verdict
    }

    static let table: [Case] = [
        Case(
            description: "below the ceiling", check: ErrorsCheck(max: 0.01), candidate: (1000, 5), baseline: (0, 0),
            measured: .pass),
        Case(
            description: "surely above it", check: ErrorsCheck(max: 0.01), candidate: (950, 50), baseline: (1000, 0),
            measured: .fail),
        Case(
            description: "above it by chance", check: ErrorsCheck(max: 0.01), candidate: (98, 2), baseline: (1000, 0),
            measured: .inconclusive),
        Case(
            description: "too few samples", check: ErrorsCheck(max: 0.01), candidate: (20, 29), baseline: (1000, 0),
            measured: .noData),
        Case(
            description: "no samples", check: ErrorsCheck(max: 0.01), candidate: (0, 0), baseline: (1000, 0),
            measured: .noData),
        Case(
            description: "as many as asked for", check: ErrorsCheck(max: 0.01), candidate: (21, 29),
            baseline: (1000, 0), measured: .fail),
        Case(
            description: "the baseline is beyond the ceiling too", check: ErrorsCheck(max: 0.01), candidate: (900, 100),
            baseline: (900, 100), measured: .inconclusive),
        Case(
            description: "the candidate is worse still", check: ErrorsCheck(max: 0.01), candidate: (700, 300),
            baseline: (900, 100), measured: .fail),
        Case(
            description: "twice the baseline's, by chance beyond half as much again",
            check: ErrorsCheck(maxIncrease: 0.5),
            candidate: (900, 100), baseline: (950, 50), measured: .inconclusive),
        Case(
            description: "three times the baseline's", check: ErrorsCheck(maxIncrease: 0.5), candidate: (850, 150),
            baseline: (950, 50), measured: .fail),
        Case(
            description: "a little above the baseline's", check: ErrorsCheck(maxIncrease: 0.5), candidate: (945, 55),
            baseline: (950, 50), measured: .pass),
        Case(
            description: "the baseline has too few", check: ErrorsCheck(maxIncrease: 0.5), candidate: (900, 100),
            baseline: (40, 0), measured: .noData),
        Case(
            description: "an increase too small to matter", check: ErrorsCheck(maxIncrease: 0.5, floor: 0.02),
            candidate: (990, 10), baseline: (1000, 0), measured: .pass),
        Case(
            description: "an increase beyond the floor", check: ErrorsCheck(maxIncrease: 0.5, floor: 0.02),
            candidate: (900, 100), baseline: (1000, 0), measured: .fail),
        Case(
            description: "one bound of two fails", check: ErrorsCheck(max: 0.5, maxIncrease: 0.5),
            candidate: (900, 100), baseline: (1000, 0), measured: .fail),
    ]

    @Test("errors are held to ceiling, increase, floor and samples", arguments: table)
    func errorTable(row: Case) {
        var scene = Scene()
        scene.add(.candidate, row.candidate.ok)
        scene.add(.candidate, row.candidate.bad, .serverError)
        scene.add(.baseline, row.baseline.ok)
        scene.add(.baseline, row.baseline.bad, .timeout)
        let result = scene.look(Self.errors(row.check))
        #expect(result.measured == row.measured, "\(result.words)")
    }

    @Test("a check fails when more measurements failed than are tolerated, in the whole rollout") func failureLimit() {
        var scene = Scene()
        let check = Self.errors(ErrorsCheck(max: 0.01), ThresholdLimits(window: .seconds(10), failureLimit: 2))
        var verdicts: [Verdict] = []
        for isBad in [true, false, true, false, true, false] {
            scene.now += 20 * Scene.second
            scene.add(.candidate, 100, isBad ? .serverError : .success)
            verdicts.append(scene.look(check).verdict)
        }
        #expect(verdicts == [.inconclusive, .pass, .inconclusive, .pass, .fail, .fail])
    }

    @Test("between two measurements the last one is repeated, and counts once") func interval() {
        var scene = Scene()
        let check = Self.errors(ErrorsCheck(max: 0.01), ThresholdLimits(failureLimit: 0))
        scene.add(.candidate, 100)
        #expect(scene.look(check).verdict == .pass)
        scene.add(.candidate, 100, .serverError)
        #expect(scene.look(check, after: 9).verdict == .pass)
        #expect(scene.look(check, after: 1).verdict == .fail)
        #expect(scene.look(check, after: 1).failures == 1)
    }

    @Test("more inconclusive measurements than are tolerated are told") func inconclusiveLimit() {
        var scene = Scene()
        let check = Self.errors(ErrorsCheck(max: 0.01), ThresholdLimits(inconclusiveLimit: 1))
        scene.add(.candidate, 98)
        scene.add(.candidate, 2, .serverError)
        #expect(!scene.look(check).isOverInconclusiveLimit)
        #expect(scene.look(check, after: 10).isOverInconclusiveLimit)
    }

    @Test("a provider counts as down after more errors in a row than are tolerated") func errorLimit() {
        var scene = Scene()
        let check = Check(
            name: "c", kind: .metric(MetricCheck(series: "up", aggregate: .max, max: 1)),
            limits: ThresholdLimits(consecutiveErrorLimit: 2))
        var verdicts: [Verdict] = []
        for _ in 0..<4 { verdicts.append(scene.look(check, after: 10).verdict) }
        #expect(verdicts == [.noData, .noData, .error, .error])
    }

    @Test("the tallies survive being written and read; what was measured is looked at anew") func codable() throws {
        var scene = Scene()
        let check = Self.errors(ErrorsCheck(max: 0.01), ThresholdLimits(failureLimit: 1))
        scene.add(.candidate, 100, .serverError)
        #expect(scene.look(check).failures == 1)
        scene.judge = try JSONDecoder().decode(ThresholdJudge.self, from: JSONEncoder().encode(scene.judge))
        #expect(scene.look(check, after: 1).verdict == .fail)
    }

    @Test("proof rests on requests that began in the last step, and says how many are missing") func proof() {
        var scene = Scene()
        scene.add(.candidate, 200, ago: 30)
        scene.add(.baseline, 200, ago: 30)
        scene.window.beginStep(at: scene.now - 10 * Scene.second)
        scene.add(.candidate, 20)
        let check = Self.errors(ErrorsCheck(max: 0.01))
        let early = scene.look(check)
        #expect(early.verdict == .pass && !early.proven)
        #expect(early.missing == "20 of 50 requests on the candidate in this step")
        scene.add(.candidate, 60)
        scene.add(.baseline, 60)
        let late = scene.look(check, after: 10)
        #expect(late.proven && late.missing.isEmpty)
        // A few errors of this step drown in the step before; not for the proof.
        scene.add(.candidate, 3, .serverError, ago: 15)
        scene.judge.measureAgain()
        let drowned = scene.look(Self.errors(ErrorsCheck(max: 0.02)), after: 10)
        #expect(drowned.measured == .pass && !drowned.proven)
        #expect(drowned.missing.hasPrefix("in this step: "))
    }

    @Test(
        "a distribution is compared at three quantiles, a quantile by itself, and a floor spares what is too little",
        arguments: [
            (LatencyCheck(quantile: 0.9, isDistribution: true, maxIncrease: 0.15), ["P50"]),
            (LatencyCheck(quantile: 0.9, isDistribution: true, maxIncrease: 0.15, floor: .milliseconds(4)), []),
            (LatencyCheck(quantile: 0.95, maxIncrease: 0.15), []),
            (LatencyCheck(quantile: 0.5, maxIncrease: 0.15), ["increase"]),
            (LatencyCheck(quantile: 0.5, maxIncrease: 0.15, floor: .milliseconds(4)), []),
        ])
    func distribution(latency: LatencyCheck, failing: [String]) {
        var scene = Scene()
        scene.add(.baseline, 600, milliseconds: 5)
        scene.add(.candidate, 600, milliseconds: 8)
        for arm in Arm.allCases {
            scene.add(arm, 300, milliseconds: 100)
            scene.add(arm, 100, milliseconds: 200)
        }
        let result = scene.look(Check(name: "c", kind: .latency(latency)))
        #expect(result.measurements.filter { $0.verdict == .fail }.map(\.subject) == failing)
        #expect(result.measured == (failing.isEmpty ? .pass : .fail))
        #expect(result.measurements.count == (latency.isDistribution ? 3 : 1))
    }

    @Test("latency is held to its ceiling and to the baseline's") func latency() {
        func check(_ max: Duration?, _ increase: Double?) -> Check {
            Check(name: "c", kind: .latency(LatencyCheck(quantile: 0.95, max: max, maxIncrease: increase)))
        }
        var scene = Scene()
        scene.add(.baseline, 500, milliseconds: 100)
        scene.add(.candidate, 400, milliseconds: 100)
        scene.add(.candidate, 100, milliseconds: 300)
        #expect(scene.look(check(.milliseconds(200), nil)).measured == .fail)
        scene.judge = ThresholdJudge()
        #expect(scene.look(check(.milliseconds(400), nil)).measured == .pass)
        scene.judge = ThresholdJudge()
        #expect(scene.look(check(nil, 0.5)).measured == .fail)
        scene.judge = ThresholdJudge()
        #expect(scene.look(check(nil, 3)).measured == .pass)
    }

    @Test("requests that hang fail a ceiling long before they time out") func hanging() {
        var scene = Scene()
        scene.window.setOpen(
            (0..<60).map { i in
                Observation(
                    slot: 1, arm: .candidate, outcome: .open, flags: .judged, place: 0,
                    startedAt: scene.now - 5 * Scene.second, requestHash: 0, firstByte: .max, total: 5_000_000)
            })
        let check = Check(name: "c", kind: .latency(LatencyCheck(quantile: 0.95, max: .milliseconds(200))))
        let result = scene.look(check)
        #expect(result.measured == .fail)
        #expect(result.measurements[0].candidateSamples == 60)
    }

    @Test("small groups block or are reported; an attribute that never comes is not passed over") func groups() {
        func check(_ small: SmallGroupRule, _ groups: [String]) -> Check {
            Check(
                name: "c",
                kind: .quality(
                    QualityCheck(
                        measure: .recall, groups: groups.map { GroupSelector(attribute: $0) }, maxDrop: 0.05,
                        minSamples: 100, small: small)))
        }
        var scene = Scene()
        func feed(_ arm: Arm, _ sex: String, hits: Int, misses: Int) {
            for i in 0..<(hits + misses) {
                scene.quality.add(
                    Feedback(requestHash: 1, label: 1, prediction: i < hits ? 1 : 0, groups: ["sex": sex]), arm: arm,
                    attributes: ["sex", "race"], scores: nil)
            }
        }
        for arm in Arm.allCases {
            feed(arm, "Female", hits: 60, misses: 60)
            feed(arm, "Other", hits: 5, misses: 5)
        }
        let blocked = scene.look(check(.block, ["sex"]))
        #expect(blocked.verdict == .noData && blocked.waitsOnlyForPromotion && !blocked.proven)
        scene.judge = ThresholdJudge()
        #expect(scene.look(check(.report, ["sex"])).proven)
        scene.judge = ThresholdJudge()
        #expect(
            scene.look(check(.block, ["sex", "race"])).measurements.last?.note == "no feedback with this attribute yet")
        feed(.candidate, "Female", hits: 0, misses: 200)
        scene.judge = ThresholdJudge()
        let failing = scene.look(check(.report, ["sex"]))
        #expect(failing.measured == .fail && failing.decisive?.subject == "sex=Female")
        scene.quality = QualityTable()
        feed(.candidate, "Other", hits: 1, misses: 1)
        scene.judge = ThresholdJudge()
        #expect(scene.look(check(.report, ["sex"])).measured == .noData)
    }
}

@Suite(.timeLimit(.minutes(15))) struct QualityTests {
    @Test("measures are those of the confusion matrix, counted by hand")
    func measures() throws {
        var counts = GroupCounts()
        let rows: [(Int?, Int?, Double?, Int)] = [
            (1, 1, 0.9, 30), (1, 0, 0.2, 10), (0, 1, 0.7, 5), (0, 0, 0.1, 55), (nil, 1, nil, 20), (1, nil, nil, 7),
        ]
        for (label, prediction, score, times) in rows {
            for _ in 0..<times {
                counts.add(Feedback(requestHash: 1, label: label, prediction: prediction, score: score), scores: .unit)
            }
        }
        func value(_ measure: QualityMeasure) throws -> (Double, UInt64) {
            let m = try #require(counts.measure(measure))
            return (m.value, m.samples)
        }
        #expect(try value(.accuracy) == (0.85, 100))
        #expect(try value(.recall) == (0.75, 40))
        #expect(try value(.falsePositiveRate) == (5.0 / 60, 60))
        #expect(try value(.selectionRate) == (55.0 / 120, 120))
        let mean = (27 + 2 + 3.5 + 5.5) / 100
        #expect(abs(try value(.score).0 - mean) < 1e-12)
        #expect(GroupCounts().measure(.recall) == nil)
    }

    @Test("scores count in their own unit; those outside their range, and those that no check asks for, do not count")
    func scores() throws {
        let range = try #require(ScoreRange(-50, 150))
        var counts = GroupCounts()
        for score in [90.0, 60, 150, -50, 151, .nan, .infinity] {
            counts.add(Feedback(requestHash: 1, score: score), scores: range)
        }
        let m = try #require(counts.measure(.score, scores: range))
        #expect(m.samples == 4 && abs(m.value - 62.5) < 1e-9)
        let deviations: [Double] = [27.5, -2.5, 87.5, -112.5]
        let variance = deviations.reduce(0.0) { $0 + $1 * $1 } / 4
        #expect(abs(m.variance - variance) < 1e-6)
        var unasked = GroupCounts()
        unasked.add(Feedback(requestHash: 1, score: 1e308), scores: nil)
        #expect(unasked == GroupCounts())
    }

    @Test("a range has two bounds that are finite, not huge and apart") func ranges() {
        #expect(ScoreRange(0, 100) != nil && ScoreRange(-1e9, 1e9) != nil)
        for (lower, upper) in [(1.0, 0.0), (0, 0), (0, .nan), (.nan, 1), (0, .infinity), (-1e300, 1), (1, 1 + 1e-12)] {
            #expect(ScoreRange(lower, upper) == nil)
        }
        #expect("\(ScoreRange(0, 100)!)" == "[0, 100]" && "\(ScoreRange(-0.5, 1)!)" == "[-0.5, 1]")
    }

    @Test("more groups than are kept count in the whole only, and are counted") func overflow() {
        var table = QualityTable()
        for i in 0..<(QualityTable.maximumGroups + 50) {
            table.add(
                Feedback(requestHash: 1, label: 1, prediction: 1, groups: ["id": "\(i)", "unasked": "x"]),
                arm: .candidate, attributes: ["id"], scores: nil)
        }
        #expect(table.groups["id"]?.count == QualityTable.maximumGroups)
        #expect(table.groups["unasked"] == nil)
        #expect(table.overflow == 50)
        #expect(table.whole[1].truePositives == UInt64(QualityTable.maximumGroups + 50))
    }
}

@Suite(.timeLimit(.minutes(15))) struct FeedbackJoinTests {
    private func ended(_ hash: UInt64, _ arm: Arm = .candidate, slot: UInt32 = 1) -> Observation {
        Observation(
            slot: slot, arm: arm, outcome: .success, flags: .judged, place: 0, startedAt: 0, requestHash: hash,
            firstByte: 1, total: 1)
    }

    private func row(_ hash: UInt64) -> Feedback { Feedback(requestHash: hash, label: 1, prediction: 1) }

    @Test("request and label join in either order, with the arm that answered") func bothOrders() {
        var join = FeedbackJoin()
        join.record(ended(1, .baseline))
        for hash in [1, 2] as [UInt64] { _ = join.submit(row(hash), now: 0) }
        #expect(join.takeJoined(slot: 1, now: 0).map(\.arm) == [.baseline])
        #expect(join.counts.pending == 1)
        join.record(ended(2))
        #expect(join.takeJoined(slot: 1, now: 1).map(\.arm) == [.candidate])
        #expect(join.counts.joined == 2 && join.counts.pending == 0)
    }

    @Test("every row is counted once: duplicate, ambiguous, late, unmatched") func counts() {
        var join = FeedbackJoin()
        join.record(ended(1))
        join.record(ended(2, .baseline))
        join.record(ended(2, .candidate))
        join.record(ended(3, slot: 0))
        for hash in [1, 1, 2, 3, 4] as [UInt64] { _ = join.submit(row(hash), now: 0) }
        #expect(join.takeJoined(slot: 1, now: 0).count == 1)
        #expect(join.takeJoined(slot: 1, now: FeedbackJoin.matchTimeout.nanoseconds + 1).isEmpty)
        let c = join.counts
        #expect(c.joined == 1 && c.duplicate == 1 && c.ambiguous == 1 && c.late == 1 && c.unmatched == 1)
        #expect(c.pending == 0)
    }

    @Test("both sides are bounded, and what is not taken is said") func bounded() {
        var join = FeedbackJoin(capacity: 10)
        for hash in 1...25 as ClosedRange<UInt64> { join.record(ended(hash)) }
        for hash in 1...25 as ClosedRange<UInt64> { _ = join.submit(row(hash), now: 0) }
        #expect(join.takeJoined(slot: 1, now: 0).map(\.row.requestHash) == Array(11...25))
        var full = FeedbackJoin()
        for hash in 1...UInt64(FeedbackJoin.maximumPending) { _ = full.submit(row(hash), now: 0) }
        let isTaken = full.submit(row(UInt64(FeedbackJoin.maximumPending) + 1), now: 0)
        #expect(!isTaken)
    }

    @Test("the join says for how long it remembers requests, once it has forgotten some") func memory() {
        var join = FeedbackJoin(capacity: 10)
        for second in 0..<30 as Range<Int64> {
            var o = ended(UInt64(second) + 1)
            (o.startedAt, o.total) = (second * 1_000_000_000, 0)
            join.record(o)
            #expect(join.memory(now: o.startedAt) == (second < 20 ? nil : .seconds(10)))
        }
        // The last were forgotten at 20 s. A quiet time after that remembers all of them.
        #expect(join.memory(now: 300_000_000_000) == .seconds(280))
    }

    @Test("labels that come after the maturity hold a promotion, under thresholds too") func lateLabels() {
        var table = QualityTable()
        for arm in [Arm.baseline, .candidate] {
            for i in 0..<1_000 as Range<UInt64> {
                table.add(row(i), arm: arm, attributes: [], scores: nil)
                if i < 30 { table.addLate(row(i), arm: arm, scores: nil) }
            }
        }
        func result(maxDrop: Double) -> CheckResult {
            let check = QualityCheck(measure: .recall, maxDrop: maxDrop, maturity: .seconds(60))
            let policy = Policy(name: "p", checks: [Check(name: "q", kind: .quality(check))])
            var judge = ThresholdJudge()
            let snapshot = WindowSnapshot(
                observations: ObservationWindow(retention: .seconds(60), startedAt: 0), quality: table)
            return judge.evaluate([policy], snapshot, now: 0)[0]
        }
        // 3 % of either arm's labels are late: together more than a fifth of 5 points, and less than that of 40.
        let held = result(maxDrop: 0.05)
        #expect(
            held.verdict == .noData
                && held.measurements.map(\.notes) == [[.lateLabels(candidate: 30 / 1_030, baseline: 30 / 1_030)]])
        // The numbers are shown all the same.
        #expect(held.decisive?.value != nil && held.decisive?.candidateSamples == 1_000)
        #expect(result(maxDrop: 0.4).verdict == .pass)
    }

    @Test("rows of unknown requests take no place from rows whose requests are known") func crowd() {
        var join = FeedbackJoin()
        for hash in 1...10 as ClosedRange<UInt64> { join.record(ended(hash)) }
        var unknown: UInt64 = 1_000
        while join.submit(row(unknown), now: 0) { unknown += 1 }
        #expect(unknown == 1_000 + UInt64(FeedbackJoin.maximumPending))
        for hash in 1...10 as ClosedRange<UInt64> {
            let isTaken = join.submit(row(hash), now: 0)
            #expect(isTaken)
        }
        #expect(join.takeJoined(slot: 1, now: 0).map(\.row.requestHash) == Array(1...10))
        // Whoever was refused is known after its request has ended.
        join.record(ended(unknown))
        let isTaken = join.submit(row(unknown), now: 1)
        #expect(isTaken)
        #expect(join.takeJoined(slot: 1, now: 1).map(\.row.requestHash) == [unknown])
    }

    @Test("rows that wait are bounded in bytes as well") func bytes() {
        var join = FeedbackJoin()
        let groups = Dictionary(
            uniqueKeysWithValues: (0..<16).map { ("attribute \($0)", String(repeating: "v", count: 128)) })
        var taken: UInt64 = 0
        while join.submit(Feedback(requestHash: taken + 1, prediction: 1, groups: groups), now: 0) { taken += 1 }
        #expect((2_000..<10_000).contains(taken))
        #expect(join.takeJoined(slot: 1, now: FeedbackJoin.matchTimeout.nanoseconds + 1).isEmpty)
        #expect(join.counts.unmatched == taken && join.counts.pending == 0)
        let isTaken = join.submit(Feedback(requestHash: 1, prediction: 1, groups: groups), now: 0)
        #expect(isTaken)
    }

    @Test("labels that nobody asks for are counted as such and never wait; those of known requests as they are")
    func unused() {
        var join = FeedbackJoin()
        join.record(ended(1, slot: 0))
        join.record(ended(2, slot: 1))
        for hash in [1, 2, 3] as [UInt64] { _ = join.submit(row(hash), for: .noRollout, now: 0) }
        _ = join.submit(row(4), for: .noCheck, now: 0)
        #expect(join.takeJoined(slot: 1, for: .noRollout, now: 0).isEmpty)
        let c = join.counts
        #expect(c.noRollout == 2 && c.noCheck == 1 && c.late == 1 && c.unmatched == 0 && c.pending == 0)
    }

    @Test(
        "labels of requests that nobody remembered, because no check asked for labels then, are late and not unmatched")
    func skipped() {
        let (patience, lateness) = (FeedbackJoin.matchTimeout.nanoseconds, FeedbackJoin.lateness.nanoseconds)
        var join = FeedbackJoin()
        join.skip(ended(1))
        join.record(ended(2))
        for hash in [1, 2] as [UInt64] { _ = join.submit(row(hash), now: lateness) }
        #expect(join.takeJoined(slot: 1, now: lateness + patience + 1).map(\.row.requestHash) == [2])
        #expect(join.counts.late == 1 && join.counts.unmatched == 0)
        // After that time an unknown id is a mistake of the client that posts it.
        _ = join.submit(row(3), now: lateness + 1)
        #expect(join.takeJoined(slot: 1, now: lateness + patience + 2).isEmpty)
        #expect(join.counts.late == 1 && join.counts.unmatched == 1 && join.counts.pending == 0)
    }

    @Test("a row that waits is joined once, and a second one is a duplicate at once") func twice() {
        var join = FeedbackJoin()
        for _ in 0..<3 { _ = join.submit(row(1), now: 0) }
        #expect(join.counts.pending == 1 && join.counts.duplicate == 2)
        join.record(ended(1))
        #expect(join.takeJoined(slot: 1, now: 1).count == 1)
        #expect(join.counts.joined == 1 && join.counts.pending == 0)
    }

    @Test("a turn costs what it brings, however much waits") func cost() {
        func turns(_ rows: Int) {
            var join = FeedbackJoin()
            for hash in 1...UInt64(rows) {
                _ = join.submit(row(hash), now: Int64(hash))
                if hash % 64 == 0 {
                    join.record(ended(hash))
                    _ = join.takeJoined(slot: 1, now: Int64(hash))
                }
            }
        }
        #expect(Growth.ratio(small: { turns(10_000) }, large: { turns(20_000) }) <= Growth.limit)
    }
}

@Suite(.timeLimit(.minutes(15))) struct WordingTests {
    @Test("numbers read as people write them") func format() {
        #expect(Measurement.format(0.0125, .ratio) == "1.25%")
        #expect(Measurement.format(0.15, .points) == "15 points")
        #expect(Measurement.format(0.0842, .seconds) == "84.2 ms")
        #expect(Measurement.format(0.0000124, .seconds) == "12 µs")
        #expect(Measurement.format(2.5, .seconds) == "2.5 s")
        #expect(Measurement.format(75_161_927_680, .plain) == "75161927680")
        #expect(Measurement.format(.infinity, .seconds) == "errors")
        #expect(Measurement.format(.infinity, .plain) == "beyond measure")
        #expect(Measurement.decimals(-0.5, 2) == "-0.5")
        #expect(Measurement.decimals(-0.001, 2) == "0")
        #expect(Measurement.decimals(1.005, 1) == "1")
    }

    @Test("a measurement says value, bound, baseline and samples; one without a value says what is missing")
    func words() {
        let drop = Measurement(
            subject: "sex=Female", unit: .points, candidate: 0.173, baseline: 0.539, candidateSamples: 120,
            baselineSamples: 130, bound: 0.15, value: 0.366, verdict: .fail)
        #expect(
            drop.words
                == "sex=Female: 17.3% against 53.9% on the baseline, worse by 36.6 points (at most 15 points), 120 and 130 samples"
        )
        let none = Measurement(
            subject: "ceiling", unit: .ratio, bound: 0.01, verdict: .noData, notes: [.other("3 of 50 samples")])
        #expect(none.words == "ceiling: 3 of 50 samples")
    }

    @Test("no number can break JSON") func finite() throws {
        let odd = Measurement(
            subject: "x", unit: .seconds, candidate: .infinity, baseline: .nan, bound: -.infinity, value: .infinity,
            verdict: .fail)
        let read = try JSONDecoder().decode(Analysis.Measurement.self, from: JSONEncoder().encode(odd))
        #expect(read == odd)
    }
}
