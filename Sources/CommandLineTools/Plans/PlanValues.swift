import Analysis
import ArgumentParser
import PolicyModel
import PolicyYAML

// If a value is invalid, the argument parser reports the error together with the name of the option.

/// The value of an option that is a share, such as `0.1%`.
struct ShareValue: CustomStringConvertible {
    var value: Double
    init(_ value: Double) { self.value = value }
    init(written text: String) throws { value = try WrittenValue.share(text) }
    var description: String { Words.percent(value) }
}

/// The value of an option that is a duration, such as `10m`.
struct TimeValue: CustomStringConvertible {
    var value: Duration
    init(_ value: Duration) { self.value = value }
    init(written text: String) throws { value = try WrittenValue.duration(text) }
    var description: String { value.written }
}

/// The value of an option that is a latency, such as `p50=40ms,p95=90ms`.
struct LatencyValue: CustomStringConvertible {
    var shape: LatencyShape

    init(_ shape: LatencyShape) { self.shape = shape }

    init(written text: String) throws {
        var found: [String: Duration] = [:]
        for part in text.split(separator: ",") {
            let pair = part.split(separator: "=").map { $0.filter { $0 != " " }.lowercased() }
            guard pair.count == 2 else { throw ValidationError("write p50=40ms,p95=90ms") }
            found[pair[0]] = try WrittenValue.duration(pair[1])
        }
        guard found.count == 2, let p50 = found["p50"], let p95 = found["p95"] else {
            throw ValidationError("write p50=40ms,p95=90ms")
        }
        guard p95 >= p50 else { throw ValidationError("the P95 is below the P50") }
        shape = LatencyShape(p50: p50, p95: p95)
    }

    var description: String { "p50=\(shape.p50.written),p95=\(shape.p95.written)" }
}

/// The value of `--steps`, such as `10%:10m,25%:10m,50%:10m`: rising weights, each with its hold.
struct StepsValue: CustomStringConvertible {
    struct Step: Sendable {
        var weight: Weight
        var hold: Duration
    }
    var steps: [Step]
    /// The maximum number of steps: that of a service.
    static let most = ConfigurationLimits.steps

    init(_ steps: [Step]) { self.steps = steps }

    init(written text: String) throws {
        steps = []
        for part in text.split(separator: ",") {
            let pair = part.split(separator: ":").map { String($0.filter { $0 != " " }) }
            guard pair.count == 2 else { throw ValidationError("write weights and times: 10%:10m,50%:30m") }
            let weight = Weight(clamping: Int((try WrittenValue.share(pair[0]) * 10_000).rounded()))
            guard weight > steps.last?.weight ?? .zero, weight < .full else {
                throw ValidationError("weights rise and lie between 0% and 100%: 10%:10m,50%:30m")
            }
            steps.append(Step(weight: weight, hold: try WrittenValue.duration(pair[1])))
        }
        guard (1...Self.most).contains(steps.count) else { throw ValidationError("write 1 to \(Self.most) steps") }
    }

    /// The default steps of a service.
    static let standard = StepsValue(
        Strategy.defaultSteps.compactMap {
            if case .weight(let weight, let hold) = $0 { Step(weight: weight, hold: hold) } else { nil }
        })

    var description: String { steps.map { "\($0.weight):\($0.hold.written)" }.joined(separator: ",") }
}

/// Policies from files, without the checks that a simulation or a replay cannot judge.
struct PlannedPolicies {
    var policies: [Policy]
    /// The paths of the checks that are left out, such as `standard/gpu-memory`.
    var leftOut: [String]

    /// Reads policy files.
    /// - Throws: `Failure` with all diagnostics.
    static func read(_ files: [String]) throws -> [Policy] {
        var policies: [Policy] = []
        var lines: [String] = []
        for file in files {
            let loaded = ConfigurationLoader.load(policyFile: file)
            if loaded.hasErrors, ConfigurationLoader.lint(files: [file]).value?.services.isEmpty == false {
                throw Failure(
                    ExitStatus.usage,
                    "\(file) is a service and no policy: canaryctl policy lint \(file) POLICY --rps RATE simulates it")
            }
            lines += loaded.diagnostics.filter { $0.severity == .error }.flatMap {
                $0.description.split(separator: "\n").map(String.init)
            }
            if let policy = loaded.value { policies.append(policy) }
        }
        guard lines.isEmpty else {
            throw Failure(ExitStatus.failed, "the policies cannot be used as they are", detail: lines)
        }
        let names = policies.map(\.name)
        if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
            throw Failure(ExitStatus.usage, "two files have the policy \(twice); a service has each once")
        }
        return policies
    }

    /// - Parameter quality: true if labels are available, so that quality checks can be judged.
    init(_ all: [Policy], quality: Bool) throws {
        policies = []
        leftOut = []
        var required = 0
        for var policy in all {
            policy.checks.removeAll { check in
                let isJudged: Bool
                switch check.kind {
                case .errors(let errors): isJudged = errors.from == .proxy
                case .clientErrors: isJudged = true
                case .latency(let latency): isJudged = latency.from == .proxy
                // The check stays in the policy, because it has a share of the risk.
                case .quality:
                    if !quality { leftOut.append("\(policy.name)/\(check.name)") }
                    if quality, check.action.isRequired { required += 1 }
                    return false
                case .metric: isJudged = false
                }
                if isJudged, check.action.isRequired { required += 1 }
                if !isJudged { leftOut.append("\(policy.name)/\(check.name)") }
                return !isJudged
            }
            policies.append(policy)
        }
        guard required > 0 else {
            throw Failure(
                ExitStatus.failed,
                "no check of \(all.map(\.name).joined(separator: ", ")) can be judged from requests alone: errors, "
                    + "clientErrors and latency as the proxy sees them can, with action: revert or pause")
        }
    }

    /// A line that names the checks that are left out; nil if there are none.
    var note: String? {
        leftOut.isEmpty
            ? nil
            : "left out, though a real rollout waits for \(leftOut.count == 1 ? "it" : "them"): "
                + leftOut.joined(separator: ", ")
    }
}
