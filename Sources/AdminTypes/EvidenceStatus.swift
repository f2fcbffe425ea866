/// The sequential judge's evidence for and against a candidate in one check. E is the wealth of a gambler who bets that
/// the candidate is not sound, at odds that are fair if it is. It is given as a natural logarithm, so it starts at 0.
public struct EvidenceStatus: Hashable, Codable, Sendable {
    /// ln E against the candidate, and the threshold at which the check fails.
    public var logEvidence: Figure
    public var revertAt: Figure
    /// ln E for a promotion, and the threshold that it has to reach.
    public var proof: Figure
    public var promoteAt: Figure
    /// The check's share of the policy's risk, 0 ... 1; 1 for a check with `action: notify`, which has none and is
    /// compared with the whole risk.
    public var share: Double
    /// The bound or the group that has the strongest evidence: `ceiling`, `increase`, `keys`, `sex=Female`; empty if
    /// none has any.
    public var part: String
    /// How failures cluster and what follows for the evidence, as text; empty if that does not matter.
    public var dependence: String
    /// Estimates of how many more requests of the candidate the proof needs, and of how many seconds they take at the
    /// current rate; absent if they are not known.
    public var requestsNeeded: Double?
    public var secondsNeeded: Double?
    /// The evidence over time; only decisions have it.
    public var trace: Trace?

    /// ln E over the course of the rollout.
    public struct Trace: Hashable, Codable, Sendable {
        /// The time from one point to the next, in seconds.
        public var spacing: Int64
        /// The largest value within each span, oldest first.
        public var points: [Figure]

        public init(spacing: Int64, points: [Figure]) {
            self.spacing = spacing
            self.points = points
        }
    }

    public init(
        logEvidence: Figure, revertAt: Figure, proof: Figure, promoteAt: Figure, share: Double, part: String,
        dependence: String, requestsNeeded: Double?, secondsNeeded: Double?, trace: Trace?
    ) {
        self.logEvidence = logEvidence
        self.revertAt = revertAt
        self.proof = proof
        self.promoteAt = promoteAt
        self.share = share
        self.part = part
        self.dependence = dependence
        self.requestsNeeded = requestsNeeded
        self.secondsNeeded = secondsNeeded
        self.trace = trace
    }
}
