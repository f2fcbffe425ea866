import Statistics

/// Where the enforced checks stand, without numbers and words: what a simulation of many rollouts asks each second.
public struct Standing: Hashable, Sendable {
    /// The check whose evidence reverts, the first of several.
    public var reverts: String?
    /// Every check has the requests that a step needs before it may end.
    public var isReady = true
    /// Every check is proven.
    public var isProven = true
}

extension SequentialJudge {
    /// Of errors and latency as the proxy sees them; quality and scraped series are left out.
    public var standing: Standing {
        var standing = Standing()
        let promoteAt = proofThreshold
        // A copy of a state counts the references of all its arrays.
        for i in states.indices where states[i].check.mode == .enforce && states[i].quality == nil {
            let evidence = states[i].errors?.evidence.value ?? states[i].latency?.evidence.value ?? 0
            if standing.reverts == nil, evidence >= threshold(states[i]) { standing.reverts = states[i].path }
            let seen = states[i].errors?.sinceStep ?? states[i].latency?.sinceStep ?? Stratum()
            if seen.candidate.trials < Self.fewestInStep || !(states[i].latency?.isReady ?? true) {
                standing.isReady = false
            }
            if states[i].errors?.proofEvidence ?? states[i].latency?.proofEvidence ?? 0 < promoteAt {
                standing.isProven = false
            }
        }
        standing.isProven = standing.isProven && standing.isReady
        return standing
    }
}
