import AdminClient
import Analysis
import ArgumentParser
import Glibc
import PolicyModel
import PolicySimulation
import PolicyYAML
import PrometheusText

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Write a service and a policy for two running servers, with bounds from measured values.",
        discussion: """
            The command recognizes the servers that have a metrics preset by their metrics (Triton, MLServer, vLLM, \
            FastAPI and others: docs/PRESETS.md), watches the old server for a while, and writes services/NAME.yaml and \
            policies/NAME.yaml. It overwrites nothing, starts nothing, and needs no agent. Example: canaryctl init \
            http://127.0.0.1:8000 http://127.0.0.1:8100 --watch 5m
            """)

    @Argument(help: "The server that clients use now: http://HOST:PORT.") var old: String
    @Argument(help: "The server of the new version.") var new: String
    @Option(help: "How long the old server is watched. (default: 5m)", transform: TimeValue.init(written:))
    var watch = TimeValue(.seconds(300))
    @Option(help: ArgumentHelp("The folder in which services/ and policies/ are written.", valueName: "dir")) var out =
        "."
    @Option(help: "The name of the service; default: the model's name, or web.") var name: String?
    @Option(help: "The address on which the service will listen.") var listen = "127.0.0.1:8080"
    @Option(help: ArgumentHelp("The port of the old server's metrics, if it is not the usual one.", valueName: "port"))
    var oldMetricsPort: UInt16?
    @Option(help: ArgumentHelp("The port of the new server's metrics, if it is not the usual one.", valueName: "port"))
    var newMetricsPort: UInt16?

    /// The largest value of `--watch` in seconds: a day.
    static let longestWatch = 86_400.0

    func validate() throws {
        for text in [old, new] where ServerAddress(text) == nil {
            throw ValidationError("'\(text)' is no server: write http://HOST:PORT, such as http://127.0.0.1:8000")
        }
        guard watch.value.seconds >= 1, watch.value.seconds <= Self.longestWatch else {
            throw ValidationError("--watch is 1s to 24h, such as 5m")
        }
        if let bad = [oldMetricsPort, newMetricsPort].compactMap({ $0 }).first(where: { $0 == 0 }) {
            throw ValidationError("\(bad) is no port of a server's metrics: 1 to 65535")
        }
        if let name, !Self.isName(name) {
            throw ValidationError(
                "'\(name)' is no name of a service: lowercase letters, digits and inner hyphens, at most 63, such as my-model"
            )
        }
    }

    private static func isName(_ text: String) -> Bool {
        (1...63).contains(text.utf8.count) && text.first != "-" && text.last != "-"
            && text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
    }

    func run() throws {
        let console = Console.current
        guard let oldAddress = ServerAddress(old), let newAddress = ServerAddress(new) else { return }
        let before = try probe(oldAddress, oldMetricsPort)
        console.line("old  \(Self.describe(before, isPortNamed: oldMetricsPort != nil, "--old-metrics-port"))")
        var after: ModelServer?
        do {
            after = try ModelServer(newAddress, metricsPort: newMetricsPort)
            if let after {
                console.line("new  \(Self.describe(after, isPortNamed: newMetricsPort != nil, "--new-metrics-port"))")
            }
        } catch {
            console.line("new  \(newAddress.written): \(error); the files are written for it all the same")
        }
        if let preset = before.preset, let found = after?.preset, found.name != preset.name {
            console.line("note: the two are different kinds of servers; the new one's metrics may need another preset")
        }
        if oldAddress.written == newAddress.written {
            console.line("note: old and new are the same server; a rollout compares it with itself")
        }
        let name = self.name ?? before.models.first { Self.isName($0) && before.models.count == 1 } ?? "web"
        let paths = ["services", "policies"].map { "\(out)/\($0)/\(name).yaml" }
        // Watching the server takes minutes, so report before it whether the files cannot be written.
        for path in paths { try NewFiles.refuseExisting(path) }
        try NewFiles.folder(out)
        for folder in ["services", "policies"] { try NewFiles.folder("\(out)/\(folder)") }
        func files(_ sample: BaselineSample, _ bounds: ProposedBounds) -> [String] {
            let files = InitFiles(
                name: name, listen: listen, old: before, new: after, newAddress: newAddress,
                newMetricsPort: newMetricsPort ?? (after?.preset == nil ? nil : after?.metricsPort), sample: sample,
                bounds: bounds)
            return [files.service, files.policy]
        }
        // Check the options that the files contain, such as --listen, with default bounds.
        let empty = BaselineSample(seconds: 0)
        _ = try Self.checked(files(empty, ProposedBounds(empty)))

        let sample = try observe(before, console)
        let bounds = ProposedBounds(sample)
        let texts = files(sample, bounds)
        let policy = try Self.checked(texts)
        try NewFiles.write(zip(paths, texts).map { (path: $0, text: $1) })

        console.line()
        console.line("wrote \(paths[0]) and \(paths[1])")
        if sample.isEnough { console.line("simulating what it will do with such traffic …") }
        for line in Forecast(policy, sample, bounds).lines { console.line(line) }
        console.line(
            "Read both, then put them into the folders services and policies of the agent (below /etc/canaryd, if it was "
                + "installed), and run systemctl reload canaryd: the rollout begins at once.")
    }

    private func probe(_ address: ServerAddress, _ port: UInt16?) throws -> ModelServer {
        do { return try ModelServer(address, metricsPort: port) } catch {
            throw Failure(
                ExitStatus.failed,
                "\(address.written) cannot be reached: \(error); init needs the server that clients use now, running")
        }
    }

    private static func describe(_ server: ModelServer, isPortNamed: Bool, _ option: String) -> String {
        let api = server.api.map { ", \($0.words)" } ?? ""
        guard let preset = server.preset else {
            let place = isPortNamed ? " at port \(server.metricsPort)" : " (name their port with \(option))"
            return
                "\(server.address.written)\(api): no metrics that canaryd knows\(place); the proxy's own view is judged"
        }
        let models =
            server.models.isEmpty
            ? "" : ", model\(server.models.count == 1 ? "" : "s") \(server.models.joined(separator: ", "))"
        let port = server.metricsPort == server.address.port ? "" : ", metrics at port \(server.metricsPort)"
        return "\(server.address.written): \(preset.server) (preset \(preset.name))\(api)\(port)\(models)"
    }

    private func observe(_ server: ModelServer, _ console: Console) throws -> BaselineSample {
        guard let preset = server.preset else {
            console.line("not watched: without metrics nothing is seen; the bounds are defaults")
            return BaselineSample(seconds: 0)
        }
        console.line("watching \(server.address.written) for \(watch.value.written) …")
        let first = try server.exposition()
        var rest = UInt32(saturating: watch.value.seconds)
        while rest > 0 { rest = sleep(rest) }
        let sample: BaselineSample
        do {
            sample = BaselineSample(
                preset, from: first, to: try server.exposition(), seconds: watch.value.seconds.rounded(.down))
        } catch {
            throw Failure(
                ExitStatus.failed,
                "\(server.address.written) went away while it was watched: \(error); nothing is written")
        }
        guard let requests = sample.requests else {
            console.line(
                sample.isImpossible
                    ? "seen: its counters grew by more than a server can serve, so they are not used; the bounds are defaults"
                    : "seen: its counters started again, so the server was restarted; the bounds are defaults")
            return sample
        }
        if !sample.isEnough {
            console.line(
                "seen: \(Words.count(Int(saturating: requests))) requests, and \(Int(BaselineSample.fewest)) are needed to say "
                    + "anything; the bounds are defaults. Watch longer, or while there is traffic")
        } else {
            let latency =
                sample.p95Text.map { ", \($0)" }
                ?? ", no latency (its metrics have no histogram)"
            console.line(
                "seen: \(Words.count(Int(saturating: requests))) requests, \(Words.rate(sample.rate))/s, "
                    + "\(sample.errorText)\(latency)")
        }
        return sample
    }

    /// Checks that lint accepts the generated files, and returns the policy as it is read back.
    private static func checked(_ texts: [String]) throws -> Policy {
        try NewFiles.trying([("service.yaml", texts[0]), ("policy.yaml", texts[1])]) { paths in
            let diagnostics = ConfigurationLoader.lint(files: paths).diagnostics.filter { $0.severity == .error }
            guard diagnostics.isEmpty, let policy = ConfigurationLoader.load(policyFile: paths[1]).value else {
                throw Failure(
                    ExitStatus.failed,
                    "what would be written is not valid, so nothing is; see whether --listen and --name are",
                    detail: diagnostics.map(\.message))
            }
            return policy
        }
    }
}
