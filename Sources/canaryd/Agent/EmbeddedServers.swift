import PolicyModel
import ReferenceModel

/// The reference model servers that run inside the agent: `servers: [reference:int8]`. Each is started once, when it is
/// first asked for, on a port of its own on loopback.
final class EmbeddedServers {
    private let stateDirectory: String
    private var running: [String: ReferenceServer] = [:]

    init(stateDirectory: String) { self.stateDirectory = stateDirectory }

    /// Where a server takes connections.
    /// - Throws: what is wrong with the artefact, and where it was looked for.
    func endpoint(of address: ServerAddress) throws -> Endpoint {
        switch address {
        case .http(let host, let port): return Endpoint(host: host, port: port)
        case .reference(let artefact):
            if let server = running[artefact] { return Endpoint(host: "127.0.0.1", port: server.port) }
            let server = try ReferenceServer.start(artefact: path(of: artefact), host: "127.0.0.1", port: 0)
            running[artefact] = server
            return Endpoint(host: "127.0.0.1", port: server.port)
        }
    }

    /// A path as it stands; a bare name below `models/` of the state directory.
    private func path(of artefact: String) -> String {
        artefact.contains("/") ? artefact : "\(stateDirectory)/models/\(artefact).safetensors"
    }

    func stop() {
        for server in running.values { server.stop() }
        running = [:]
    }
}
