import AdminClient
import JSON

/// The inference API of a server, recognized by the server's own routes.
struct InferenceAPI {
    enum Kind {
        /// The Open Inference Protocol of KServe, Triton and MLServer, also called KServe V2.
        case openInference
        /// The API of OpenAI, which most servers of language models have.
        case openAI
    }

    var kind: Kind
    /// The models that the API lists; the Open Inference Protocol lists none.
    var models: [String] = []
    /// A path of the server that is fit for health checks; nil if the usual ones do not respond with 200.
    var healthPath: String?

    var words: String {
        switch kind {
        case .openInference: "Open Inference Protocol"
        case .openAI: "OpenAI API"
        }
    }

    /// Asks a server for the routes of the known APIs. Nil if it has none of them.
    init?(_ address: ServerAddress) {
        if let answer = Self.json(address, "/v2"), case .string = answer["name"], case .array = answer["extensions"] {
            kind = .openInference
        } else if let answer = Self.json(address, "/v1/models"), case .array(let list) = answer["data"],
            let models = Self.names(list)
        {
            kind = .openAI
            self.models = models
        } else {
            return nil
        }
        let paths = kind == .openInference ? ["/v2/health/ready"] : ["/health", "/v1/health/ready"]
        healthPath = paths.first { Self.get(address, $0) != nil }
    }

    /// The paths whose requests are judged; empty if they are not known.
    /// - Parameter model: the one model that is served; nil if there are several, or none is known.
    func paths(model: String?) -> [String] {
        switch kind {
        case .openInference: model.map { ["/v2/models/\($0)/infer"] } ?? []
        case .openAI: ["/v1/chat/completions", "/v1/completions"]
        }
    }

    /// The ids of a list of models; nil if an entry has none, so that it is another kind of list.
    private static func names(_ list: [JSONValue]) -> [String]? {
        var names: [String] = []
        for entry in list {
            guard case .string(let id) = entry["id"] else { return nil }
            names.append(id)
        }
        return names.isEmpty ? nil : names
    }

    /// The body of a response with the status 200; nil for any other response, and if there is none.
    private static func get(_ address: ServerAddress, _ path: String) -> [UInt8]? {
        let response = try? HTTPFetch.get(
            host: address.host, port: address.port, target: path, timeout: ModelServer.timeout)
        return response?.status == 200 ? response?.body : nil
    }

    private static func json(_ address: ServerAddress, _ path: String) -> JSONValue? {
        get(address, path).flatMap { try? JSONReader.parse($0) }
    }
}
