import HTTPEngine

extension ModelService {
    /// Responds with `body` if the request has the method, else with the status 405.
    func respond(
        toOnly method: String, _ request: HTTPRequest, _ responder: HTTPResponder, _ body: () -> [UInt8]
    ) throws(RequestError) {
        guard request.method == method else { return refuseMethod(responder, allow: method) }
        send(responder, body())
    }

    func send(_ responder: HTTPResponder, _ body: [UInt8]) {
        responder.respond(status: 200, headers: [("Content-Type", "application/json")], body: body)
    }

    func refuse(_ responder: HTTPResponder, _ error: RequestError, requestID: String? = nil) {
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("error")
            writer.string(error.message)
        }
        var headers = [("Content-Type", "application/json")]
        if error.status == 503 { headers.append(("Retry-After", "1")) }
        if let requestID { headers.append(("x-request-id", requestID)) }
        responder.respond(status: error.status, headers: headers, body: writer.bytes)
    }

    func refuseMethod(_ responder: HTTPResponder, allow: String) {
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("error")
            writer.string("the method is not allowed here; use \(allow)")
        }
        responder.respond(
            status: 405, headers: [("Content-Type", "application/json"), ("Allow", allow)], body: writer.bytes)
    }

    static func object(_ key: String, _ value: Bool) -> [UInt8] {
        var writer = JSONWriter(capacity: 32)
        writer.object { writer in
            writer.key(key)
            writer.boolean(value)
        }
        return writer.bytes
    }

    func serverMetadata() -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("name")
            writer.string("canaryd-reference")
            writer.key("version")
            writer.string("1")
            writer.key("extensions")
            writer.array { writer in writer.string("binary_tensor_data") }
        }
        return writer.bytes
    }

    /// The metadata of the model. Its inputs are the columns; `features`, the input for encoded rows, is a parameter.
    func modelMetadata() -> [UInt8] {
        var writer = JSONWriter(capacity: 2_048)
        writer.object { writer in
            writer.key("name")
            writer.string(model)
            writer.key("versions")
            writer.array { writer in writer.string(version) }
            writer.key("platform")
            writer.string("canaryd_reference")
            writer.key("inputs")
            writer.array { writer in
                for column in artifact.encoding.columns {
                    if case .number = column.kind {
                        Self.tensor(column.name, "INT64", &writer)
                    } else {
                        Self.tensor(column.name, "BYTES", &writer)
                    }
                }
            }
            writer.key("outputs")
            writer.array { writer in
                Self.tensor("label", "INT64", &writer)
                Self.tensor("score", "FP32", &writer)
            }
            writer.key("parameters")
            writer.object { writer in
                writer.key("artifact")
                writer.string(artifact.kind.rawValue)
                writer.key("training_seed")
                writer.string(String(artifact.seed))
                writer.key("encoded_input")
                writer.string("\(FeatureEncoding.encodedInput) FP32 [-1, \(artifact.encoding.width)]")
            }
        }
        return writer.bytes
    }

    private static func tensor(_ name: String, _ datatype: String, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.tensorHead(name, datatype, length: -1)
        }
    }
}

extension JSONWriter {
    /// Writes the keys of a tensor of one dimension but its data.
    /// - Parameter length: the length of the dimension; -1 for any.
    mutating func tensorHead(_ name: String, _ datatype: String, length: Int) {
        key("name")
        string(name)
        key("datatype")
        string(datatype)
        key("shape")
        array { writer in writer.number(length) }
    }
}
