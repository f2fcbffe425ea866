import Statistics
import Vocabulary

/// The state of the required checks without numbers or text, which a simulation of many rollouts needs for each second.
public struct RequiredChecksState: Hashable, Sendable {
    /// The path of the first check whose evidence reverts; nil if none does.
    public var reverts: String?
    /// The path of the first check whose evidence pauses the rollout; nil if none does.
    public var pauses: String?
    /// True if every check has the requests that a step needs before it may end.
    public var isReady = true
    /// True if every check is proven.
    public var isProven = true
}

extension SequentialJudge {
    /// The state of the required checks on errors and latency that the proxy measures; quality and scraped series are left
    /// out.
    public var requiredChecks: RequiredChecksState {
        var state = RequiredChecksState()
        // The loop goes by index, since a copy of a state would retain all its arrays.
        for i in states.indices where states[i].check.action.isRequired {
            guard let progress = states[i].process.progress else { continue }
            if progress.evidence.value >= threshold(states[i]) {
                switch states[i].check.action {
                case .revert: state.reverts = state.reverts ?? states[i].path
                case .pause: state.pauses = state.pauses ?? states[i].path
                case .notify: break
                }
            }
            state.isReady = state.isReady && progress.isReady && progress.requests >= Self.fewestInStep
            state.isProven = state.isProven && state.isReady && progress.proof >= proofThreshold
        }
        return state
    }
}
