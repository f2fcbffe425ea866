import Glibc

/// A blocking TCP or Unix client that sends and receives raw bytes. Every read and every write has a time limit.
public final class RawClient: @unchecked Sendable {
    public let descriptor: Int32

    /// The time limit of a read or a write in seconds; far beyond what a loaded machine needs.
    private static let timeout = 20

    public init(port: UInt16) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let status = LoopbackSocket.connect(descriptor, port: port)
        precondition(status == 0, "cannot connect to port \(port)")
        setTimeouts()
    }

    /// Takes over a connected descriptor.
    public init(descriptor: Int32) {
        self.descriptor = descriptor
        setTimeouts()
    }

    public init(path: String) {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        precondition(status == 0, "cannot connect to \(path)")
        setTimeouts()
    }

    deinit { close() }

    private var isOpen = true

    private func setTimeouts() {
        var limit = timeval(tv_sec: Self.timeout, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    public func close() {
        guard isOpen else { return }
        isOpen = false
        _ = Glibc.close(descriptor)
    }

    /// Closes with a reset instead of an end.
    public func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        close()
    }

    public func finishWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    public func send(_ text: String) { send(Array(text.utf8)) }

    /// Sends bytes.
    /// - Returns: false if the connection broke, or if the peer did not read in time.
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let n = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard n > 0 else { return false }
            sent += n
        }
        return true
    }

    /// Returns the bytes of one read; nil at the end, at a reset, or after the time limit. Bytes that other functions
    /// have read but not returned are not among them.
    public func receive(_ most: Int = 65_536) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: most)
        let n = recv(descriptor, &buffer, most, 0)
        guard n > 0 else { return nil }
        return Array(buffer[..<n])
    }

    /// Bytes that were read and not returned yet.
    private var pending: [UInt8] = []

    /// Returns the next `count` bytes, or fewer if the connection ends before.
    public func receive(exactly count: Int) -> [UInt8] {
        while pending.count < count, let more = receive() { pending += more }
        let taken = Array(pending.prefix(count))
        pending.removeFirst(taken.count)
        return taken
    }

    /// Returns everything up to and including a text; all that is left if the connection ends before.
    public func receive(until end: String) -> String {
        let mark = Array(end.utf8)
        var from = 0
        while true {
            var i = from
            while i + mark.count <= pending.count {
                if pending[i..<i + mark.count].elementsEqual(mark) {
                    let taken = pending[..<(i + mark.count)]
                    pending.removeFirst(taken.count)
                    return String(decoding: taken, as: UTF8.self)
                }
                i += 1
            }
            from = max(0, pending.count - mark.count)
            guard let more = receive() else { break }
            pending += more
        }
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Returns everything until the peer closes the connection.
    public func receiveAll() -> String {
        while let more = receive() { pending += more }
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Receives one response, whose body ends by Content-Length, by chunked coding or with the connection.
    /// - Parameter toHead: true if the request was HEAD, so that the response has no body.
    public func receiveResponse(toHead: Bool = false) -> RawResponse {
        let head = receive(until: "\r\n\r\n")
        var response = RawResponse(head: head)
        if toHead || response.status == 204 || response.status == 304 || response.status < 200 { return response }
        if let length = response["content-length"].flatMap({ Int($0) }) {
            response.body = receive(exactly: length)
            response.isComplete = response.body.count == length
        } else if response["transfer-encoding"] == "chunked" {
            response.isComplete = false
            while true {
                let line = receive(until: "\r\n")
                guard let size = Int(line.dropLast(), radix: 16) else { break }
                if size == 0 {
                    response.isComplete = receive(until: "\r\n") == "\r\n"
                    break
                }
                response.body += receive(exactly: size)
                guard receive(until: "\r\n") == "\r\n" else { break }
            }
        } else {
            while let more = receive() { pending += more }
            response.body = pending
            pending = []
        }
        return response
    }
}

public struct RawResponse {
    public let head: String
    public var body: [UInt8] = []
    /// False if the connection ended before the body was complete by its framing.
    public var isComplete = true

    public init(head: String) { self.head = head }

    public var status: Int { Int(head.split(separator: " ", maxSplits: 2).dropFirst().first ?? "") ?? 0 }
    public var text: String { String(decoding: body, as: UTF8.self) }

    /// The value of the first field with this name, which is given in lower case.
    public subscript(name: String) -> String? { all(name).first }

    public func all(_ name: String) -> [String] {
        head.split(separator: "\r\n").dropFirst().compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            guard let first = parts.first, first.lowercased() == name else { return nil }
            return parts.count > 1 ? parts[1].trimmed : ""
        }
    }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
