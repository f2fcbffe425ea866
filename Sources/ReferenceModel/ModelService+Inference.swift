import HTTPEngine
import PlainText

/// An inference request between its arrival and its response. It is used on the server's event loop only.
final class PendingInference: @unchecked Sendable {
    let responder: HTTPResponder
    /// The arrival on the event loop's clock, in nanoseconds.
    let began: Int64
    /// The value of the header `x-request-id`.
    let requestID: String?
    /// The id in the response body.
    let id: String?
    let outputs: [InferenceRequest.Output]
    /// True for each row whose label a bias sets to 0; empty if there is no bias.
    let biased: [Bool]
    let rows: Int

    init(
        responder: HTTPResponder, began: Int64, requestID: String?, request: InferenceRequest,
        outputs: [InferenceRequest.Output], biased: [Bool], rows: Int
    ) {
        self.responder = responder
        self.began = began
        self.requestID = requestID
        id = request.id ?? requestID
        self.outputs = outputs
        self.biased = biased
        self.rows = rows
    }
}

extension ModelService {
    func infer(_ request: HTTPRequest, _ responder: HTTPResponder) {
        let began = EventLoop.clock()
        if draws(faults.hang) {
            hanging[ObjectIdentifier(responder)] = responder
            responder.onClose = { [weak self] in self?.hanging[ObjectIdentifier(responder)] = nil }
            return
        }
        do throws(RequestError) {
            if draws(faults.errors) { throw RequestError(status: 500, message: "an injected fault") }
            let pending = try prepare(request, responder, began)
            guard batcher.submit(pending) else {
                throw RequestError(status: 503, message: "the queue is full; try again later")
            }
        } catch {
            metrics.recordRequest(status: error.status, seconds: 0, rows: 0)
            refuse(responder, error, requestID: request.headers["x-request-id"])
        }
    }

    private func prepare(
        _ request: HTTPRequest, _ responder: HTTPResponder, _ began: Int64
    ) throws(RequestError) -> Batcher<PendingInference>.Job {
        if let coding = request.headers["content-encoding"], !coding.hasSameBytes(as: "identity") {
            throw RequestError(
                status: 415, message: "content-encoding `\(coding.excerpt)` is not taken; send the body as it is")
        }
        var headerLength: Int?
        if let text = request.headers["inference-header-content-length"] {
            guard let length = Int(text) else {
                throw .bad("Inference-Header-Content-Length `\(text)` is not a number")
            }
            headerLength = length
        }
        let parsed = try InferenceRequest(parsing: request.body, headerLength: headerLength)
        var outputs = parsed.outputs
        if outputs.isEmpty {
            outputs = InferenceResponse.outputNames.map { .init(name: $0, binary: parsed.binaryOutput) }
        }
        for output in outputs where !InferenceResponse.outputNames.contains(output.name) {
            throw .bad("output `\(output.name)` is unknown; the model has label and score")
        }
        let (features, rows) = try artifact.encoding.features(of: parsed)
        let pending = PendingInference(
            responder: responder, began: began, requestID: request.headers["x-request-id"], request: parsed,
            outputs: outputs, biased: biasedRows(features, rows), rows: rows)
        return .init(features: features, rows: rows, token: pending)
    }

    private func biasedRows(_ features: [Float], _ rows: Int) -> [Bool] {
        guard let bias = faults.bias,
            let input = artifact.encoding.input(of: bias.attribute, value: bias.value)
        else { return [] }
        let width = artifact.encoding.width
        return (0..<rows).map { features[$0 * width + input] > 0.5 && draws(bias.share) }
    }

    /// Responds to the requests of one batch, each after the latency that the faults add.
    func finish(_ outputs: [Batcher<PendingInference>.Output]) {
        metrics.recordBatch()
        for output in outputs {
            let added = faults.latencies.reduce(Duration.zero) { draws($1.share) ? $0 + $1.added : $0 }
            if added > .zero {
                loop.schedule(after: added) { [self] in respond(output) }
            } else {
                respond(output)
            }
        }
    }

    private func respond(_ output: Batcher<PendingInference>.Output) {
        let pending = output.token
        var labels = output.scores.map { $0 >= InferenceRule.threshold ? Int64(1) : 0 }
        for (row, isBiased) in pending.biased.enumerated() where isBiased { labels[row] = 0 }
        let response = InferenceResponse(
            modelName: model, modelVersion: version, id: pending.id, outputs: pending.outputs, labels: labels,
            scores: output.scores)
        let (body, headerLength) = response.encoded()
        var headers: [(String, String)] = []
        if let headerLength {
            headers.append(("Content-Type", "application/octet-stream"))
            headers.append(("Inference-Header-Content-Length", String(headerLength)))
        } else {
            headers.append(("Content-Type", "application/json"))
        }
        if let requestID = pending.requestID { headers.append(("x-request-id", requestID)) }
        let seconds = Double(EventLoop.clock() - pending.began) * 1e-9
        metrics.recordRequest(status: 200, seconds: seconds, rows: pending.rows)
        guard draws(faults.truncate) else {
            return pending.responder.respond(status: 200, headers: headers, body: body)
        }
        pending.responder.startStream(status: 200, headers: headers)
        pending.responder.write(Array(body.prefix(body.count / 2)))
        // The first half has to be sent before the connection is closed.
        loop.schedule(after: .milliseconds(1)) { pending.responder.abort() }
    }

    /// True with the probability `share`.
    private func draws(_ share: Double) -> Bool { share > 0 && (share >= 1 || Double(generator.uniform()) < share) }
}
