import Statistics
import Vocabulary

/// The state of the required checks without numbers or text, which a simulation of many rollouts needs for each second.
public struct Standing: Hashable, Sendable {
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
    /// The standing of the checks on errors and latency that the proxy measures; quality and scraped series are left
    /// out.
    public var standing: Standing {
        var standing = Standing()
        // The loop goes by index, since a copy of a state would retain all its arrays.
        for i in states.indices where states[i].check.action.isRequired && !states[i].process.isQuality {
            if states[i].process.evidence.value >= threshold(states[i]) {
                switch states[i].check.action {
                case .revert: standing.reverts = standing.reverts ?? states[i].path
                case .pause: standing.pauses = standing.pauses ?? states[i].path
                case .notify: break
                }
            }
            standing.isReady =
                standing.isReady && states[i].process.isReady
                && states[i].process.sinceStep.candidate.trials >= Self.fewestInStep
            standing.isProven = standing.isProven && standing.isReady && states[i].process.proof >= proofThreshold
        }
        return standing
    }
}
