import PolicyModel
import Statistics

/// One check with its processes. One of the three is set.
struct CheckState: Hashable, Codable, Sendable {
    let path: String
    let check: Check
    /// Its share of the risk.
    let weight: Double
    /// What latency it asks for; nil for others.
    let measure: LatencyMeasure?
    var errors: ErrorsProcess?
    var latency: LatencyProcess?
    var quality: GroupsProcess?
    private(set) var trace = EvidenceTrace()
    /// Requests of the candidate that are still needed for the proof, about; nil where that cannot be told.
    private(set) var needed: Double?

    init(_ path: String, _ check: Check, weight: Double, profile: BaselineProfile, isKeyed: Bool) {
        self.path = path
        self.check = check
        self.weight = weight
        var measure: LatencyMeasure?
        switch check.kind {
        case .errors(let kind): errors = ErrorsProcess(kind, lane: profile.errorLane, isKeyed: isKeyed)
        case .latency(let kind):
            latency = LatencyProcess(kind, lane: profile.latencyLane)
            measure = kind.of
        case .quality(let kind): quality = GroupsProcess(kind)
        case .metric: break
        }
        self.measure = measure
    }

    /// ln E for a revert, and the bound or the group that speaks loudest; for groups, after each has paid for its share.
    var evidence: (value: Double, part: String) {
        errors?.evidence ?? latency?.evidence ?? quality?.evidence ?? (0, "")
    }

    // MARK: - Of errors and latency

    /// ln E for a promotion.
    var proof: Double { errors?.proofEvidence ?? latency?.proofEvidence ?? 0 }
    /// Requests judged in this step, and the time that they took to come.
    var sinceStep: Stratum { errors?.sinceStep ?? latency?.sinceStep ?? Stratum() }
    var secondsInStep: Int64 { errors?.secondsInStep ?? latency?.secondsInStep ?? 0 }
    /// What the candidate is held against is known.
    var isReady: Bool { latency?.isReady ?? true }

    // MARK: - Taking in

    mutating func adapt(errors errorLane: Lane, latency latencyLane: Lane) {
        errors?.adapt(to: errorLane)
        latency?.adapt(to: latencyLane)
    }

    mutating func trace(at second: Int64) { trace.record(evidence.value, at: second) }

    mutating func estimate(logThreshold: Double) {
        needed =
            errors?.requestsNeeded(logThreshold: logThreshold)
            ?? latency?.requestsNeeded(logThreshold: logThreshold)
    }
}
