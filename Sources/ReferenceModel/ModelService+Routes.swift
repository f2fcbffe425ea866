import HTTPEngine
import JSON
import PlainText
import PrometheusText

extension ModelService {
    func route(_ request: HTTPRequest, _ responder: HTTPResponder) throws(RequestError) {
        switch request.path {
        case "/v2": try respond(toOnly: "GET", request, responder) { serverMetadata() }
        case "/v2/health/live": try respond(toOnly: "GET", request, responder) { Self.object("live", true) }
        case "/v2/health/ready":
            guard !isDraining else { throw RequestError(status: 503, message: "the server is shutting down") }
            try respond(toOnly: "GET", request, responder) { Self.object("ready", true) }
        case "/metrics":
            guard request.method == "GET" else { return refuseMethod(responder, allow: "GET") }
            let body = metrics.text(
                model: model, version: version, queueDepth: batcher.depth, process: ProcessFigures.now())
            responder.respond(status: 200, headers: [("Content-Type", ExpositionWriter.contentType)], body: body)
        case "/v2/faults", "/faults": try faultsRoute(request, responder)
        default: try modelRoute(request, responder)
        }
    }

    private func modelRoute(_ request: HTTPRequest, _ responder: HTTPResponder) throws(RequestError) {
        var parts = request.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        guard parts.count >= 3, parts[0] == "v2", parts[1] == "models" else {
            throw RequestError(status: 404, message: "nothing is here: \(request.path.prefix(100))")
        }
        guard parts[2] == model else {
            throw RequestError(
                status: 404, message: "unknown model `\(parts[2].prefix(100))`; this server has `\(model)`")
        }
        parts.removeFirst(3)
        if parts.count >= 2, parts[0] == "versions" {
            guard parts[1] == version else {
                throw RequestError(
                    status: 404, message: "unknown version `\(parts[1].prefix(100))`; this server has `\(version)`")
            }
            parts.removeFirst(2)
        }
        switch parts {
        case []: try respond(toOnly: "GET", request, responder) { modelMetadata() }
        case ["ready"]: try respond(toOnly: "GET", request, responder) { Self.object("ready", true) }
        case ["feedback"]:
            guard request.method == "POST" else { return refuseMethod(responder, allow: "POST") }
            try feedback(request.body)
            responder.respond(status: 204)
        default: throw RequestError(status: 404, message: "nothing is here: \(request.path.prefix(100))")
        }
    }

    private func faultsRoute(_ request: HTTPRequest, _ responder: HTTPResponder) throws(RequestError) {
        guard allowFaults else {
            throw RequestError(status: 403, message: "faults are switched off; start the server with --allow-faults")
        }
        if request.method == "POST" {
            var texts: [String] = []
            do throws(JSONError) {
                try request.body.reading { (raw) throws(JSONError) in
                    var reader = JSONReader(raw)
                    try reader.object { (reader, key) throws(JSONError) in
                        guard key == "faults" else {
                            throw reader.error("unknown key `\(key.excerpt)`; write `faults`")
                        }
                        try reader.array { (reader) throws(JSONError) in texts.append(try reader.string()) }
                    }
                    try reader.finish()
                }
            } catch {
                throw .bad("expected {\"faults\":[\"latency=80ms\"]}: \(error.message) (at byte \(error.offset))")
            }
            let wanted: Faults
            do throws(Faults.Unreadable) { wanted = try Faults(parsing: texts) } catch {
                throw .bad(error.description)
            }
            if let flaw = wanted.flaw(for: artifact.encoding) { throw .bad(flaw) }
            faults = wanted
        } else if request.method != "GET" {
            return refuseMethod(responder, allow: "GET, POST")
        }
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("faults")
            writer.array { writer in for text in faults.texts { writer.string(text) } }
        }
        send(responder, writer.bytes)
    }

    /// Records feedback: one JSON object, or several, one per line.
    private func feedback(_ body: [UInt8]) throws(RequestError) {
        do throws(JSONError) {
            try body.reading { (raw) throws(JSONError) in
                var reader = JSONReader(raw)
                repeat {
                    for key in try Self.feedbackKeys(&reader) { metrics.recordFeedback(key) }
                } while reader.peek() == .object
                try reader.finish()
            }
        } catch {
            throw .bad("the feedback is not understood: \(error.message) (at byte \(error.offset))")
        }
    }

    private static func feedbackKeys(_ reader: inout JSONReader) throws(JSONError) -> [ServerMetrics.FeedbackKey] {
        var label: Int64?
        var prediction: Int64?
        var groups: [(String, String)] = [("all", "all")]
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "label": label = try reader.integer()
            case "prediction": prediction = try reader.integer()
            case "groups":
                try reader.object { (reader, attribute) throws(JSONError) in
                    guard groups.count <= 32 else { throw reader.error("more than 32 groups") }
                    let value = try reader.string()
                    guard max(attribute.text.utf8.count, value.utf8.count) <= 128 else {
                        throw reader.error("a group's attribute or value of more than 128 bytes")
                    }
                    groups.append((attribute.text, value))
                }
            default: try reader.skip()
            }
        }
        guard let label, let prediction, 0...1 ~= label, 0...1 ~= prediction else {
            throw reader.error("`label` and `prediction` have to be 0 or 1")
        }
        return groups.map {
            .init(attribute: $0.0, group: $0.1, label: Int(label), prediction: Int(prediction))
        }
    }
}
