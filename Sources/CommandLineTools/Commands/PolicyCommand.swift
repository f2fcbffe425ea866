import Analysis
import ArgumentParser
import PolicyModel
import PolicySimulation
import PolicyYAML

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Check policies before they decide anything.",
        subcommands: [
            PolicyLintCommand.self, PolicyTestCommand.self, PolicySimulateCommand.self, PolicyCalibrateCommand.self,
            PolicyReplayCommand.self,
        ])
}

struct PolicyLintCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lint", abstract: "Report all errors in policies, services and policy tests.",
        discussion: """
            A folder stands for all policies, services and tests in it. The command needs no agent. With --rps, which \
            takes policy files only, it also says how often a candidate that equals the baseline is promoted: all policies \
            together, as if one service named them, over the steps of canaryctl policy simulate.
            """)

    @Argument(help: ArgumentHelp("Files or folders.", valueName: "files"), completion: .file()) var files: [String]
    @Option(help: "Requests per second to the service: says how often a sound candidate is promoted.") var rps: Double?
    @Option(help: "With --rps: hours within which a rollout has to end. (default: 2)") var hours: Double?
    @Option(help: "With --rps: share of the requests that fail. (default: 0.1%)", transform: ShareValue.init(written:))
    var errors: ShareValue?

    /// The share of sound candidates that have to be promoted. With fewer, the bounds are too tight for the traffic.
    private static let minimumPromoted = 0.95
    /// The number of rollouts that are simulated for `--rps`.
    private static let rollouts = 200

    func validate() throws {
        guard rps.map({ $0 > 0 && $0 <= PolicySimulateCommand.mostRate }) ?? true else {
            throw ValidationError("--rps is a rate up to 100000, such as 40")
        }
        guard rps != nil || hours == nil && errors == nil else {
            throw ValidationError("--hours and --errors go with --rps: add the rate, such as --rps 40")
        }
        guard hours.map({ $0 > 0 && $0 <= PolicySimulateCommand.mostHours }) ?? true else {
            throw ValidationError("--hours is up to 168, such as 2")
        }
    }

    func run() throws {
        let console = Console.current
        let result = ConfigurationLoader.lint(files: files)
        for diagnostic in result.diagnostics { console.block(diagnostic.description) }
        let errors = result.diagnostics.count { $0.severity == .error }
        let warnings = result.diagnostics.count - errors
        if errors > 0 {
            throw Failure(ExitStatus.failed, "\(Words.count(errors, "error")), \(Words.count(warnings, "warning"))")
        }
        let read = Words.count(result.value ?? 0, "file")
        console.line(warnings > 0 ? "\(read) fine, \(Words.count(warnings, "warning"))" : "\(read) fine")
        if let rps { for line in try forecast(rps) { console.line(line) } }
    }

    /// Simulates rollouts of a candidate that equals the baseline. The lines say how often, and how soon, it is promoted.
    private func forecast(_ rate: Double) throws -> [String] {
        let planned = try PlannedPolicies(PlannedPolicies.read(files), quality: false)
        let (hours, errors) = (hours ?? 2, errors ?? ShareValue(0.001))
        let traffic = ArmTraffic(
            errors: errors.value, latency: LatencyShape(p50: .milliseconds(40), p95: .milliseconds(90)))
        var plan = RolloutSimulation(
            policies: planned.policies, steps: StepsValue.standard.steps.map { ($0.weight, $0.hold) }, rate: rate,
            baseline: traffic, candidate: traffic)
        plan.maximumDuration = .milliseconds(Int64(hours * 3_600_000))
        plan.baselineHistory = .seconds(2 * 3600)
        let summary = plan.summary(rollouts: Self.rollouts)
        var line =
            "at \(Measurement.decimals(rate, 2)) requests/s and \(Words.percent(errors.value)) errors, a candidate equal to "
            + "the baseline is promoted in \(Words.percent(summary.promoted.value)) of rollouts within "
            + "\(Measurement.decimals(hours, 1)) h"
        if let seconds = summary.promotionSeconds {
            line += ", after a median of \(Words.time(Double(seconds.median)))"
        }
        var lines = [line]
        if summary.promoted.value < Self.minimumPromoted {
            lines.append(
                "warning: few are promoted in this time: widen the bounds (max, maxIncrease, floor), or allow more time "
                    + "(--hours, and the service's deadline); the simulated steps take "
                    + "\(Words.time(StepsValue.standard.steps.reduce(0) { $0 + $1.hold.seconds })) before the proof")
        }
        if let note = planned.note { lines.append(note) }
        return lines
    }
}
