/// What the sequential judge holds for and against a candidate in one check. E is the wealth of a bet that the
/// candidate is not sound, fair if it is; it is given as its natural logarithm, so that 0 is where it began.
public struct EvidenceStatus: Hashable, Codable, Sendable {
    /// ln E for a revert, and the value that reverts.
    public var logEvidence: Figure
    public var revertAt: Figure
    /// ln E for a promotion, and the value that it has to stand at.
    public var proof: Figure
    public var promoteAt: Figure
    /// The check's share of the policy's risk, 0 ... 1.
    public var share: Double
    /// The bound or the group that has the strongest evidence: `ceiling`, `increase`, `keys`, `sex=Female`; empty where
    /// none does.
    public var part: String
    /// How failures cluster and what follows, in words; empty where that does not matter.
    public var dependence: String
    /// About how many more requests of the candidate the proof needs, and how many seconds that takes at this rate;
    /// absent where it is not known.
    public var requestsNeeded: Double?
    public var secondsNeeded: Double?
    /// How the evidence went; only with decisions.
    public var trace: Trace?

    /// ln E over the rollout.
    public struct Trace: Hashable, Codable, Sendable {
        /// Seconds from one point to the next.
        public var spacing: Int64
        /// Oldest first; each is the largest of its span.
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
