import Glibc

/// A blocking client with one persistent connection, for one request at a time.
final class Client {
    struct Response {
        var status: Int
        var version: String
        var requestID: String
        var body: String
    }

    private let port: UInt16
    private var descriptor: Int32 = -1
    /// The reason why the last exchange failed.
    private(set) var failure = ""

    init(port: UInt16) { self.port = port }
    deinit { disconnect() }

    /// Sends a request and returns the response; nil if that failed. The next call then opens a new connection.
    func get(_ path: String = "/", headers: [(String, String)] = []) -> Response? {
        guard send(path, headers: headers) else { return nil }
        return receive()
    }

    /// Sends a request without waiting for the response. False if that failed.
    func send(_ path: String = "/", headers: [(String, String)] = []) -> Bool {
        guard connect() else { return false }
        var head = "GET \(path) HTTP/1.1\r\nHost: models.example\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        return put(Array((head + "\r\n").utf8))
    }

    /// Opens the connection, unless it is open. False if nobody listens.
    func connect() -> Bool {
        if descriptor >= 0 { return true }
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in.loopback(port)
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        return isConnected || fail("connect: \(String(cString: strerror(errno)))")
    }

    func disconnect() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private func fail(_ why: String) -> Bool {
        failure = why
        disconnect()
        return false
    }

    private func put(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let n = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if n <= 0 { return fail("send: \(String(cString: strerror(errno)))") }
            sent += n
        }
        return true
    }

    /// Receives the response to `send`; nil if that failed.
    func receive() -> Response? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        var response: Response?
        var wanted = Int.max
        while bytes.count < wanted {
            let n = recv(descriptor, &chunk, chunk.count, 0)
            guard n > 0 else {
                _ = fail(n == 0 ? "closed after \(bytes.count) bytes" : "recv: \(String(cString: strerror(errno)))")
                return nil
            }
            bytes += chunk[..<n]
            if response == nil, let (head, end) = Self.head(bytes) {
                response = head.response
                wanted = end + head.length
                if head.closes { wasLast = true }
            }
        }
        response?.body = String(decoding: bytes.suffix(max(0, bytes.count - bodyStart(bytes))), as: UTF8.self)
        if wasLast { disconnect() }
        wasLast = false
        return response
    }

    /// True if the server closes the connection after this response.
    private var wasLast = false

    private func bodyStart(_ bytes: [UInt8]) -> Int { Self.head(bytes)?.end ?? bytes.count }

    private struct Head {
        var response: Response
        var length: Int
        var closes: Bool
    }

    private static func head(_ bytes: [UInt8]) -> (head: Head, end: Int)? {
        guard
            let end = bytes.indices.dropLast(3).first(where: {
                bytes[$0] == 13 && bytes[$0 + 1] == 10 && bytes[$0 + 2] == 13 && bytes[$0 + 3] == 10
            })
        else { return nil }
        var head = Head(response: Response(status: 0, version: "", requestID: "", body: ""), length: 0, closes: false)
        for (i, line) in String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n").enumerated() {
            if i == 0 { head.response.status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0 }
            guard i > 0, let colon = line.firstIndex(of: ":") else { continue }
            let value = String(line[line.index(after: colon)...].drop { $0 == " " })
            switch line[..<colon].lowercased() {
            case "content-length": head.length = Int(value) ?? 0
            case "connection": head.closes = value == "close"
            case "x-canary-version": head.response.version = value
            case "x-request-id": head.response.requestID = value
            default: break
            }
        }
        return (head, end + 4)
    }
}
