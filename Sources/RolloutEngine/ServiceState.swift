import PolicyModel

/// Everything about a service that must outlive the agent. A value; `RolloutStateMachine` is the only thing that
/// changes it.
public struct ServiceState: Hashable, Codable, Sendable {
    public var service: String
    /// Grows with each change of the split in force.
    public var generation: UInt64
    /// What serves as the baseline.
    public var serving: VersionIdentity
    /// What served before it.
    public var previous: VersionIdentity?
    /// The attempt under way.
    public var rollout: Rollout?
    /// Reverted, and not tried again until the file names another or someone says `retry`.
    public var refused: Refusal?
    public var freeze: Freeze?
    /// How many rollouts this service has seen.
    public var rolloutCount: Int
    /// Random, drawn once; rollouts derive their salts from it.
    public var seed: UInt64

    public init(service: String, serving: VersionIdentity, seed: UInt64) {
        self.service = service
        self.generation = 1
        self.serving = serving
        self.rolloutCount = 0
        self.seed = seed
    }

    /// The split in force.
    public var split: TrafficSplit {
        TrafficSplit(
            candidate: rollout?.effectiveWeight ?? .zero, generation: generation, salt: rollout?.salt ?? seed)
    }
}

/// A candidate that was reverted.
public struct Refusal: Hashable, Codable, Sendable {
    public var identity: VersionIdentity
    public var reason: String
    /// Milliseconds since 1970.
    public var at: Int64
    /// How often this identity was reverted; each retry spends fresh risk.
    public var times: Int

    public init(identity: VersionIdentity, reason: String, at: Int64, times: Int) {
        self.identity = identity
        self.reason = reason
        self.at = at
        self.times = times
    }
}

public struct Freeze: Hashable, Codable, Sendable {
    public var reason: String
    public var by: String
    public var at: Int64

    public init(reason: String, by: String, at: Int64) {
        self.reason = reason
        self.by = by
        self.at = at
    }
}

/// What a rollout was started with; edits to the files count for the next one.
public struct RolloutPlan: Hashable, Codable, Sendable {
    public var strategy: Strategy
    public var policies: [Policy]
    public var analysis: AnalysisRules

    public init(strategy: Strategy, policies: [Policy], analysis: AnalysisRules) {
        self.strategy = strategy
        self.policies = policies
        self.analysis = analysis
    }
}

/// What the files say of a service now.
public struct Declaration: Hashable, Sendable {
    public var service: String
    public var baseline: VersionIdentity
    public var candidate: VersionIdentity?
    public var versions: [VersionIdentity]
    public var plan: RolloutPlan

    public init(
        service: String, baseline: VersionIdentity, candidate: VersionIdentity?, versions: [VersionIdentity],
        plan: RolloutPlan
    ) {
        self.service = service
        self.baseline = baseline
        self.candidate = candidate
        self.versions = versions
        self.plan = plan
    }

    public init(_ service: Service, policies: [Policy]) {
        self.init(
            service: service.name,
            baseline: service.version(named: service.baseline)?.identity ?? VersionIdentity(name: service.baseline),
            candidate: service.candidate.flatMap { service.version(named: $0)?.identity },
            versions: service.versions.map(\.identity),
            plan: RolloutPlan(strategy: service.strategy, policies: policies, analysis: service.analysis))
    }
}
