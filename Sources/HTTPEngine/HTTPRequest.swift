/// A whole request, body included.
public struct HTTPRequest: Sendable {
    /// As on the wire; methods are case-sensitive.
    public var method: String
    /// As on the wire, still escaped, without the query. `*` for OPTIONS *.
    public var path: String
    /// Without its question mark.
    public var query: String?
    public var headers: HTTPHeaders
    public var body: [UInt8]
    /// Who asks, on Unix sockets.
    public var peer: Peer?

    public struct Peer: Hashable, Sendable {
        public var pid: Int32
        public var uid: UInt32
    }

    public init(
        method: String, path: String, query: String? = nil, headers: HTTPHeaders = HTTPHeaders(), body: [UInt8] = [],
        peer: Peer? = nil
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.peer = peer
    }
}
