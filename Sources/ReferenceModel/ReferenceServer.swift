import HTTPEngine

/// A server for one artifact, with its own event loop and inference thread. Several may run in one process.
public final class ReferenceServer: Sendable {
    public struct Options: Sendable {
        public var artifact: Artifact
        public var listen: SocketAddress
        /// The model's name in URLs; nil for the artifact's own.
        public var modelName: String?
        public var batching = BatchLimits()
        public var faults = Faults()
        /// Whether `POST /v2/faults` may change the faults while the server runs.
        public var allowFaults = false
        /// The seed of the random numbers that select the requests with a fault.
        public var faultSeed: UInt64 = 1
        public var http = HTTPServerLimits()

        public init(artifact: Artifact, listen: SocketAddress) {
            self.artifact = artifact
            self.listen = listen
        }
    }

    /// The address that the server listens on, with the actual port if port 0 was requested.
    public let endpoint: SocketAddress
    private let loop: EventLoop
    private let server: HTTPServer
    private let service: ModelService

    /// Starts a server, which accepts requests when this returns.
    /// - Throws: `ListenError`, or `FaultError` for a bias that the artifact cannot have.
    public static func start(_ options: Options) throws -> ReferenceServer {
        if let flaw = options.faults.flaw(for: options.artifact.encoding) { throw FaultError(message: flaw) }
        return try ReferenceServer(options)
    }

    /// Starts a server for the artifact in a file, with the default options.
    /// - Throws: `FileError`, in addition to the errors of `start(_:)`.
    public static func start(artifact path: String, host: String = "127.0.0.1", port: UInt16 = 0) throws
        -> ReferenceServer
    {
        try start(Options(artifact: try Artifact.load(path), listen: .tcp(host: host, port: port)))
    }

    /// The TCP port that the server listens on; 0 for a Unix socket.
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

    /// Stops accepting connections, completes the requests in flight within the grace period, and returns when the
    /// server has ended. It may be called only once, from any thread but the server's own.
    public func stop(grace: Duration = .seconds(10)) {
        loop.post { [loop, server, service] in
            service.drain()
            server.drain(grace: grace) { loop.stop() }
        }
        loop.join()
        service.close()
    }
}

/// The error for a fault that does not apply to the artifact.
public struct FaultError: Error, Hashable, CustomStringConvertible, Sendable {
    public var message: String
    public var description: String { message }
}

extension Faults {
    /// The reason for which these faults do not apply to a model with this encoding; nil if they do.
    func flaw(for encoding: FeatureEncoding) -> String? {
        guard let bias, encoding.input(of: bias.attribute, value: bias.value) == nil else { return nil }
        return "bias: the model has no column `\(bias.attribute)` with a category `\(bias.value)`"
    }
}
