import Vocabulary

/// One comparison of a value with a bound, with every number that it rests on.
public struct MeasurementStatus: Hashable, Codable, Sendable {
    /// The bound or the group that is measured, such as `ceiling`, `increase` or `sex=Female`.
    public var subject: String
    public var unit: MeasureUnit
    /// The values of the arms; absent without samples.
    public var candidate: Figure?
    public var baseline: Figure?
    public var candidateSamples: UInt64
    public var baselineSamples: UInt64
    /// The value that is compared with the bound: the candidate's value, or its drop or rise relative to the baseline.
    public var value: Figure?
    public var bound: Figure
    /// True if the value may be at most the bound, false if it must be at least the bound.
    public var atMost: Bool
    public var verdict: Verdict
    /// The 95 % interval of the candidate's value less the baseline's; absent where it is not known.
    public var difference: Difference?
    /// Facts about the measurement, such as what is missing, what is uncertain, and what decided.
    public var notes: [NoteStatus]

    /// An interval in the unit of the measurement; `points` for ratios. It may be read at any time: over a whole
    /// rollout it misses the true difference with a probability of at most 5 %.
    public struct Difference: Hashable, Codable, Sendable {
        public var low: Figure
        public var high: Figure
        /// The quantile to which the difference belongs, 0 ... 1; absent if it is the measurement's own.
        public var quantile: Double?

        public init(low: Figure, high: Figure, quantile: Double? = nil) {
            self.low = low
            self.high = high
            self.quantile = quantile
        }
    }

    public init(
        subject: String, unit: MeasureUnit, candidate: Figure?, baseline: Figure?, candidateSamples: UInt64,
        baselineSamples: UInt64, value: Figure?, bound: Figure, atMost: Bool, verdict: Verdict,
        difference: Difference? = nil, notes: [NoteStatus]
    ) {
        self.difference = difference
        self.subject = subject
        self.unit = unit
        self.candidate = candidate
        self.baseline = baseline
        self.candidateSamples = candidateSamples
        self.baselineSamples = baselineSamples
        self.value = value
        self.bound = bound
        self.atMost = atMost
        self.verdict = verdict
        self.notes = notes
    }
}

/// A fact about a measurement, for programs by its kind and for people by its text.
public struct NoteStatus: Hashable, Codable, Sendable {
    public var kind: NoteKind
    public var text: String
    /// The quantile at which the increase is largest, 0 ... 1; absent for notes of other kinds.
    public var quantile: Double?

    public init(kind: NoteKind, text: String, quantile: Double? = nil) {
        self.kind = kind
        self.text = text
        self.quantile = quantile
    }
}

/// The result of one check at one evaluation.
public struct CheckStatus: Hashable, Codable, Sendable {
    public var policy: String
    public var check: String
    /// What happens when the check fails.
    public var action: CheckAction
    /// The verdict of the check, on which the rollout acts.
    public var verdict: Verdict
    /// The verdict of the newest measurements alone.
    public var measured: Verdict
    public var measurements: [MeasurementStatus]
    /// The number of failed measurements in this rollout, and how many of them are tolerated.
    public var failures: Int
    public var failureLimit: Int
    public var inconclusives: Int
    public var consecutiveErrors: Int
    /// True if the check is proven, so that it does not block promotion.
    public var proven: Bool
    /// What the proof still needs; empty if nothing.
    public var missing: String
    /// The result in one line.
    public var summary: String
    /// The evidence of the sequential judge; absent for checks on scraped data and for other judges.
    public var evidence: EvidenceStatus?

    public init(
        policy: String, check: String, action: CheckAction, verdict: Verdict, measured: Verdict,
        measurements: [MeasurementStatus], failures: Int, failureLimit: Int, inconclusives: Int,
        consecutiveErrors: Int, proven: Bool, missing: String, summary: String, evidence: EvidenceStatus? = nil
    ) {
        self.policy = policy
        self.check = check
        self.action = action
        self.verdict = verdict
        self.measured = measured
        self.measurements = measurements
        self.failures = failures
        self.failureLimit = failureLimit
        self.inconclusives = inconclusives
        self.consecutiveErrors = consecutiveErrors
        self.proven = proven
        self.missing = missing
        self.summary = summary
        self.evidence = evidence
    }

    /// True if a promotion needs the proof of the check.
    public var isRequired: Bool { action.isRequired }

    /// The measurement that decided the newest evaluation.
    public var decisive: MeasurementStatus? { measurements.decisive(for: measured) }
}

extension MeasurementStatus: BoundComparison {
    public var isTooSmall: Bool { note(.tooSmallToJudge) != nil }

    /// The first note of a kind.
    public func note(_ kind: NoteKind) -> NoteStatus? { notes.first { $0.kind == kind } }

    /// The notes in one line; empty if there are none.
    public var note: String { notes.map(\.text).joined(separator: "; ") }

    public var excess: Double? { value.map { atMost ? $0.value - bound.value : bound.value - $0.value } }
}

/// The results of all checks at one evaluation, and whether the evaluation itself can be trusted.
public struct EvaluationStatus: Hashable, Codable, Sendable {
    /// The verdict of the required checks together.
    public var verdict: Verdict
    /// False if no judged request has arrived lately.
    public var dataFlowing: Bool
    /// The reason why the agent cannot trust its own observations; absent if it can.
    public var blindness: String?
    public var baseline: ArmCondition
    public var candidate: ArmCondition
    /// The results in the order of the policies and their checks.
    public var checks: [CheckStatus]
    /// The number of items of the rollout's recording on which the evidence is based; absent if the judge records none.
    public var items: Int?
    /// The arguments of the policies, in their order; absent if they have none.
    public var arguments: [PolicyArgumentStatus]?
    /// True if every required check was proven.
    public var isProven: Bool { checks.allSatisfy { !$0.isRequired || $0.proven } }

    /// The condition of an arm at that moment, independent of the policies.
    public struct ArmCondition: Hashable, Codable, Sendable {
        public var servers: Int
        public var reachable: Int
        /// The number of judged requests since the rollout began, and of errors among them.
        public var requests: UInt64
        public var errors: UInt64
        /// The same numbers for the last 30 s.
        public var recentRequests: UInt64
        public var recentErrors: UInt64
        /// True if no server accepts connections, or if at least half of the recent requests failed.
        public var down: Bool

        public init(
            servers: Int, reachable: Int, requests: UInt64, errors: UInt64, recentRequests: UInt64,
            recentErrors: UInt64, down: Bool
        ) {
            self.servers = servers
            self.reachable = reachable
            self.requests = requests
            self.errors = errors
            self.recentRequests = recentRequests
            self.recentErrors = recentErrors
            self.down = down
        }
    }

    public init(
        verdict: Verdict, dataFlowing: Bool, blindness: String?, baseline: ArmCondition, candidate: ArmCondition,
        checks: [CheckStatus], items: Int? = nil, arguments: [PolicyArgumentStatus]? = nil
    ) {
        self.verdict = verdict
        self.dataFlowing = dataFlowing
        self.blindness = blindness
        self.baseline = baseline
        self.candidate = candidate
        self.checks = checks
        self.items = items
        self.arguments = arguments
    }
}
