/// A complete request, including its body.
public struct HTTPRequest: Sendable {
    /// The method as it was sent; methods are case-sensitive.
    public var method: String
    /// The path as it was sent, still escaped, without the query. `*` for OPTIONS *.
    public var path: String
    /// The query without its question mark; nil if there is none.
    public var query: String?
    public var headers: HTTPHeaders
    public var body: [UInt8]
    /// The client's process; nil except on Unix sockets.
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
