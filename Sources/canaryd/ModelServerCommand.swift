import ArgumentParser
import Glibc
import HTTPEngine
import ReferenceModel

struct ModelServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model-server", abstract: "Run a reference model server: the Open Inference Protocol over REST.")

    @Option(help: ArgumentHelp("A safetensors file.", valueName: "file"))
    var artefact: String

    @Option(help: ArgumentHelp("Where to listen; port 0 lets the system choose.", valueName: "host:port"))
    var listen = "127.0.0.1:9001"

    @Option(help: ArgumentHelp("The model's name in URLs; default: what the artefact says.", valueName: "name"))
    var model: String?

    @Option(help: ArgumentHelp("Rows that are computed together at most.", valueName: "rows"))
    var maxBatch = 64

    @Option(
        help: ArgumentHelp("How long the first request of a batch waits for others, in milliseconds.", valueName: "ms"))
    var maxDelay = 0.0

    @Option(help: ArgumentHelp("Requests that may wait; more get 503 with Retry-After.", valueName: "n"))
    var queue = 256

    @Option(help: ArgumentHelp("Misbehave, for tests: see POST /v2/faults. May be repeated.", valueName: "fault"))
    var fault: [String] = []

    @Flag(help: "Let POST /v2/faults change the faults while it runs.")
    var allowFaults = false

    func validate() throws {
        if !(1...4_096).contains(maxBatch) { throw ValidationError("--max-batch is 1 to 4096 rows, not \(maxBatch)") }
        if !(0...1_000).contains(maxDelay) { throw ValidationError("--max-delay is 0 to 1000 ms, not \(maxDelay)") }
        if !(1...100_000).contains(queue) { throw ValidationError("--queue is 1 to 100000 requests, not \(queue)") }
    }

    func run() throws {
        let signals = Signals()
        do {
            var options = ReferenceServer.Options(artefact: try Artefact.load(artefact), listen: try address())
            options.modelName = model
            options.batching = BatchLimits(
                rows: maxBatch, delay: .microseconds(Int64(maxDelay * 1_000)), waiting: queue)
            options.faults = try Faults(parsing: fault)
            options.allowFaults = allowFaults
            let server = try ReferenceServer.start(options)
            Standard.output("listening on \(server.endpoint)\n")
            ServiceManager().ready("\(options.artefact.versionName) at \(server.endpoint)")
            while signals.next() == SIGHUP {}
            server.stop()
        } catch let error where !(error is ValidationError) {
            Standard.error("canaryd model-server: error: \(error)\n")
            throw ExitCode(1)
        }
    }

    private func address() throws -> SocketAddress {
        guard let colon = listen.lastIndex(of: ":"), let port = UInt16(listen[listen.index(after: colon)...]) else {
            throw ValidationError("--listen takes HOST:PORT, such as 127.0.0.1:9001, not \(listen)")
        }
        return .tcp(host: String(listen[..<colon]), port: port)
    }
}
