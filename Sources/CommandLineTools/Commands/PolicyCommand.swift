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
            A folder stands for all policies, services and tests in it. The command needs no agent. With --rps it also \
            says how often a candidate that equals the baseline is promoted: for each service, over its own steps and with \
            those of the policies given that it names. Without a service, all policies count together, over the steps of \
            canaryctl policy simulate. It refuses a harm budget that is used up before the agent can notice a failure.
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
        let files = result.value ?? LintedFiles()
        let read = Words.count(files.count, "file")
        if let rps { try checkBudgets(files.services, rps) }
        console.line(warnings > 0 ? "\(read) fine, \(Words.count(warnings, "warning"))" : "\(read) fine")
        guard let rps else { return }
        if files.policies.isEmpty {
            console.line("no policy is among the files, so no rollout is simulated")
        } else if files.services.isEmpty {
            let steps = StepsValue.standard.steps.map { (weight: $0.weight, hold: $0.hold) }
            for line in try forecast(files.policies, steps, rps) { console.line(line) }
        } else {
            try forecastEach(files, rps, console)
        }
    }

    /// Simulates each service. One whose policies cannot be simulated does not keep the others from it.
    private func forecastEach(_ files: LintedFiles, _ rate: Double, _ console: Console) throws {
        var failed: [String] = []
        for service in files.services {
            do { try forecast(service, files.policies(of: service), rate, console) } catch let failure as Failure {
                failed.append("\(service.name): \(failure.message)")
                failed += failure.detail
            }
        }
        guard failed.isEmpty else {
            throw Failure(ExitStatus.failed, "not every service could be simulated", detail: failed)
        }
    }

    /// Simulates rollouts of a service by those of its policies that are among the files.
    private func forecast(_ service: Service, _ policies: [Policy], _ rate: Double, _ console: Console) throws {
        let steps = service.strategy.steps.compactMap { step -> (weight: Weight, hold: Duration)? in
            if case .weight(let weight, let hold) = step { (weight, hold) } else { nil }
        }
        let missing = service.policies.filter { name in !policies.contains { $0.name == name } }
        if !missing.isEmpty {
            console.line("\(service.name): without \(missing.joined(separator: ", ")), whose files were not given")
        }
        guard !steps.isEmpty, !policies.isEmpty else { return }
        for line in try forecast(policies, steps, rate) { console.line("\(service.name): \(line)") }
        if service.analysis.risk.limitsHarm {
            console.line("\(service.name): the budget for harm and waived proofs are not simulated")
        }
    }

    /// The time from a failure to the pause that follows from it, in seconds: errors wait for five, and a second is
    /// complete and evaluated within two more.
    private static let reactionTime = 7.0

    /// - Throws: `Failure` for budgets that a candidate that fails all of its requests uses up before the agent reacts.
    private func checkBudgets(_ services: [Service], _ rate: Double) throws {
        let lines = services.compactMap { service -> String? in
            guard let budget = service.analysis.risk.harm?.excessFailures else { return nil }
            let weight = service.strategy.largestWeight.fraction
            let least = (rate * weight * Self.reactionTime).rounded(.up)
            guard Double(budget) < least else { return nil }
            return
                "\(service.name): a harm budget of \(budget) is too small: at \(Measurement.decimals(rate, 2)) requests/s "
                + "a candidate with \(Words.percent(weight)) of them has up to \(Words.count(UInt64(least))) in the "
                + "\(Words.time(Self.reactionTime)) that the agent needs to notice a failure; write "
                + "excessFailures: \(UInt64(least)) or more, or smaller steps"
        }
        guard lines.isEmpty else {
            throw Failure(ExitStatus.failed, Words.count(lines.count, "harm budget") + " too small", detail: lines)
        }
    }

    /// Simulates rollouts of a candidate that equals the baseline. The lines say how often, and how soon, it is promoted.
    private func forecast(
        _ policies: [Policy], _ steps: [(weight: Weight, hold: Duration)], _ rate: Double
    ) throws -> [String] {
        let planned = try PlannedPolicies(policies, quality: false)
        let (hours, errors) = (hours ?? 2, errors ?? ShareValue(0.001))
        let traffic = ArmTraffic(
            errors: errors.value, latency: LatencyShape(p50: .milliseconds(40), p95: .milliseconds(90)))
        var plan = RolloutSimulation(
            policies: planned.policies, steps: steps.map { ($0.weight, $0.hold) }, rate: rate,
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
                    + "\(Words.time(steps.reduce(0) { $0 + $1.hold.seconds })) before the proof")
        }
        if let note = planned.note { lines.append(note) }
        return lines
    }
}
