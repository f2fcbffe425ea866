import Analysis
import ArgumentParser
import PolicyModel
import PolicySimulation

struct PolicySimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Simulate thousands of rollouts: how often do policies revert, and after how many requests?",
        discussion: """
            Without an option --candidate-... the candidate behaves like the baseline, and every revert is a false one. \
            The command needs no agent. The same seed gives the same result. Simulated requests fail independently; \
            canaryctl policy calibrate uses the recorded traffic of a service.
            """)

    @Argument(help: ArgumentHelp("Policy files.", valueName: "policy"), completion: .file(extensions: ["yaml"]))
    var files: [String]
    @Option(help: "Requests per second to the service, both versions together.") var rps: Double
    @Option(help: "Share of the baseline's requests that fail.", transform: ShareValue.init(written:))
    var errors = ShareValue(0.001)
    @Option(
        help: "Share of the candidate's requests that fail; default: the baseline's.",
        transform: ShareValue.init(written:))
    var candidateErrors: ShareValue?
    @Option(help: "Share of the baseline's requests that get a 404.", transform: ShareValue.init(written:))
    var clientErrors = ShareValue(0)
    @Option(
        help: "Share of the candidate's requests that get a 404; default: the baseline's.",
        transform: ShareValue.init(written:))
    var candidateClientErrors: ShareValue?
    @Option(
        help: ArgumentHelp("The baseline's latency; default: p50=40ms,p95=90ms.", valueName: "p50=..,p95=.."),
        transform: LatencyValue.init(written:))
    var latency = LatencyValue(LatencyShape(p50: .milliseconds(40), p95: .milliseconds(90)))
    @Option(
        help: ArgumentHelp("The candidate's latency; default: the baseline's.", valueName: "p50=..,p95=.."),
        transform: LatencyValue.init(written:))
    var candidateLatency: LatencyValue?
    @Option(
        help: ArgumentHelp(
            "The steps: weights and how long each is held; default: 1%:2m,10%:10m,50%:30m.", valueName: "weight:hold,.."
        ),
        transform: StepsValue.init(written:))
    var steps = StepsValue.standard
    @Option(help: "Hours after which a rollout that has not ended counts as undecided.") var hours = 2.0
    @Option(help: "How long the agent observed the baseline before the rollout.", transform: TimeValue.init(written:))
    var baselineHistory = TimeValue(.seconds(2 * 3600))
    @Option(help: "The number of rollouts.") var rollouts = 1000
    @Option(
        help: "The risk of a false revert, like analysis.risk.falseRevert of a service.",
        transform: ShareValue.init(written:))
    var falseRevert = ShareValue(Risk().falseRevert)
    @Option(help: "The seed of the random number generator.") var seed: UInt64 = 1
    @OptionGroup var output: OutputOptions

    /// The limits of `--rollouts`, `--hours` and `--rps`. A simulation at all three limits takes hours.
    static let mostRollouts = 1_000_000
    static let mostHours = 168.0
    static let mostRate = 100_000.0

    func validate() throws {
        guard !files.isEmpty else { throw ValidationError("name a policy file") }
        guard rps > 0, rps <= Self.mostRate else { throw ValidationError("--rps is a rate up to 100000, such as 40") }
        guard hours > 0, hours <= Self.mostHours else { throw ValidationError("--hours is up to 168, such as 2") }
        guard (1...Self.mostRollouts).contains(rollouts) else {
            throw ValidationError("--rollouts is 1 to 1000000, such as 1000")
        }
        guard falseRevert.value > 0, falseRevert.value < 1 else {
            throw ValidationError("--false-revert lies between 0 and 1, such as 1%")
        }
    }

    private static func arm(_ errors: ShareValue, _ clientErrors: ShareValue, _ latency: LatencyValue) -> ArmTraffic {
        let statuses = clientErrors.value > 0 ? [StatusShare(status: 404, share: clientErrors.value)] : []
        return ArmTraffic(errors: errors.value, statuses: statuses, latency: latency.shape)
    }

    func run() throws {
        let console = Console.current
        let planned = try PlannedPolicies(PlannedPolicies.read(files), quality: false)
        var plan = RolloutSimulation(
            policies: planned.policies, steps: steps.steps.map { ($0.weight, $0.hold) }, rate: rps,
            baseline: Self.arm(errors, clientErrors, latency),
            candidate: Self.arm(
                candidateErrors ?? errors, candidateClientErrors ?? clientErrors, candidateLatency ?? latency))
        plan.maximumDuration = .milliseconds(Int64(hours * 3_600_000))
        plan.baselineHistory = baselineHistory.value
        plan.risk.falseRevert = falseRevert.value
        plan.seed = seed
        let summary = plan.summary(rollouts: rollouts)
        let isSame = candidateErrors == nil && candidateClientErrors == nil && candidateLatency == nil
        let report = SimulationReport(summary, plan, leftOut: planned.leftOut)
        try console.show(report, as: output.output) {
            SimulationText.lines(summary, plan, isSame: isSame, note: planned.note)
        }
    }
}

extension RolloutSimulation {
    /// Simulates rollouts on all cores.
    func summary(rollouts: Int) -> SimulationSummary {
        let prepared = prepare(rollouts: rollouts)
        return SimulationSummary(Cores.map(rollouts) { prepared.simulate($0) })
    }
}
