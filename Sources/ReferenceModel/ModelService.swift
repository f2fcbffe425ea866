import HTTPEngine
import Statistics

/// The request handler of a reference server. It is used on the server's event loop only.
final class ModelService: @unchecked Sendable {
    let loop: EventLoop
    let artifact: Artifact
    let model: String
    let version: String
    let allowFaults: Bool
    var faults: Faults
    var generator: SplitMix64
    var metrics = ServerMetrics()
    private(set) var batcher: Batcher<PendingInference>!
    /// The requests that an injected fault leaves without a response, until their clients disconnect.
    var hanging: [ObjectIdentifier: HTTPResponder] = [:]
    private(set) var isDraining = false

    private let inferPaths: Set<String>

    init(loop: EventLoop, options: ReferenceServer.Options) {
        self.loop = loop
        artifact = options.artifact
        model = options.modelName ?? options.artifact.modelName
        version = options.artifact.versionName
        allowFaults = options.allowFaults
        faults = options.faults
        generator = SplitMix64(seed: options.faultSeed)
        inferPaths = ["/v2/models/\(model)/infer", "/v2/models/\(model)/versions/\(version)/infer"]
        batcher = Batcher(artifact: options.artifact, limits: options.batching) { [weak self] outputs in
            loop.post { [weak self] in self?.finish(outputs) }
        }
    }

    /// Makes the server report that it is not ready, and runs the queued requests without further delay.
    func drain() {
        isDraining = true
        batcher.drain()
    }

    /// Runs the queued requests and ends the batcher's thread. It may be called from any thread but the batcher's.
    func close() { batcher.close() }

    func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
        if inferPaths.contains(request.path) {
            guard request.method == "POST" else { return refuseMethod(responder, allow: "POST") }
            return infer(request, responder)
        }
        do throws(RequestError) {
            try route(request, responder)
        } catch {
            refuse(responder, error)
        }
    }
}
