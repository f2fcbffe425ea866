/// Traffic that is written down, and what policies have to decide on it: one `NAME.test.yaml`.
public struct PolicyTest: Hashable, Sendable {
    /// The file's name, as it is shown to people.
    public var file: String
    /// At least one; read from the files that the test names.
    public var policies: [Policy]
    /// The seed of the generator of requests, errors and latencies: the same seed gives the same run.
    public var seed: UInt64
    public var strategy: Strategy
    /// Time between two looks, `analysis.interval` of a service.
    public var interval: Duration
    public var judge: JudgeKind
    /// At least one; names are unique.
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

/// One rollout from its first step on, and its expected end.
public struct TestScenario: Hashable, Sendable {
    public var name: String
    /// The line of the scenario in its file, from 1.
    public var line: Int
    /// The phases in order, at least one. What a phase does not write is already filled in from the one before.
    public var phases: [TrafficPhase]
    public var expected: ExpectedDecision

    public init(name: String, line: Int, phases: [TrafficPhase], expected: ExpectedDecision) {
        self.name = name
        self.line = line
        self.phases = phases
        self.expected = expected
    }

    /// After this the traffic ends.
    public var duration: Duration { phases.reduce(.zero) { $0 + $1.duration } }
}

/// A stretch of time in which traffic keeps its character.
public struct TrafficPhase: Hashable, Sendable {
    /// > 0.
    public var duration: Duration
    /// Requests per second to the service, both arms together; they arrive as a Poisson process. 0: none come.
    public var rate: Double
    public var baseline: ArmTraffic
    public var candidate: ArmTraffic
    /// Nil: no labels come.
    public var feedback: FeedbackTraffic?
    /// Sorted by series.
    public var series: [SeriesTraffic]
    /// False: every scrape fails.
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

/// How one version answers.
public struct ArmTraffic: Hashable, Sendable {
    /// Share of requests that end as a server error, each by itself. 0 ... 1.
    public var errors: Double
    /// Shares of requests that are answered with these statuses, beside `errors`; ascending by status. The sum of all
    /// is at most 1.
    public var statuses: [StatusShare]
    public var latency: LatencyShape
    /// The time to the first byte; nil: the response comes in one piece, so as `latency`.
    public var firstByte: LatencyShape?
    /// False: its servers refuse connections and every request to it fails at once.
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

/// The share of requests that a version answers with a status.
public struct StatusShare: Hashable, Sendable {
    /// 300 ... 599.
    public var status: UInt16
    /// 0 ... 1.
    public var share: Double

    public init(status: UInt16, share: Double) {
        self.status = status
        self.share = share
    }
}

/// A log-normal distribution through two quantiles: median `p50`, sigma = ln(p95 / p50) / 1.6449.
public struct LatencyShape: Hashable, Sendable {
    /// > 0.
    public var p50: Duration
    /// >= p50; equal means that every request takes this long.
    public var p95: Duration

    public init(p50: Duration, p95: Duration) {
        self.p50 = p50
        self.p95 = p95
    }
}

/// Labels that come back for answered requests.
public struct FeedbackTraffic: Hashable, Sendable {
    /// The time from the end of a request to its label.
    public var delay: Duration
    /// The share of the completed requests. 0 ... 1.
    public var share: Double
    /// The attribute whose values `groups` are, such as `sex`; nil: rows carry no group and `groups` has one element.
    public var attribute: String?
    /// At least one; their shares sum to at most 1, and what is left over carries no group and no label.
    public var groups: [GroupTraffic]

    public init(delay: Duration, share: Double, attribute: String?, groups: [GroupTraffic]) {
        self.delay = delay
        self.share = share
        self.attribute = attribute
        self.groups = groups
    }
}

/// The rows of one group and how well each arm does on them.
public struct GroupTraffic: Hashable, Sendable {
    /// Value of the attribute; empty where there is none.
    public var value: String
    /// Of all rows. 0 ... 1.
    public var share: Double
    /// Share of label = 1 among the group's rows. 0 ... 1.
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

/// Accuracy and selection rate follow from these and the group's positives.
public struct ArmQuality: Hashable, Sendable {
    /// P(prediction = 1 | label = 1).
    public var recall: Double
    /// P(prediction = 1 | label = 0).
    public var falsePositiveRate: Double
    /// Mean of the score, within the range that the policies declare; nil: rows carry no score.
    public var score: Double?

    public init(recall: Double, falsePositiveRate: Double, score: Double? = nil) {
        self.recall = recall
        self.falsePositiveRate = falsePositiveRate
        self.score = score
    }
}

/// What a scrape of each arm shows for a series, as it stands: for a `rate`, the counter's increase per second.
public struct SeriesTraffic: Hashable, Sendable {
    /// The series as the check writes it.
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

/// How a scenario has to end.
public struct ExpectedDecision: Hashable, Sendable {
    public var decision: Decision
    /// The check that decides; only with `revert` and `pause`. Nil: any.
    public var check: String?
    /// At the latest this long after the first step began; nil: before the traffic ends. Never with `hold`.
    public var within: Duration?

    public enum Decision: String, CaseIterable, Hashable, Sendable {
        case revert
        /// Steps done and proof there: the bake begins.
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
