import Analysis
import PolicyModel
import Vocabulary

extension Service {
    /// `income`: v1 serves, v2 is the candidate, v3 is known; one step of 10 % for a minute and one of 50 %.
    public static func sample(
        _ name: String = "income", candidate: String? = "v2", baseline: String = "v1",
        versions: [Version] = [.sample("v1"), .sample("v2"), .sample("v3")], strategy: Strategy = .brief,
        policies: [String] = ["standard"], port: UInt16 = 8080
    ) -> Service {
        Service(
            name: name, listen: [.tcp(host: "127.0.0.1", port: port)], versions: versions, baseline: baseline,
            candidate: candidate, policies: policies, strategy: strategy)
    }
}

extension Version {
    public static func sample(_ name: String, revision: String? = nil, port: UInt16? = nil) -> Version {
        let own = 9000 + UInt16(name.utf8.reduce(0) { ($0 &* 31 &+ Int($1)) % 900 })
        return Version(name: name, servers: [.http(host: "127.0.0.1", port: port ?? own)], revision: revision)
    }
}

extension Strategy {
    /// 10 % and 50 %, a minute each; no warm-up, no bake.
    public static let brief = Strategy(steps: [
        .weight(Weight(clamping: 1000), hold: .seconds(60)), .weight(Weight(clamping: 5000), hold: .seconds(60)),
    ])
}

extension Policy {
    /// At most 1 % errors; a measurement each 10 s over the last minute.
    public static func errors(
        _ name: String = "standard", max: Double = 0.01, onNoData: NoDataRule = .hold,
        limits: ThresholdLimits = ThresholdLimits()
    ) -> Policy {
        Policy(
            name: name, onNoData: onNoData,
            checks: [Check(name: "error-rate", kind: .errors(ErrorsCheck(max: max)), limits: limits)])
    }
}

extension Configuration {
    public static func sample(_ services: [Service] = [.sample()], policies: [Policy] = [.errors()]) -> Configuration {
        Configuration(
            agent: AgentSettings(), services: services.sorted { $0.name < $1.name },
            policies: Dictionary(uniqueKeysWithValues: policies.map { ($0.name, $0) }))
    }
}

extension Evaluation {
    /// One check, `standard/error-rate`, with this verdict; both arms up and data flowing.
    public static func with(
        _ verdict: Verdict, proven: Bool = true, candidateRequests: UInt64 = 1000, action: CheckAction = .revert
    ) -> Evaluation {
        let result = CheckResult(
            policy: "standard", check: "error-rate", action: action, verdict: verdict, measured: verdict,
            proven: verdict == .pass && proven, missing: verdict == .pass && proven ? "" : "10 of 50 requests")
        return Evaluation(
            results: [result], baseline: ArmCondition(requests: 9000, recentRequests: 900),
            candidate: ArmCondition(requests: candidateRequests, recentRequests: 100))
    }
}

extension ArmCondition {
    /// None of its servers takes connections.
    public static let unreachable = ArmCondition(servers: 1, reachable: 0, recentRequests: 50, recentErrors: 50)
}
