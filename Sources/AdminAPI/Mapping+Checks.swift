import AdminTypes
import Analysis
import PolicyModel

extension MeasurementStatus {
    init(_ m: Measurement) {
        self.init(
            subject: m.subject, unit: m.unit, candidate: m.candidate.map(Figure.init(_:)),
            baseline: m.baseline.map(Figure.init(_:)), candidateSamples: m.candidateSamples,
            baselineSamples: m.baselineSamples, value: m.value.map(Figure.init(_:)), bound: Figure(m.bound),
            atMost: m.atMost, verdict: m.verdict,
            difference: m.difference.map {
                Difference(low: Figure($0.low), high: Figure($0.high), quantile: $0.quantile)
            },
            notes: m.notes.map(NoteStatus.init))
    }
}

extension NoteStatus {
    init(_ note: MeasurementNote) {
        var quantile: Double?
        if case .strongestAtQuantile(let value) = note { quantile = value }
        self.init(kind: note.kind, text: note.words, quantile: quantile)
    }
}

extension EvidenceStatus {
    /// - Parameter traced: true to include the evidence over time, which takes some kilobytes.
    public init(_ evidence: CheckEvidence, traced: Bool) {
        self.init(
            logEvidence: Figure(evidence.value), revertAt: Figure(evidence.revertAt), proof: Figure(evidence.proof),
            promoteAt: Figure(evidence.promoteAt), share: evidence.weight, part: evidence.part,
            dependence: evidence.dependence, requestsNeeded: evidence.requestsNeeded.flatMap(Self.finite),
            secondsNeeded: evidence.secondsNeeded.flatMap(Self.finite),
            trace: traced
                ? Trace(spacing: evidence.trace.spacing, points: evidence.trace.points.map(Figure.init(_:))) : nil)
    }

    /// The number if it is finite; an infinite one is left out, because JSON has none.
    private static func finite(_ x: Double) -> Double? { x.isFinite ? x : nil }
}

extension CheckStatus {
    init(_ result: CheckResult, traced: Bool) {
        self.init(
            policy: result.policy, check: result.check, action: result.action,
            verdict: result.verdict, measured: result.measured,
            measurements: result.measurements.map(MeasurementStatus.init), failures: result.failures,
            failureLimit: result.failureLimit, inconclusives: result.inconclusives,
            consecutiveErrors: result.consecutiveErrors, proven: result.proven, missing: result.missing,
            summary: result.words, evidence: result.evidence.map { EvidenceStatus($0, traced: traced) })
    }
}

extension EvaluationStatus.ArmCondition {
    init(_ condition: Analysis.ArmCondition) {
        self.init(
            servers: condition.servers, reachable: condition.reachable, requests: condition.requests,
            errors: condition.errors, recentRequests: condition.recentRequests, recentErrors: condition.recentErrors,
            down: condition.isDown)
    }
}

extension EvaluationStatus {
    /// - Parameter traced: true to include the evidence of each check over time.
    init(_ evaluation: Evaluation, traced: Bool) {
        self.init(
            verdict: evaluation.verdict, dataFlowing: evaluation.isDataFlowing,
            blindness: evaluation.blindness, baseline: ArmCondition(evaluation.baseline),
            candidate: ArmCondition(evaluation.candidate),
            checks: evaluation.results.map { CheckStatus($0, traced: traced) },
            items: evaluation.items,
            arguments: evaluation.arguments?.flatMap { policy in
                policy.arguments.map {
                    PolicyArgumentStatus(
                        policy: policy.policy, name: $0.name, value: $0.value, isDefault: $0.isDefault)
                }
            })
    }
}
