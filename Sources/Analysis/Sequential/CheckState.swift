import PolicyModel
import Statistics

/// One check with its processes. One of the four is set.
struct CheckState: Hashable, Codable, Sendable {
    let path: String
    let check: Check
    /// Its share of the risk.
    let weight: Double
    /// What latency it asks for; nil for others.
    let measure: LatencyMeasure?
    var errors: ErrorsProcess?
    var clientErrors: ClientErrorsProcess?
    var latency: LatencyProcess?
    var quality: GroupsProcess?
    private(set) var trace = EvidenceTrace()
    /// Requests of the candidate that are still needed for the proof, about; nil where no number of them suffices at
    /// this pace, or too few were seen to tell.
    private(set) var needed: Double?
    /// Requests of the candidate in its step that `needed` was estimated from.
    private(set) var neededFrom = 0

    /// - Parameter sets: what a check on client errors counts.
    init(
        _ path: String, _ check: Check, weight: Double, profile: BaselineProfile, sets: ClientErrorSets, isKeyed: Bool
    ) {
        self.path = path
        self.check = check
        self.weight = weight
        var measure: LatencyMeasure?
        switch check.kind {
        case .errors(let kind):
            errors = ErrorsProcess(
                kind, counted: kind.counted, mode: profile.mode(of: kind.counted), isKeyed: isKeyed)
        case .clientErrors(let kind): clientErrors = ClientErrorsProcess(kind, sets, profile, isKeyed: isKeyed)
        case .latency(let kind):
            latency = LatencyProcess(kind, mode: profile.latencyMode)
            measure = kind.of
        case .quality(let kind): quality = GroupsProcess(kind)
        case .metric: break
        }
        self.measure = measure
    }

    /// ln E for a revert, and the bound or the group that has the strongest evidence; for groups, after each has paid for its share.
    var evidence: (value: Double, part: String) {
        errors?.evidence ?? clientErrors?.evidence ?? latency?.evidence ?? quality?.evidence ?? (0, "")
    }

    /// Takes ticks of errors, not of latencies.
    var takesErrors: Bool { errors != nil || clientErrors != nil }

    // MARK: - Of errors and latency

    /// ln E for a promotion.
    var proof: Double { errors?.proofEvidence ?? clientErrors?.proofEvidence ?? latency?.proofEvidence ?? 0 }
    /// Requests judged in this step, and the time that they took to come.
    var sinceStep: Stratum {
        errors?.sinceStep ?? clientErrors?.clientErrors.sinceStep ?? latency?.sinceStep ?? Stratum()
    }
    var secondsInStep: Int64 {
        errors?.secondsInStep ?? clientErrors?.clientErrors.secondsInStep ?? latency?.secondsInStep ?? 0
    }
    /// What the candidate is held against is known.
    var isReady: Bool { latency?.isReady ?? true }

    // MARK: - Taking in

    mutating func observe(_ tick: ErrorTick) {
        errors?.observe(tick)
        clientErrors?.observe(tick)
    }

    mutating func adapt(_ profile: BaselineProfile) {
        if let counted = errors?.counted { errors?.adapt(to: profile.mode(of: counted)) }
        clientErrors?.adapt(profile)
        latency?.adapt(to: profile.latencyMode)
    }

    mutating func trace(at second: Int64) { trace.record(evidence.value, at: second) }

    mutating func estimate(logThreshold: Double) {
        neededFrom = sinceStep.candidate.trials
        needed =
            errors?.requestsNeeded(logThreshold: logThreshold)
            ?? clientErrors?.requestsNeeded(logThreshold: logThreshold)
            ?? latency?.requestsNeeded(logThreshold: logThreshold)
    }
}
