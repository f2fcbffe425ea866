import AdminTypes
import Analysis
import PolicyModel

extension CheckVerdict {
    init(_ verdict: Verdict) {
        switch verdict {
        case .pass: self = .pass
        case .fail: self = .fail
        case .inconclusive: self = .inconclusive
        case .noData: self = .noData
        case .error: self = .error
        }
    }
}

extension FigureUnit {
    init(_ unit: MeasureUnit) {
        switch unit {
        case .ratio: self = .ratio
        case .points: self = .points
        case .score: self = .score
        case .seconds: self = .seconds
        case .plain: self = .plain
        }
    }
}

extension MeasurementStatus {
    init(_ m: Measurement) {
        self.init(
            subject: m.subject, unit: FigureUnit(m.unit), candidate: m.candidate.map(Figure.init(_:)),
            baseline: m.baseline.map(Figure.init(_:)), candidateSamples: m.candidateSamples,
            baselineSamples: m.baselineSamples, value: m.value.map(Figure.init(_:)), bound: Figure(m.bound),
            atMost: m.atMost, verdict: CheckVerdict(m.verdict), note: m.note)
    }
}

extension EvidenceStatus {
    /// - Parameter traced: with the evidence over time: some kilobytes.
    public init(_ evidence: CheckEvidence, traced: Bool) {
        self.init(
            logEvidence: Figure(evidence.value), revertAt: Figure(evidence.revertAt), proof: Figure(evidence.proof),
            promoteAt: Figure(evidence.promoteAt), share: evidence.weight, part: evidence.part,
            dependence: evidence.dependence, requestsNeeded: evidence.requestsNeeded.flatMap(Self.finite),
            secondsNeeded: evidence.secondsNeeded.flatMap(Self.finite),
            trace: traced
                ? Trace(spacing: evidence.trace.spacing, points: evidence.trace.points.map(Figure.init(_:))) : nil)
    }

    /// Beyond any number is as good as not to be told.
    private static func finite(_ x: Double) -> Double? { x.isFinite ? x : nil }
}

extension CheckStatus {
    init(_ result: CheckResult, traced: Bool) {
        self.init(
            policy: result.policy, check: result.check, enforced: result.isEnforced,
            verdict: CheckVerdict(result.verdict), measured: CheckVerdict(result.measured),
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
    /// - Parameter traced: with the evidence of each check over time.
    init(_ evaluation: Evaluation, traced: Bool) {
        self.init(
            verdict: CheckVerdict(evaluation.verdict), dataFlowing: evaluation.isDataFlowing,
            blindness: evaluation.blindness, baseline: ArmCondition(evaluation.baseline),
            candidate: ArmCondition(evaluation.candidate),
            checks: evaluation.results.map { CheckStatus($0, traced: traced) },
            items: evaluation.items)
    }
}
