import Analysis
import PolicyModel
import RolloutController
import RolloutEngine

/// The service that most tests look at: `income`, fp32-v1 against int8-v2, with one policy of three checks.
public enum Example {
    public static let policy = Policy(
        name: "standard",
        checks: [
            Check(name: "error-rate", kind: .errors(ErrorsCheck(max: 0.01))),
            Check(name: "p95-latency", kind: .latency(LatencyCheck(quantile: 0.95, max: .milliseconds(200)))),
            Check(
                name: "recall",
                kind: .quality(
                    QualityCheck(measure: .recall, groups: [GroupSelector(attribute: "sex")], maxDrop: 0.15))),
        ])

    public static let strategy = Strategy(
        steps: [
            .weight(Weight(clamping: 100), hold: .seconds(120)), .weight(Weight(clamping: 1000), hold: .seconds(600)),
            .weight(Weight(clamping: 5000), hold: .seconds(1800)),
        ],
        bake: Bake(duration: .seconds(3600)))

    public static func service(_ name: String = "income", start: Initiation = .automatic) -> Service {
        var strategy = Self.strategy
        strategy.start = start
        return Service(
            name: name, listen: [.tcp(host: "127.0.0.1", port: 8080)],
            versions: [
                Version(name: "fp32-v1", servers: [.http(host: "127.0.0.1", port: 9001)]),
                Version(name: "int8-v2", servers: [.http(host: "127.0.0.1", port: 9002)], revision: "2026-11-20"),
            ],
            baseline: "fp32-v1", candidate: "int8-v2", policies: ["standard"], strategy: strategy)
    }

    /// - Parameter p95: seconds by 5-second spans.
    public static func arm(
        _ name: String, revision: String? = nil, rate: Double = 40, errors: UInt64 = 2, requests: UInt64 = 4000,
        p95: Double = 0.084
    ) -> ArmView {
        ArmView(
            identity: VersionIdentity(name: name, revision: revision), servers: 1, reachable: 1, requestRate: rate,
            errorRate: Double(errors) / Double(requests), p50: p95 / 2, p95: p95, p99: p95 * 1.5, requests: requests,
            errors: errors, latencyTrend: (0..<24).map { $0 < 4 ? nil : p95 * (1 + Double($0 % 5) / 20) })
    }

    public static func entry(_ name: String = "income", start: Initiation = .automatic) -> ScriptedBackend.Entry {
        let service = service(name, start: start)
        let declaration = Declaration(service, policies: [policy])
        return ScriptedBackend.Entry(
            service: service, state: ServiceState(service: name, serving: declaration.baseline, seed: 7),
            declaration: declaration, baseline: arm("fp32-v1"),
            candidate: arm("int8-v2", revision: "2026-11-20", rate: 4.4, errors: 0, requests: 440, p95: 0.0912))
    }

    /// A service whose rollout is in its first step.
    public static func backend(_ names: String..., start: Initiation = .automatic) -> ScriptedBackend {
        let backend = ScriptedBackend()
        for name in names.isEmpty ? ["income"] : names {
            backend.services[name] = entry(name, start: start)
            backend.handle(.declared(), service: name)
            backend.handle(.evaluated(Evaluation(), elapsed: .zero), service: name)
        }
        return backend
    }

    /// All checks pass but recall, which has too few rows.
    public static var evaluation: Evaluation {
        let errors = Measurement(
            subject: "ceiling", unit: .ratio, candidate: 0, baseline: 0.0005, candidateSamples: 440,
            baselineSamples: 4000, bound: 0.01, value: 0, verdict: .pass)
        let latency = Measurement(
            subject: "ceiling", unit: .seconds, candidate: 0.0912, baseline: 0.084, candidateSamples: 440,
            baselineSamples: 4000, bound: 0.2, value: 0.0912, verdict: .pass)
        let recall = Measurement(
            subject: "sex=Female", unit: .points, candidate: nil, baseline: 0.539, candidateSamples: 12,
            baselineSamples: 431, bound: 0.15, verdict: .noData,
            notes: [.fewRows(candidate: 12, baseline: 431, needed: 100)])
        return Evaluation(
            results: [
                CheckResult(
                    policy: "standard", check: "error-rate", action: .revert, verdict: .pass, measured: .pass,
                    measurements: [errors], failureLimit: 2, proven: true),
                CheckResult(
                    policy: "standard", check: "p95-latency", action: .revert, verdict: .pass, measured: .pass,
                    measurements: [latency], failureLimit: 2, proven: true),
                CheckResult(
                    policy: "standard", check: "recall", action: .revert, verdict: .noData, measured: .noData,
                    measurements: [recall], failureLimit: 2,
                    missing: "sex=Female: 12 of 100 samples on the candidate, 431 on the baseline",
                    waitsOnlyForPromotion: true),
            ],
            baseline: ArmCondition(requests: 4000, errors: 2, recentRequests: 1200),
            candidate: ArmCondition(requests: 440, recentRequests: 132))
    }

    /// The same, but the recall of women is gone.
    public static var harmful: Evaluation {
        var evaluation = evaluation
        evaluation.results[2].verdict = .fail
        evaluation.results[2].measured = .fail
        evaluation.results[2].failures = 3
        evaluation.results[2].missing = ""
        evaluation.results[2].measurements = [
            Measurement(
                subject: "sex=Female", unit: .points, candidate: 0.171, baseline: 0.539, candidateSamples: 117,
                baselineSamples: 431, bound: 0.15, value: 0.368, verdict: .fail),
            Measurement(
                subject: "sex=Male", unit: .points, candidate: 0.629, baseline: 0.637, candidateSamples: 203,
                baselineSamples: 902, bound: 0.15, value: 0.008, verdict: .pass),
        ]
        return evaluation
    }
}
