import HTTPEngine

/// The routes of a reference server. Belongs to its loop.
final class ModelService: @unchecked Sendable {
    let loop: EventLoop
    let artefact: Artefact
    let model: String
    let version: String
    let allowFaults: Bool
    var faults: Faults
    var generator: SeededGenerator
    var metrics = ServerMetrics()
    private(set) var batcher: Batcher<PendingInference>!
    /// Requests that a fault leaves without an answer, until their clients leave.
    var hanging: [ObjectIdentifier: HTTPResponder] = [:]
    private(set) var isDraining = false

    private let inferPaths: Set<String>

    init(loop: EventLoop, options: ReferenceServer.Options) {
        self.loop = loop
        artefact = options.artefact
        model = options.modelName ?? options.artefact.modelName
        version = options.artefact.versionName
        allowFaults = options.allowFaults
        faults = options.faults
        generator = SeededGenerator(seed: options.faultSeed)
        inferPaths = ["/v2/models/\(model)/infer", "/v2/models/\(model)/versions/\(version)/infer"]
        batcher = Batcher(artefact: options.artefact, limits: options.batching) { [weak self] answers in
            loop.post { [weak self] in self?.finish(answers) }
        }
    }

    /// Not ready any more; what waits is computed at once.
    func drain() {
        isDraining = true
        batcher.hurry()
    }

    /// Answers what waits and ends the batcher's thread. From any thread but the batcher's.
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
