import PolicyModel
import Statistics

/// The evidence about 4xx and about redirects, each with a process of its own, so that many redirects of both arms do
/// not hide a few 4xx of one.
struct ClientErrorsProcess: Hashable, Codable, Sendable {
    private(set) var clientErrors: ErrorsProcess
    private(set) var redirects: ErrorsProcess

    init(_ check: ClientErrorsCheck, _ sets: ClientErrorSets, _ profile: BaselineProfile, isKeyed: Bool) {
        let bounds = ErrorsCheck(maxIncrease: check.maxIncrease, floor: check.floor)
        func process(_ counted: ResponseSet) -> ErrorsProcess {
            ErrorsProcess(bounds, counted: counted, mode: profile.mode(of: counted), isKeyed: isKeyed)
        }
        clientErrors = process(sets[.clientErrors])
        redirects = process(sets[.redirects])
    }

    subscript(part: ClientErrorSets.Part) -> ErrorsProcess {
        switch part {
        case .clientErrors: clientErrors
        case .redirects: redirects
        }
    }

    mutating func observe(_ tick: ErrorTick, firsts: [KeyedResponse]?) {
        clientErrors.observe(tick, firsts: firsts)
        redirects.observe(tick, firsts: firsts)
    }

    mutating func adapt(_ profile: BaselineProfile) {
        clientErrors.adapt(to: profile.mode(of: clientErrors.counted))
        redirects.adapt(to: profile.mode(of: redirects.counted))
    }

    /// The part with the more evidence against the candidate.
    var strongest: ClientErrorSets.Part {
        redirects.evidence.value > clientErrors.evidence.value ? .redirects : .clientErrors
    }

    /// ln E for a revert: the mean of the two, each of which has half of the risk.
    var evidence: (value: Double, part: String) {
        (
            logAddExp(clientErrors.evidence.value, redirects.evidence.value) - ln(2),
            strongest.rawValue
        )
    }

    /// ln E for a promotion: both have to be proven.
    var proofEvidence: Double { min(clientErrors.proofEvidence, redirects.proofEvidence) }

    func requestsNeeded(logThreshold: Double) -> Double? {
        guard let first = clientErrors.requestsNeeded(logThreshold: logThreshold),
            let second = redirects.requestsNeeded(logThreshold: logThreshold)
        else { return nil }
        return max(first, second)
    }
}
