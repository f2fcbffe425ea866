import AdminClient
import ArgumentParser
import PolicyModel
import PolicySimulation
import PolicyYAML

struct PolicyCalibrateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "calibrate",
        abstract: "Show how often policies would revert a sound candidate of a service, from its recorded traffic.",
        discussion: """
            The command uses what the agent recorded between rollouts. It assigns one, then two, then four of the eight \
            sub-shards of the service's traffic to an imaginary candidate, for ten minutes each, with many choices of \
            sub-shards and start times. This candidate is the baseline itself, so every revert is a false one.
            """)

    @OptionGroup var service: ServiceArgument
    @Option(
        name: .customLong("policy"), parsing: .upToNextOption,
        help: ArgumentHelp("Policy files; default: the service's policies, from the agent's files.", valueName: "file"),
        completion: .file(extensions: ["yaml"]))
    var files: [String] = []
    @Option(help: "The number of pseudo-rollouts.") var rollouts = 1000
    @Option(
        help: "The risk of a false revert; default: that of the service.", transform: ShareValue.init(written:))
    var falseRevert: ShareValue?
    @Option(help: "The seed for choosing sub-shards and start times.") var seed: UInt64 = 1
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...PolicySimulateCommand.mostRollouts).contains(rollouts) else {
            throw ValidationError("--rollouts is 1 to 1000000, such as 1000")
        }
        if let risk = falseRevert?.value, !(risk > 0 && risk < 1) {
            throw ValidationError("--false-revert lies between 0 and 1, such as 1%")
        }
    }

    func run() throws {
        let console = Console.current
        let client = connection.client
        let name = try service.choose(client)
        let own = files.isEmpty ? try ServicePolicies(of: name, client) : nil
        var risk = own?.risk ?? Risk()
        if let falseRevert { risk.falseRevert = falseRevert.value }
        let planned = try PlannedPolicies(own?.policies ?? PlannedPolicies.read(files), quality: false)
        let history: BaselineHistory
        do {
            history = BaselineHistory(try Recording(of: name, rollout: "", client).items)
        } catch AdminClientError.refused(404, let problem) where problem.code == "unknown_recording" {
            throw Failure(ExitStatus.failed, Self.tooLittle(name, BaselineHistory([])))
        }
        guard let prepared = history.prepare(planned.policies, risk: risk) else {
            throw Failure(ExitStatus.failed, Self.tooLittle(name, history))
        }
        let seed = seed
        let summary = SimulationSummary(Cores.map(rollouts) { prepared.simulate($0, seed: seed) })
        let result = Calibration(
            name, summary, history, starts: prepared.startCount, risk: risk, leftOut: planned.leftOut)
        try console.show(result, as: output.output) { result.lines(note: planned.note) }
    }

    /// The error for a history that is too short: how much is recorded, how much is needed, and how to get it.
    private static func tooLittle(_ service: String, _ history: BaselineHistory) -> String {
        let least = Duration.seconds(BaselineHistory.minimumSeconds).written
        let there =
            history.seconds == 0
            ? "nothing is recorded of \(service) between rollouts yet"
            : "\(Words.time(Double(history.seconds))) of \(service) between rollouts "
                + "\(history.seconds == 1 ? "is" : "are") recorded, no stretch of them long enough"
        return "\(there): a calibration needs \(least) with requests and without a rollout, better a day. Let the "
            + "service run (a recording is written every five seconds) and ask again; canaryctl policy simulate needs no "
            + "history"
    }
}

/// The policies of a service and its risk, from the agent's files as they are now.
struct ServicePolicies {
    var policies: [Policy]
    var risk: Risk

    init(of name: String, _ client: AdminClient) throws {
        // An unknown service must be reported as such, and not as a problem with the files.
        _ = try client.service(name)
        guard let file = try client.agent().configurationFile else {
            throw Failure(
                ExitStatus.failed, "the agent runs without a configuration file; name the policies with --policy FILE")
        }
        let loaded = ConfigurationLoader.load(agentFile: file)
        guard let configuration = loaded.configuration,
            let service = configuration.services.first(where: { $0.name == name })
        else {
            throw Failure(
                ExitStatus.failed,
                "the policies of \(name) cannot be read from \(file); name them with --policy FILE, or run this where "
                    + "the agent's files are",
                detail: loaded.diagnostics.filter { $0.severity == .error }.prefix(5).map(\.description))
        }
        policies = configuration.policies(of: service)
        risk = service.analysis.risk
    }
}
