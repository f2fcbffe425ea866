import PolicyModel
import Statistics
import Vocabulary

/// One measurement of one check against its bounds.
struct ThresholdMeasurement {
    let check: Check
    let snapshot: WindowSnapshot
    /// The statuses that checks on client errors count.
    let sets: ClientErrorSets
    let now: Int64
    /// The start, in monotonic nanoseconds, of the requests that count; nil for all of the check's window.
    var startedFrom: Int64?
    /// The check's last counted failure, if only the data after it are measured, however few they are; nil for all of
    /// the check's window.
    var after: CountedFailure?
    /// The smallest age of a request in nanoseconds at which it is known whether it was slower than the bound; 0 unless
    /// latencies are judged after a counted failure.
    var age: Int64 = 0

    var since: Int64 { max(now - check.limits.window.nanoseconds, startedFrom ?? .min, after?.endedFrom ?? .min) }
    var need: UInt64 { after == nil ? UInt64(max(check.limits.minSamples, 1)) : 1 }

    func measure() -> [Measurement] {
        switch check.kind {
        case .errors(let errors): measure(errors)
        case .clientErrors(let clientErrors): measure(clientErrors)
        case .latency(let latency): measure(latency)
        case .quality(let quality): measure(quality)
        case .metric(let metric): measure(metric)
        }
    }

    /// What the promotion still waits for, as text, such as requests that began in this step; empty if nothing is
    /// missing.
    func missing(measured: Verdict, measurements: [Measurement]) -> String {
        switch check.kind {
        case .errors where isScraped, .latency where isScraped:
            return measured == .pass ? "" : reason(measurements, measured)
        case .errors, .clientErrors, .latency:
            for arm in [Arm.candidate, .baseline] {
                let n = snapshot.observations.sinceStep[Int(arm.rawValue)].judged
                if n < need { return "\(n) of \(need) requests on the \(arm.name) in this step" }
            }
            guard measured == .pass else { return reason(measurements, measured) }
            return missingInStep()
        case .quality, .metric: return measured == .pass ? "" : reason(measurements, measured)
        }
    }

    /// What is missing because the requests of this step alone do not pass. It is only needed while the window still
    /// reaches back before the step; empty afterwards.
    private func missingInStep() -> String {
        let second = ObservationWindow.cohortLength
        let step = (snapshot.observations.stepStartedAt + second - 1) / second * second
        guard startedFrom == nil, step > since else { return "" }
        let measuring = ThresholdMeasurement(check: check, snapshot: snapshot, sets: sets, now: now, startedFrom: step)
        let measurements = measuring.measure()
        let measured = ThresholdJudge.worst(measurements.map(\.verdict))
        return measured == .pass ? "" : "in this step: " + reason(measurements, measured)
    }

    private var isScraped: Bool {
        switch check.kind {
        case .errors(let errors): errors.from == .scrape
        case .latency(let latency): latency.from == .scrape
        case .clientErrors, .quality, .metric: false
        }
    }

    private func reason(_ measurements: [Measurement], _ measured: Verdict) -> String {
        let notes = measurements.filter { $0.verdict == measured }.map { m in
            m.notes.isEmpty ? m.subject : "\(m.subject): \(m.note)"
        }
        return notes.isEmpty ? "no measurement yet" : notes.joined(separator: "; ")
    }

    func fewSamples(_ candidate: UInt64, _ baseline: UInt64?) -> MeasurementNote? {
        if candidate < need { return .fewSamples(.candidate, seen: candidate, needed: need) }
        if let baseline, baseline < need { return .fewSamples(.baseline, seen: baseline, needed: need) }
        return nil
    }

    func measure(_ quality: QualityCheck) -> [Measurement] {
        let table = snapshot.quality
        func compareAll(_ name: String, _ counts: [GroupCounts]) -> [Measurement] {
            [(quality.maxDrop, 1.0), (quality.maxRise, -1.0)].compactMap { bound, sign in
                bound.map { compare(name, counts, quality, bound: $0, sign: sign) }
            }
        }
        var measurements =
            quality.groups.isEmpty
            ? compareAll(Self.allRows, table.whole)
            : quality.groups.flatMap { selector -> [Measurement] in
                let groups = table.select(selector)
                // An attribute that no row has must not pass unnoticed beside others.
                if groups.isEmpty { return [unseen(selector, quality)] }
                return groups.flatMap { compareAll($0.name, $0.counts) }
            }
        if let note = table.lateness(quality).note(quality) {
            measurements.hold(for: note)
        }
        // Small groups may be left out beside others, but not if no other group is left.
        if measurements.allSatisfy({ $0.value == nil }) {
            for i in measurements.indices { measurements[i].verdict = .noData }
        }
        return measurements
    }

    static let allRows = "all rows"

    private func unseen(_ selector: GroupSelector, _ quality: QualityCheck) -> Measurement {
        Measurement(
            subject: selector.description, unit: quality.unit, bound: quality.maxDrop ?? quality.maxRise ?? 0,
            verdict: quality.small == .report ? .pass : .noData, notes: [.unseenAttribute])
    }

    /// - Parameter sign: 1 for a drop against the baseline, −1 for a rise.
    private func compare(
        _ name: String, _ counts: [GroupCounts], _ quality: QualityCheck, bound: Double, sign: Double
    ) -> Measurement {
        let scores = quality.range ?? .unit
        let baseline = counts[Int(Arm.baseline.rawValue)].measure(quality.measure, scores: scores)
        let rows = counts[Int(Arm.candidate.rawValue)]
        let candidate = (after?.rows[name].map { rows.since($0) } ?? rows).measure(quality.measure, scores: scores)
        var m = Measurement(
            subject: name, unit: quality.unit, candidate: candidate?.value, baseline: baseline?.value,
            candidateSamples: candidate?.samples ?? 0, baselineSamples: baseline?.samples ?? 0, bound: bound,
            verdict: .noData)
        let needed = after == nil ? UInt64(max(quality.minSamples, 1)) : 1
        guard let b = baseline, let c = candidate, b.samples >= needed, c.samples >= needed else {
            let (mine, theirs) = (m.candidateSamples, m.baselineSamples)
            switch quality.small {
            case .report:
                m.verdict = .pass
                m.notes = [.tooSmallToJudge(candidate: mine, baseline: theirs, needed: needed)]
            case .block: m.notes = [.fewRows(candidate: mine, baseline: theirs, needed: needed)]
            }
            return m
        }
        let value = sign * (b.value - c.value)
        let error = (b.variance / Double(b.samples) + c.variance / Double(c.samples)).squareRoot()
        m.value = value
        if value <= bound {
            m.verdict = .pass
        } else if value - Proportion.uncertainty * error > bound {
            m.verdict = .fail
        } else {
            m.verdict = .inconclusive
            m.notes = [.withinError]
        }
        return m
    }
}
