import Glibc
import PolicyModel
import ReferenceModel

struct EmbeddedServerError: Error, CustomStringConvertible { let description: String }

/// The reference model servers that run inside the agent, as in `servers: [reference:int8]`. Each is started when its
/// endpoint is first needed, on a free port of loopback.
final class EmbeddedServers {
    private let stateDirectory: String
    /// The folder `data` beside the agent's file. A missing artifact is trained from its files, if they are there.
    private let data: String
    /// The servers by the name or path of their artifact.
    private var running: [String: (server: ReferenceServer, port: UInt16)] = [:]

    init(stateDirectory: String, configurationFile: String) {
        self.stateDirectory = stateDirectory
        let folder = configurationFile.lastIndex(of: "/").map { String(configurationFile[..<$0]) } ?? "."
        data = folder + "/data"
    }

    /// Returns the endpoint at which a server takes connections, and starts an embedded server if it does not run yet.
    /// - Throws: an error about the artifact that says where it was looked for.
    func endpoint(of address: ServerAddress) throws -> Endpoint {
        switch address {
        case .http(let host, let port): return Endpoint(host: host, port: port)
        case .reference(let artifact):
            if let server = running[artifact] { return Endpoint(host: "127.0.0.1", port: server.port) }
            let options = ReferenceServer.Options(
                artifact: try load(artifact), listen: .tcp(host: "127.0.0.1", port: 0))
            let server = try ReferenceServer.start(options)
            guard case .tcp(_, let port) = server.endpoint else { preconditionFailure("asked for TCP") }
            running[artifact] = (server, port)
            return Endpoint(host: "127.0.0.1", port: port)
        }
    }

    /// Loads an artifact from its path, or by its name from `models/` in the state directory or from the demo's folder.
    /// If the name is in neither and the data are there, the artifact is trained.
    private func load(_ artifact: String) throws -> Artifact {
        if artifact.contains("/") { return try Artifact.load(artifact) }
        let places = ["\(stateDirectory)/models", ArtifactFolder.path]
        for place in places where access("\(place)/\(artifact).safetensors", R_OK) == 0 {
            return try Artifact.load("\(place)/\(artifact).safetensors")
        }
        guard let name = ArtifactName(artifact), access("\(data)/adult_train.csv", R_OK) == 0 else {
            throw EmbeddedServerError(
                description: "reference:\(artifact): no such artifact in \(places.joined(separator: " or ")); "
                    + "canaryd demo trains and keeps fp32, int8, pruned and skewed")
        }
        let made = try ArtifactStore.prepare([name], directory: places[0], data: data)
        guard let trained = made.artifacts[name] else {
            preconditionFailure("`prepare` returns each artifact that it is asked for")
        }
        return trained
    }

    func stop() {
        for (server, _) in running.values { server.stop() }
        running = [:]
    }
}
