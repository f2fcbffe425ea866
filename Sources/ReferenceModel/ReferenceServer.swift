import HTTPEngine

/// A server of one artefact with an event loop and an inference thread of its own. Several may run in one process.
public final class ReferenceServer: Sendable {
    public struct Options: Sendable {
        public var artefact: Artefact
        public var listen: SocketAddress
        /// In the URLs; nil: what the artefact says.
        public var modelName: String?
        public var batching = BatchLimits()
        public var faults = Faults()
        /// Whether `POST /v2/faults` changes them while it runs.
        public var allowFaults = false
        /// Of the draws that decide which requests a fault meets.
        public var faultSeed: UInt64 = 1
        public var http = HTTPServerLimits()

        public init(artefact: Artefact, listen: SocketAddress) {
            self.artefact = artefact
            self.listen = listen
        }
    }

    /// Where it listens; port 0 is resolved.
    public let endpoint: SocketAddress
    private let loop: EventLoop
    private let server: HTTPServer
    private let service: ModelService

    /// Listens and serves when it returns. Throws `ListenError`, or `FaultError` for a bias that the artefact cannot have.
    public static func start(_ options: Options) throws -> ReferenceServer {
        if let flaw = options.faults.flaw(for: options.artefact.encoding) { throw FaultError(message: flaw) }
        return try ReferenceServer(options)
    }

    /// A server of the artefact in a file, with the usual settings. Throws `FileError` as well.
    public static func start(artefact path: String, host: String = "127.0.0.1", port: UInt16 = 0) throws
        -> ReferenceServer
    {
        try start(Options(artefact: try Artefact.load(path), listen: .tcp(host: host, port: port)))
    }

    /// The TCP port that it listens on; 0 on a Unix socket.
    public var port: UInt16 { if case .tcp(_, let port) = endpoint { port } else { 0 } }

    private init(_ options: Options) throws {
        let loop = try EventLoop(name: "reference")
        let service = ModelService(loop: loop, options: options)
        let server = HTTPServer(loop: loop, limits: options.http) { service.handle($0, $1) }
        do {
            endpoint = try server.listen(options.listen)
        } catch {
            service.close()
            throw error
        }
        (self.loop, self.server, self.service) = (loop, server, service)
        loop.start()
    }

    /// Stops accepting, answers what is in flight for as long as the grace, and returns when all is over. To be called
    /// once, from any thread but the server's own.
    public func stop(grace: Duration = .seconds(10)) {
        loop.post { [loop, server, service] in
            service.drain()
            server.drain(grace: grace) { loop.stop() }
        }
        loop.join()
        service.close()
    }
}

/// A fault that this artefact cannot have.
public struct FaultError: Error, Hashable, CustomStringConvertible, Sendable {
    public var message: String
    public var description: String { message }
}

extension Faults {
    /// Why these faults make no sense for a model with this encoding; nil: they do.
    func flaw(for encoding: FeatureEncoding) -> String? {
        guard let bias, encoding.input(of: bias.attribute, value: bias.value) == nil else { return nil }
        return "bias: the model has no column `\(bias.attribute)` with a category `\(bias.value)`"
    }
}
