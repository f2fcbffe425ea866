import Statistics

/// The standing of the enforced checks, without numbers and words: what a simulation of many rollouts asks each second.
public struct Standing: Hashable, Sendable {
    /// The check whose evidence reverts, the first of several.
    public var reverts: String?
    /// Every check has the requests that a step needs before it may end.
    public var isReady = true
    /// Every check is proven.
    public var isProven = true
}

extension SequentialJudge {
    /// The standing of errors and latency as the proxy sees them; quality and scraped series are left out.
    public var standing: Standing {
        var standing = Standing()
        // A copy of a state counts the references of all its arrays.
        for i in states.indices where states[i].check.mode == .enforce && !states[i].process.isQuality {
            if standing.reverts == nil, states[i].process.evidence.value >= threshold(states[i]) {
                standing.reverts = states[i].path
            }
            standing.isReady =
                standing.isReady && states[i].process.isReady
                && states[i].process.sinceStep.candidate.trials >= Self.fewestInStep
            standing.isProven = standing.isProven && standing.isReady && states[i].process.proof >= proofThreshold
        }
        return standing
    }
}
