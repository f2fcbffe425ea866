import PolicyModel
import Statistics

/// The process that gathers a check's evidence, by the kind of the check.
enum CheckProcess: Hashable, Sendable {
    case errors(CopyOnWrite<ErrorsProcess>)
    case clientErrors(CopyOnWrite<ClientErrorsProcess>)
    case latency(CopyOnWrite<LatencyProcess>)
    case quality(CopyOnWrite<GroupsProcess>)

    /// Creates the process of a check; nil for checks that have no share of the risk and gather no evidence.
    /// - Parameter sets: the statuses that checks on client errors count.
    init?(_ check: Check, profile: BaselineProfile, sets: ClientErrorSets, isKeyed: Bool) {
        guard SequentialJudge.source(check) != nil else { return nil }
        switch check.kind {
        case .errors(let kind):
            let mode = profile.mode(of: kind.counted)
            self = .errors(CopyOnWrite(ErrorsProcess(kind, counted: kind.counted, mode: mode, isKeyed: isKeyed)))
        case .clientErrors(let kind):
            self = .clientErrors(CopyOnWrite(ClientErrorsProcess(kind, sets, profile, isKeyed: isKeyed)))
        case .latency(let kind):
            self = .latency(CopyOnWrite(LatencyProcess(kind, mode: profile.latencyMode, isKeyed: isKeyed)))
        case .quality(let kind): self = .quality(CopyOnWrite(GroupsProcess(kind, isKeyed: isKeyed)))
        case .metric: return nil
        }
    }

    // MARK: - Evidence

    /// ln E for a revert, and the bound or the group with the strongest evidence; for groups, after each has paid for
    /// its share of the risk.
    var evidence: (value: Double, part: String) {
        switch self {
        case .errors(let process): process.value.evidence
        case .clientErrors(let process): process.value.evidence
        case .latency(let process): process.value.evidence
        case .quality(let process): process.value.evidence
        }
    }

    /// An estimate of how many more requests of the candidate its proof needs; nil if no number suffices, and for
    /// quality.
    func requestsNeeded(logThreshold: Double) -> Double? {
        switch self {
        case .errors(let process): process.value.requestsNeeded(logThreshold: logThreshold)
        case .clientErrors(let process): process.value.requestsNeeded(logThreshold: logThreshold)
        case .latency(let process): process.value.requestsNeeded(logThreshold: logThreshold)
        case .quality: nil
        }
    }

    /// True if the process takes error ticks, which come earlier than latency ticks.
    var takesErrors: Bool {
        switch self {
        case .errors, .clientErrors: true
        case .latency, .quality: false
        }
    }

    var isQuality: Bool { if case .quality = self { true } else { false } }

    /// The bound with the weakest proof, and whether the baseline itself is too close to the ceiling for it to be
    /// proven; nil for checks with one kind of bound.
    var leastProven: (bound: Bound, isBaselineNear: Bool)? {
        switch self {
        case .errors(let process): (process.value.leastProven, process.value.isBaselineNearCeiling)
        case .latency(let process): (process.value.leastProven, process.value.isBaselineNearCeiling)
        case .clientErrors, .quality: nil
        }
    }

    /// The process if the check is one of latency; otherwise nil.
    var latency: LatencyProcess? { if case .latency(let process) = self { process.value } else { nil } }

    /// What the evidence of the check says now; nil for quality, whose groups are judged one by one.
    var progress: CheckProgress? {
        switch self {
        case .errors(let process): CheckProgress(process.value)
        case .clientErrors(let process): CheckProgress(process.value)
        case .latency(let process): CheckProgress(process.value)
        case .quality: nil
        }
    }

    // MARK: - Observations

    // Each method consumes the enum and puts it together again, so that the process has a single owner and is not
    // copied.

    /// - Parameter firsts: see `ErrorsProcess.observe`.
    mutating func observe(_ tick: ErrorTick, firsts: [KeyedResponse]?) {
        switch consume self {
        case .errors(var process):
            process.value.observe(tick, firsts: firsts)
            self = .errors(process)
        case .clientErrors(var process):
            process.value.observe(tick, firsts: firsts)
            self = .clientErrors(process)
        case .latency(let process): self = .latency(process)
        case .quality(let process): self = .quality(process)
        }
    }

    /// - Parameters:
    ///   - counts: the tick's counts of the check's measure.
    ///   - proofCounts: the tick's counts for the proof, which under sticky routing takes each key once per step.
    mutating func observe(
        _ tick: LatencyTick, _ counts: LatencyCounts, proof proofCounts: LatencyCounts, _ profile: BaselineProfile
    ) {
        switch consume self {
        case .latency(var process):
            process.value.observe(tick, counts, proof: proofCounts, profile)
            self = .latency(process)
        case .errors(let process): self = .errors(process)
        case .clientErrors(let process): self = .clientErrors(process)
        case .quality(let process): self = .quality(process)
        }
    }

    mutating func observe(_ rows: [QualityRow], current step: UInt16) {
        switch consume self {
        case .quality(var process):
            process.value.observe(rows, current: step)
            self = .quality(process)
        case .errors(let process): self = .errors(process)
        case .clientErrors(let process): self = .clientErrors(process)
        case .latency(let process): self = .latency(process)
        }
    }

    /// Begins another cohort of keys, which has its own share of the risk.
    mutating func beginCohort(shareOfRisk: Double) {
        switch consume self {
        case .latency(var process):
            process.value.beginCohort(shareOfRisk: shareOfRisk)
            self = .latency(process)
        case .errors(let process): self = .errors(process)
        case .clientErrors(let process): self = .clientErrors(process)
        case .quality(let process): self = .quality(process)
        }
    }

    /// Adapts the mode of betting to the baseline's profile as it is now.
    mutating func adapt(_ profile: BaselineProfile) {
        switch consume self {
        case .errors(var process):
            process.value.adapt(to: profile.mode(of: process.value.counted))
            self = .errors(process)
        case .clientErrors(var process):
            process.value.adapt(profile)
            self = .clientErrors(process)
        case .latency(var process):
            process.value.adapt(to: profile.latencyMode)
            self = .latency(process)
        case .quality(let process): self = .quality(process)
        }
    }
}
