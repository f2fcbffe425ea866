import Foundation
import PolicyModel
import TestSupport
import Testing
import Vocabulary

@testable import Analysis

/// Traffic second by second under the threshold parameters of policies/standard.yaml, and what the judge makes of it.
private struct Course {
    static let second: Int64 = 1_000_000_000
    var now = 1000 * Course.second
    var window = ObservationWindow(retention: .seconds(130), startedAt: 1000 * Course.second)
    var quality = QualityTable()
    var series = SeriesWindow()
    var judge = ThresholdJudge()
    var result: CheckResult?
    let check: Check
    private var random = SplitMix64(seed: 5)

    init(_ kind: CheckKind, _ limits: ThresholdLimits = ThresholdLimits(window: .seconds(120))) {
        check = Check(name: "c", kind: kind, limits: limits)
    }

    /// One second with 90 requests of the baseline and 10 of the candidate.
    mutating func advance(errors: Double, milliseconds: Int = 20, candidate: Int = 10) {
        now += Self.second
        for i in 0..<(90 + candidate) {
            let arm: Arm = i < candidate ? .candidate : .baseline
            let fails = arm == .candidate && random.chance(errors)
            window.record(
                Observation(
                    slot: 1, arm: arm, outcome: fails ? .serverError : .success, flags: .judged, place: 0,
                    startedAt: now - Self.second / 2, requestHash: 0, firstByte: 500,
                    total: UInt32((arm == .candidate ? milliseconds : 20) * 1000)))
        }
        evaluate()
    }

    mutating func evaluate() {
        window.expire(now: now)
        result =
            judge.evaluate(
                [Policy(name: "p", checks: [check])],
                WindowSnapshot(observations: window, quality: quality, series: series), now: now)[0]
    }

    var verdict: Verdict? { result?.verdict }
    var failures: Int { result?.failures ?? 0 }
}

@Suite("Failed measurements count once", .timeLimit(.minutes(15)))
struct CountedFailureTests {
    private static let errors = CheckKind.errors(ErrorsCheck(max: 0.02, maxIncrease: 0.5, floor: 0.0025))

    @Test(
        "five seconds of errors in sound traffic do not revert, wherever they fall between two measurements",
        arguments: 0..<10)
    func burst(phase: Int) {
        var course = Course(Self.errors)
        for second in 0..<240 {
            course.advance(errors: (60 + phase..<65 + phase).contains(second) ? 1 : 0)
            #expect(course.verdict != .fail, "second \(second): \(course.result?.words ?? "")")
        }
        #expect((1...2).contains(course.failures))
    }

    @Test(
        "a burst across a new step counts no more often: the evaluation that the step asks for counts toward no limit")
    func steps() {
        var course = Course(Self.errors)
        for second in 0..<240 {
            course.advance(errors: (58..<63).contains(second) ? 1 : 0)
            if (55..<70).contains(second) { course.judge.measureAgain() }
            #expect(course.verdict != .fail)
        }
    }

    @Test("lasting errors revert within three measurements", arguments: [0.1, 0.3, 1])
    func lasting(rate: Double) {
        var course = Course(Self.errors)
        for _ in 0..<120 { course.advance(errors: 0) }
        var seconds = 0
        while course.verdict != .fail, seconds < 300 {
            course.advance(errors: rate)
            seconds += 1
        }
        #expect(seconds <= 60, "\(rate): \(seconds) s")
    }

    @Test("a lasting fault under little traffic is found too: what came since the last counted failure adds up")
    func littleTraffic() {
        var course = Course(Self.errors)
        var seconds = 0
        while course.verdict != .fail, seconds < 1200 {
            course.advance(errors: 0.15, candidate: 1)
            seconds += 1
        }
        #expect(seconds < 600, "\(seconds) s")
    }

    @Test("five slow seconds do not revert, slowness that lasts does", arguments: [20, 1500])
    func latency(bound: Int) {
        let kind = CheckKind.latency(LatencyCheck(quantile: 0.95, max: .milliseconds(bound * 5)))
        var course = Course(kind)
        for second in 0..<240 {
            course.advance(errors: 0, milliseconds: (58..<63).contains(second) ? bound * 10 : bound)
            #expect(course.verdict != .fail, "second \(second)")
        }
        var seconds = 0
        while course.verdict != .fail, seconds < 300 {
            course.advance(errors: 0, milliseconds: bound * 10)
            seconds += 1
        }
        #expect(seconds <= 60, "\(seconds) s")
    }

    @Test("labels that came once count once, over a restart too; more of the same kind revert")
    func quality() throws {
        var course = Course(.quality(QualityCheck(measure: .recall, maxDrop: 0.05)), ThresholdLimits(failureLimit: 1))
        func feed(_ arm: Arm, hits: Int, misses: Int) {
            for i in 0..<(hits + misses) {
                course.quality.add(
                    Feedback(requestHash: 1, label: 1, prediction: i < hits ? 1 : 0), arm: arm, attributes: [],
                    scores: .unit)
            }
        }
        feed(.baseline, hits: 400, misses: 100)
        feed(.candidate, hits: 40, misses: 160)
        for _ in 0..<60 { course.advance(errors: 0) }
        #expect(course.failures == 1 && course.verdict == .inconclusive)
        course.judge = try JSONDecoder().decode(ThresholdJudge.self, from: JSONEncoder().encode(course.judge))
        feed(.candidate, hits: 40, misses: 10)
        for _ in 0..<60 { course.advance(errors: 0) }
        #expect(course.failures == 1 && course.result?.measured == .fail)
        feed(.candidate, hits: 10, misses: 90)
        for _ in 0..<20 { course.advance(errors: 0) }
        #expect(course.verdict == .fail)
    }

    private func scrape(_ course: inout Course, _ arm: Arm, _ samples: [SeriesQuery: SeriesReading]) {
        let server = Endpoint(host: arm.name, port: 1)
        course.series.record(ScrapeSample(at: course.now, series: samples), of: server, arm: arm)
    }

    @Test("one increment in six overlapping windows counts once; increments that go on revert")
    func counter() {
        let metric = MetricCheck(series: "retries_total", aggregate: .rate, max: 0.001)
        var course = Course(.metric(metric), ThresholdLimits())
        var retries = 0.0
        func advance() {
            for _ in 0..<5 { course.advance(errors: 0) }
            scrape(&course, .baseline, [metric.query: .values(["": 0])])
            scrape(&course, .candidate, [metric.query: .values(["": retries])])
        }
        for _ in 0..<4 { advance() }
        retries += 1
        for _ in 0..<30 { advance() }
        #expect(course.failures == 1 && course.verdict == .pass)
        for _ in 0..<8 {
            retries += 1
            advance()
        }
        #expect(course.verdict == .fail)
    }

    @Test("one scrape counts once, though several measurements see it")
    func gauge() {
        let metric = MetricCheck(series: "queue", aggregate: .max, max: 10)
        var course = Course(.metric(metric), ThresholdLimits(window: .seconds(120)))
        func minute(_ value: Double) {
            scrape(&course, .candidate, [metric.query: .values(["": value])])
            for _ in 0..<60 { course.advance(errors: 0) }
        }
        for value in [1.0, 50, 50] { minute(value) }
        #expect(course.failures == 2 && course.verdict == .inconclusive)
        minute(50)
        #expect(course.verdict == .fail)
    }

    @Test("a relative bound spares what is at or below its floor, and nothing against nothing passes")
    func floor() {
        func measured(_ metric: MetricCheck, baseline: Double, candidate: Double) -> Verdict? {
            var course = Course(.metric(metric), ThresholdLimits(failureLimit: 0))
            for second in 0..<4 {
                course.now += 10 * Course.second
                let place = Double(second) * 10
                scrape(&course, .baseline, [metric.query: .values(["": baseline * place])])
                scrape(&course, .candidate, [metric.query: .values(["": candidate * place])])
            }
            course.evaluate()
            return course.result?.measured
        }
        func check(_ floor: Double?) -> MetricCheck {
            MetricCheck(series: "retries_total", aggregate: .rate, maxIncrease: 0.5, floor: floor)
        }
        #expect(measured(check(0.1), baseline: 0, candidate: 0) == .pass)
        #expect(measured(check(0.1), baseline: 0, candidate: 0.1) == .pass)
        #expect(measured(check(0.1), baseline: 0, candidate: 0.2) == .fail)
        #expect(measured(check(0.1), baseline: 1, candidate: 1.4) == .pass)
        #expect(measured(check(0.1), baseline: 1, candidate: 1.6) == .fail)
        #expect(measured(check(nil), baseline: 0, candidate: 0) == .pass)
        #expect(measured(check(nil), baseline: 0, candidate: 0.1) == .inconclusive)
    }
}
