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
        for state in states where state.check.mode == .enforce && state.quality == nil {
            let evidence = state.errors?.evidence.value ?? state.latency?.evidence.value ?? 0
            if standing.reverts == nil, evidence >= threshold(state) { standing.reverts = state.path }
            let seen = state.errors?.sinceStep ?? state.latency?.sinceStep ?? Stratum()
            if seen.candidate.trials < Self.fewestInStep || !(state.latency?.isReady ?? true) {
                standing.isReady = false
            }
            if state.errors?.proofEvidence ?? state.latency?.proofEvidence ?? 0 < promoteAt {
                standing.isProven = false
            }
        }
        standing.isProven = standing.isProven && standing.isReady
        return standing
    }
}
