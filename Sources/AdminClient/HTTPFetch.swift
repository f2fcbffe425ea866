import Glibc

/// A single `GET` over plain HTTP to a server other than the agent, such as a model server that is to be examined.
public enum HTTPFetch {
    /// The error of a request that got no response; its description is the predicate of a sentence about the server.
    public struct Failure: Error, CustomStringConvertible {
        public var description: String

        public init(description: String) { self.description = description }
    }

    /// Sends the request and returns the status and body of the response.
    /// - Parameters:
    ///   - host: a name or an address.
    ///   - target: path and query.
    ///   - timeout: the timeout in seconds of the connect, of each read and of the whole response.
    public static func get(
        host: String, port: UInt16, target: String, timeout: Int
    ) throws(Failure) -> (status: Int, body: [UInt8]) {
        let descriptor = try connect(host, port, timeout)
        defer { close(descriptor) }
        let shown = host.contains(":") ? "[\(host)]" : host
        let head =
            "GET \(target) HTTP/1.1\r\nHost: \(shown):\(port)\r\nAccept: text/plain, */*\r\nUser-Agent: canaryctl\r\n"
            + "Connection: close\r\n\r\n"
        let bytes = Array(head.utf8)
        guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { throw failed() }
        var reader = ResponseReader()
        var body: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let deadline = seconds() + timeout
        while !reader.isComplete {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failed() }
            // The timeout of each read does not bound a response that arrives byte by byte.
            guard seconds() <= deadline else {
                throw Failure(description: "does not end its answer within \(timeout) s")
            }
            do {
                if count == 0 { try reader.end() } else { body += try reader.read(buffer[..<count]) }
            } catch { throw Failure(description: "does not answer in HTTP/1.1") }
            guard body.count <= ResponseReader.maximumBody else { throw Failure(description: "answers without end") }
            if count == 0 { break }
        }
        return (reader.status ?? 0, body)
    }

    private static func seconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec
    }

    private static func failed() -> Failure {
        let isLate = errno == EAGAIN || errno == EINPROGRESS
        return Failure(description: isLate ? "does not answer in time" : String(cString: strerror(errno)))
    }

    private static func connect(_ host: String, _ port: UInt16, _ timeout: Int) throws(Failure) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, "\(port)", &hints, &list)
        guard status == 0 else { throw Failure(description: String(cString: gai_strerror(status))) }
        defer { freeaddrinfo(list) }
        var failure = Failure(description: "has no address")
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            let descriptor = socket(
                entry.pointee.ai_family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { continue }
            var time = timeval(tv_sec: timeout, tv_usec: 0)
            for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
                setsockopt(descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
            }
            if Glibc.connect(descriptor, entry.pointee.ai_addr, entry.pointee.ai_addrlen) == 0 { return descriptor }
            failure = failed()
            close(descriptor)
        }
        throw failure
    }
}
