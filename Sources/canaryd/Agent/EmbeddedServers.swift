import Glibc
import PolicyModel
import ReferenceModel

struct EmbeddedServerError: Error, CustomStringConvertible { let description: String }

/// The reference model servers that run inside the agent: `servers: [reference:int8]`. Each is started once, when it is
/// first asked for, on a port of its own on loopback.
final class EmbeddedServers {
    private let stateDirectory: String
    /// Where the example's data lie, beside the agent's file: what is missing is trained from them.
    private let data: String
    private var running: [String: (server: ReferenceServer, port: UInt16)] = [:]

    init(stateDirectory: String, configurationFile: String) {
        self.stateDirectory = stateDirectory
        let folder = configurationFile.lastIndex(of: "/").map { String(configurationFile[..<$0]) } ?? "."
        data = folder + "/data"
    }

    /// Where a server takes connections.
    /// - Throws: what is wrong with the artefact, and where it was looked for.
    func endpoint(of address: ServerAddress) throws -> Endpoint {
        switch address {
        case .http(let host, let port): return Endpoint(host: host, port: port)
        case .reference(let artefact):
            if let server = running[artefact] { return Endpoint(host: "127.0.0.1", port: server.port) }
            let options = ReferenceServer.Options(
                artefact: try load(artefact), listen: .tcp(host: "127.0.0.1", port: 0))
            let server = try ReferenceServer.start(options)
            guard case .tcp(_, let port) = server.endpoint else { preconditionFailure("asked for TCP") }
            running[artefact] = (server, port)
            return Endpoint(host: "127.0.0.1", port: port)
        }
    }

    /// A path as it stands; a bare name in the state directory's `models/` or among what the demo keeps. Trained where
    /// it is nowhere and the data are at hand.
    private func load(_ artefact: String) throws -> Artefact {
        if artefact.contains("/") { return try Artefact.load(artefact) }
        let places = ["\(stateDirectory)/models", ArtefactFolder.usual]
        for place in places where access("\(place)/\(artefact).safetensors", R_OK) == 0 {
            return try Artefact.load("\(place)/\(artefact).safetensors")
        }
        guard let name = ArtefactName(artefact), access("\(data)/adult_train.csv", R_OK) == 0 else {
            throw EmbeddedServerError(
                description: "reference:\(artefact): no such artefact in \(places.joined(separator: " or ")); "
                    + "canaryd demo trains and keeps fp32, int8, pruned and skewed")
        }
        let made = try ArtefactWorkshop.prepare([name], directory: places[0], data: data)
        guard let trained = made.artefacts[name] else { preconditionFailure("the workshop makes what it is asked for") }
        return trained
    }

    func stop() {
        for (server, _) in running.values { server.stop() }
        running = [:]
    }
}
