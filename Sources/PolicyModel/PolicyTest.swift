/// A policy test, from a `NAME.test.yaml`: traffic, and what policies have to decide on it.
public struct PolicyTest: Hashable, Sendable {
    /// The file's name as it is shown in messages.
    public var file: String
    /// The policies from the files that the test names, at least one.
    public var policies: [Policy]
    /// The seed of the generator of requests, errors and latencies: the same seed gives the same run.
    public var seed: UInt64
    public var strategy: Strategy
    /// The time between two evaluations, `analysis.interval` of a service.
    public var interval: Duration
    public var judge: JudgeKind
    /// The scenarios, at least one, with unique names.
    public var scenarios: [TestScenario]

    public init(
        file: String, policies: [Policy], seed: UInt64 = 1, strategy: Strategy = Strategy(),
        interval: Duration = .seconds(1), judge: JudgeKind = .sequential, scenarios: [TestScenario]
    ) {
        self.file = file
        self.policies = policies
        self.seed = seed
        self.strategy = strategy
        self.interval = interval
        self.judge = judge
        self.scenarios = scenarios
    }
}

/// A scenario: one rollout from its first step on, with the decision that is expected.
public struct TestScenario: Hashable, Sendable {
    public var name: String
    /// The line of the scenario in its file, from 1.
    public var line: Int
    /// The phases in order, at least one. Values that a phase does not write are those of the phase before.
    public var phases: [TrafficPhase]
    public var expected: ExpectedDecision

    public init(name: String, line: Int, phases: [TrafficPhase], expected: ExpectedDecision) {
        self.name = name
        self.line = line
        self.phases = phases
        self.expected = expected
    }

    /// The duration of the traffic.
    public var duration: Duration { phases.reduce(.zero) { $0 + $1.duration } }
}

/// A period in which the properties of the traffic do not change.
public struct TrafficPhase: Hashable, Sendable {
    /// The duration of the phase, > 0.
    public var duration: Duration
    /// The requests per second to the service, both arms together, which arrive as a Poisson process; 0 for none.
    public var rate: Double
    public var baseline: ArmTraffic
    public var candidate: ArmTraffic
    /// The labels that are posted; nil if none are.
    public var feedback: FeedbackTraffic?
    /// The values of scraped series, sorted by series.
    public var series: [SeriesTraffic]
    /// True if scrapes succeed; false if every scrape fails.
    public var scrapesAnswer: Bool

    public init(
        duration: Duration, rate: Double, baseline: ArmTraffic, candidate: ArmTraffic,
        feedback: FeedbackTraffic? = nil, series: [SeriesTraffic] = [], scrapesAnswer: Bool = true
    ) {
        self.duration = duration
        self.rate = rate
        self.baseline = baseline
        self.candidate = candidate
        self.feedback = feedback
        self.series = series
        self.scrapesAnswer = scrapesAnswer
    }

    public subscript(arm: Arm) -> ArmTraffic { arm == .baseline ? baseline : candidate }
}

/// The responses of one arm.
public struct ArmTraffic: Hashable, Sendable {
    /// The share of requests that end as a server error, independently of each other, 0 ... 1.
    public var errors: Double
    /// The shares of further statuses, ascending by status. Together with `errors` they are at most 1.
    public var statuses: [StatusShare]
    public var latency: LatencyShape
    /// The time to the first byte; nil for that of `latency`, when the response comes in one piece.
    public var firstByte: LatencyShape?
    /// True if the arm's servers accept connections; false if they refuse them, so that every request to it fails at
    /// once.
    public var reachable: Bool

    public init(
        errors: Double = 0, statuses: [StatusShare] = [],
        latency: LatencyShape = LatencyShape(p50: .milliseconds(20), p95: .milliseconds(50)),
        firstByte: LatencyShape? = nil, reachable: Bool = true
    ) {
        self.errors = errors
        self.statuses = statuses
        self.latency = latency
        self.firstByte = firstByte
        self.reachable = reachable
    }
}

/// The share of an arm's requests that end with a status.
public struct StatusShare: Hashable, Sendable {
    /// The status, 300 ... 599.
    public var status: UInt16
    /// The share of the requests, 0 ... 1.
    public var share: Double

    public init(status: UInt16, share: Double) {
        self.status = status
        self.share = share
    }
}

/// A log-normal distribution through two quantiles: median `p50`, sigma = ln(p95 / p50) / 1.6449.
public struct LatencyShape: Hashable, Sendable {
    /// The median, > 0.
    public var p50: Duration
    /// The 95th percentile, ≥ `p50`. If it is equal, every request takes this time.
    public var p95: Duration

    public init(p50: Duration, p95: Duration) {
        self.p50 = p50
        self.p95 = p95
    }
}

/// The labels that are posted for completed requests.
public struct FeedbackTraffic: Hashable, Sendable {
    /// The time from the end of a request to its label.
    public var delay: Duration
    /// The share of completed requests that get a label, 0 ... 1.
    public var share: Double
    /// The attribute of the groups, such as `sex`; nil if rows have no group, when `groups` has one element.
    public var attribute: String?
    /// The groups, at least one. Their shares are at most 1 together; the rest of the requests gets no label.
    public var groups: [GroupTraffic]

    public init(delay: Duration, share: Double, attribute: String?, groups: [GroupTraffic]) {
        self.delay = delay
        self.share = share
        self.attribute = attribute
        self.groups = groups
    }
}

/// The rows of one group, and the quality of each arm on them.
public struct GroupTraffic: Hashable, Sendable {
    /// The value of the attribute; empty if there is none.
    public var value: String
    /// The group's share of all rows, 0 ... 1.
    public var share: Double
    /// The share of rows with label 1 in the group, 0 ... 1.
    public var positives: Double
    public var baseline: ArmQuality
    public var candidate: ArmQuality

    public init(value: String, share: Double, positives: Double, baseline: ArmQuality, candidate: ArmQuality) {
        self.value = value
        self.share = share
        self.positives = positives
        self.baseline = baseline
        self.candidate = candidate
    }

    public subscript(arm: Arm) -> ArmQuality { arm == .baseline ? baseline : candidate }
}

/// The quality of an arm. Accuracy and selection rate follow from these values and the group's positives.
public struct ArmQuality: Hashable, Sendable {
    /// The probability of prediction 1 for rows with label 1.
    public var recall: Double
    /// The probability of prediction 1 for rows with label 0.
    public var falsePositiveRate: Double
    /// The mean score, within the range that the policies declare; nil if rows have no score.
    public var score: Double?

    public init(recall: Double, falsePositiveRate: Double, score: Double? = nil) {
        self.recall = recall
        self.falsePositiveRate = falsePositiveRate
        self.score = score
    }
}

/// The value of a scraped series on each arm. For a `rate` it is the counter's increase per second.
public struct SeriesTraffic: Hashable, Sendable {
    /// The series as written in the check.
    public var series: String
    public var baseline: Double
    public var candidate: Double

    public init(series: String, baseline: Double, candidate: Double) {
        self.series = series
        self.baseline = baseline
        self.candidate = candidate
    }

    public subscript(arm: Arm) -> Double { arm == .baseline ? baseline : candidate }
}

/// The decision with which a scenario has to end.
public struct ExpectedDecision: Hashable, Sendable {
    public var decision: Decision
    /// The check that has to decide, only with `revert` and `pause`; nil for any.
    public var check: String?
    /// The longest time from the beginning of the first step to the decision; nil if any time before the end of the
    /// traffic is accepted. Always nil with `hold`.
    public var within: Duration?

    public enum Decision: String, CaseIterable, Hashable, Sendable {
        case revert
        /// All steps are done and the proof is complete, so the bake begins.
        case promote
        /// Paused by a check, and not reverted before the traffic ends.
        case pause
        /// Neither reverted, nor promoted, nor paused by a check when the traffic ends.
        case hold
    }

    public init(decision: Decision, check: String? = nil, within: Duration? = nil) {
        self.decision = decision
        self.check = check
        self.within = within
    }
}
