import PolicyModel

/// Everything about a service that must outlive the agent. Only `RolloutStateMachine` changes it.
public struct ServiceState: Hashable, Codable, Sendable {
    public var service: String
    /// A number that grows with each change of the split in force.
    public var generation: UInt64
    /// The version that serves as the baseline.
    public var serving: VersionIdentity
    /// The version that was the baseline before `serving`.
    public var previous: VersionIdentity?
    /// The rollout under way.
    public var rollout: Rollout?
    /// The candidate that was reverted. It is not tried again until the service's file names another candidate or
    /// someone runs `canaryctl retry`.
    public var refused: Refusal?
    public var freeze: Freeze?
    /// The number of rollouts that this service has had.
    public var rolloutCount: Int
    /// A random number, drawn once, from which the salts of rollouts are derived.
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
    /// Milliseconds since 1970 UTC.
    public var at: Int64
    /// The number of times that this identity was reverted; each retry has the whole risk budget again.
    public var times: Int

    public init(identity: VersionIdentity, reason: String, at: Int64, times: Int) {
        self.identity = identity
        self.reason = reason
        self.at = at
        self.times = times
    }
}

/// A freeze of a service: nothing starts, advances or promotes; reverts still happen.
public struct Freeze: Hashable, Codable, Sendable {
    public var reason: String
    public var by: String
    /// Milliseconds since 1970 UTC.
    public var at: Int64

    public init(reason: String, by: String, at: Int64) {
        self.reason = reason
        self.by = by
        self.at = at
    }
}

/// The part of the configuration that a rollout keeps from its start; later edits of the files apply to the next
/// rollout.
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

/// The current content of the configuration files for one service.
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
