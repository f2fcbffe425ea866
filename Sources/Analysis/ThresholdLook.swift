import PolicyModel
import Statistics

/// One measurement of one check by its bounds.
struct ThresholdLook {
    let check: Check
    let snapshot: WindowSnapshot
    let now: Int64

    var since: Int64 { now - check.limits.window.nanoseconds }
    var need: UInt64 { UInt64(max(check.limits.minSamples, 1)) }

    func measure() -> [Measurement] {
        switch check.kind {
        case .errors(let errors): measure(errors)
        case .latency(let latency): measure(latency)
        case .quality(let quality): measure(quality)
        case .metric(let metric): measure(metric)
        }
    }

    /// What promotion still waits for: enough requests that began in this step, enough rows in each group.
    func missing(measured: Verdict, measurements: [Measurement]) -> String {
        switch check.kind {
        case .errors where isScraped, .latency where isScraped:
            return measured == .pass ? "" : reason(measurements, measured)
        case .errors, .latency:
            for arm in [Arm.candidate, .baseline] {
                let n = snapshot.observations.sinceStep[Int(arm.rawValue)].judged
                if n < need { return "\(n) of \(need) requests on the \(arm.name) in this step" }
            }
            return measured == .pass ? "" : reason(measurements, measured)
        case .quality, .metric: return measured == .pass ? "" : reason(measurements, measured)
        }
    }

    private var isScraped: Bool {
        switch check.kind {
        case .errors(let errors): errors.from == .scrape
        case .latency(let latency): latency.from == .scrape
        case .quality, .metric: false
        }
    }

    private func reason(_ measurements: [Measurement], _ measured: Verdict) -> String {
        let notes = measurements.filter { $0.verdict == measured }.map { m in
            m.note.isEmpty ? m.subject : "\(m.subject): \(m.note)"
        }
        return notes.isEmpty ? "no measurement yet" : notes.joined(separator: "; ")
    }

    func fewSamples(_ candidate: UInt64, _ baseline: UInt64?) -> String? {
        if candidate < need { return "\(candidate) of \(need) samples on the candidate" }
        if let baseline, baseline < need { return "\(baseline) of \(need) samples on the baseline" }
        return nil
    }

    func measure(_ quality: QualityCheck) -> [Measurement] {
        let table = snapshot.quality
        let groups =
            quality.groups.isEmpty ? [(name: "all rows", counts: table.whole)] : quality.groups.flatMap(table.select)
        if groups.isEmpty {
            let names = quality.groups.map(\.description).joined(separator: ", ")
            return [
                Measurement(
                    subject: names, unit: .points, bound: quality.maxDrop ?? quality.maxRise ?? 0, verdict: .noData,
                    note: "no feedback with this attribute yet")
            ]
        }
        var measurements = groups.flatMap { group in
            [(quality.maxDrop, 1.0), (quality.maxRise, -1.0)].compactMap { bound, sign in
                bound.map { compare(group.name, group.counts, quality, bound: $0, sign: sign) }
            }
        }
        // Small groups may stand aside of others, never of nothing.
        if measurements.allSatisfy({ $0.value == nil }) {
            for i in measurements.indices { measurements[i].verdict = .noData }
        }
        return measurements
    }

    /// - Parameter sign: 1 for a drop against the baseline, −1 for a rise.
    private func compare(
        _ name: String, _ counts: [GroupCounts], _ quality: QualityCheck, bound: Double, sign: Double
    ) -> Measurement {
        let baseline = counts[Int(Arm.baseline.rawValue)].measure(quality.measure)
        let candidate = counts[Int(Arm.candidate.rawValue)].measure(quality.measure)
        var m = Measurement(
            subject: name, unit: .points, candidate: candidate?.value, baseline: baseline?.value,
            candidateSamples: candidate?.samples ?? 0, baselineSamples: baseline?.samples ?? 0, bound: bound,
            verdict: .noData)
        let needed = UInt64(max(quality.minSamples, 1))
        guard let b = baseline, let c = candidate, b.samples >= needed, c.samples >= needed else {
            m.note =
                "\(m.candidateSamples) of \(needed) samples on the candidate, \(m.baselineSamples) on the baseline"
            m.verdict = quality.small == .report ? .pass : .noData
            if m.verdict == .pass { m.note = "too small to judge: " + m.note }
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
            m.note = "beyond the bound, but by less than two standard errors"
        }
        return m
    }
}
