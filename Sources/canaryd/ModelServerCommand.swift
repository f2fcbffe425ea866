import ArgumentParser
import Glibc
import HTTPEngine
import ReferenceModel
import Threading

struct ModelServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model-server",
        abstract: "Serve a reference model over the Open Inference Protocol.",
        discussion: """
            The server accepts JSON and binary tensors, with the raw columns or with encoded features, and has metrics at \
            /metrics. It prints one line when it listens. On SIGTERM it completes the requests in flight; a second SIGTERM \
            ends it at once. With --fault it misbehaves on purpose, so that policies can be tried.
            """)

    @Option(help: ArgumentHelp("The model: a safetensors file that `canaryd demo` wrote.", valueName: "file"))
    var artifact: String

    @Option(
        help: ArgumentHelp(
            "The address to listen on: host:port or unix:path; port 0 chooses a free port.", valueName: "address"))
    var listen = "127.0.0.1:9001"

    @Option(help: ArgumentHelp("The model's name in URLs; default: the name in the artifact.", valueName: "name"))
    var model: String?

    @Option(help: ArgumentHelp("The maximum number of rows in a batch.", valueName: "rows"))
    var maxBatch = 64

    @Option(
        help: ArgumentHelp("How long a request waits for others to share its batch, such as 2ms.", valueName: "time"))
    var maxDelay = "0ms"

    @Option(
        help: ArgumentHelp("The maximum number of waiting requests; further ones get a 503.", valueName: "requests"))
    var maxQueue = 256

    @Option(
        help: ArgumentHelp(
            "A fault to inject: latency=80ms, latency=2s@5%, errors=5%, hang=1%, truncate=1%, bias=sex=Female@80%. Repeatable.",
            valueName: "fault"))
    var fault: [String] = []

    @Flag(help: "Allow POST /v2/faults to change the faults while the server runs.")
    var allowFaults = false

    @Option(help: ArgumentHelp("How many seconds requests in flight may take after SIGTERM.", valueName: "seconds"))
    var grace = 10

    mutating func validate() throws {
        if !(1...4_096).contains(maxBatch) { throw ValidationError("--max-batch is 1 to 4096 rows, not \(maxBatch)") }
        if !(1...65_536).contains(maxQueue) {
            throw ValidationError("--max-queue is 1 to 65536 requests, not \(maxQueue)")
        }
        if !(0...3_600).contains(grace) { throw ValidationError("--grace is 0 to 3600 seconds, not \(grace)") }
        if model?.contains(where: { !($0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0))) }) == true {
            throw ValidationError("--model takes letters, digits, `-`, `_` and `.`")
        }
        _ = try address()
        _ = try options(artifact: nil)
    }

    func run() throws {
        let signals = Signals()
        let manager = ServiceManager()
        let server: ReferenceServer
        let loaded: Artifact
        do {
            loaded = try Artifact.load(artifact)
            server = try ReferenceServer.start(try options(artifact: loaded)!)
        } catch {
            Standard.error("canaryd model-server: error: \(error)\n")
            throw ExitCode(1)
        }
        let what = "\(loaded.versionName) as model \(model ?? loaded.modelName)"
        Standard.output("canaryd model-server: serving \(what) on \(server.endpoint)\n")
        manager.ready("serving \(what) on \(server.endpoint)")
        while signals.next() == SIGHUP {}
        manager.stopping()
        // A second signal ends the process while this thread waits for the requests in flight.
        WorkerThread.run("shutdown") {
            while signals.next() == SIGHUP {}
            _exit(1)
        }
        server.stop(grace: .seconds(grace))
    }

    /// The options of the server; without an artifact, the options are only validated, and the result is nil.
    private func options(artifact: Artifact?) throws -> ReferenceServer.Options? {
        let faults: Faults
        do { faults = try Faults(parsing: fault) } catch { throw ValidationError("\(error)") }
        let delay = try delay()
        guard let artifact else { return nil }
        var options = ReferenceServer.Options(artifact: artifact, listen: try address())
        options.modelName = model
        options.batching = BatchLimits(rows: maxBatch, delay: delay, waiting: maxQueue)
        options.faults = faults
        options.allowFaults = allowFaults
        return options
    }

    private func delay() throws -> Duration {
        for (unit, scale) in [("us", 1.0), ("ms", 1e3), ("s", 1e6)] where maxDelay.hasSuffix(unit) {
            guard let value = Double(maxDelay.dropLast(unit.count)), (0...10e6).contains(value * scale) else {
                continue
            }
            return .microseconds(Int64(value * scale))
        }
        throw ValidationError("--max-delay `\(maxDelay)` is not a time up to 10s; write 500us, 2ms or 1s")
    }

    private func address() throws -> SocketAddress {
        if listen.hasPrefix("unix:"), listen.utf8.count > 5 {
            return .unix(path: String(listen.dropFirst(5)), mode: 0o660)
        }
        guard let colon = listen.lastIndex(of: ":"), let port = UInt16(listen[listen.index(after: colon)...]) else {
            throw ValidationError("--listen `\(listen)` is no address; write 127.0.0.1:9001 or unix:/run/model.sock")
        }
        var host = String(listen[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return .tcp(host: host, port: port)
    }
}
