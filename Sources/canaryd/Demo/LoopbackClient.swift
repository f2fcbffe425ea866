import Glibc

/// A blocking HTTP/1.1 client with one persistent connection. It serves only the demo's own load, so it supports only
/// responses with a Content-Length.
final class LoopbackClient {
    private let port: UInt16
    private var descriptor: Int32 = -1
    private var buffer = [UInt8](repeating: 0, count: 65_536)

    struct Response {
        var status: Int
        /// The value of the header `x-request-id`.
        var requestID: String
        var body: ArraySlice<UInt8>
    }

    init(port: UInt16) { self.port = port }
    deinit { disconnect() }

    /// Sends a request and waits for its response; nil if the connection failed. The next call opens a new connection.
    func post(_ path: String, _ body: [UInt8]) -> Response? {
        guard connect() else { return nil }
        let head =
            "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.count)\r\n\r\n"
        guard send(Array(head.utf8) + body), let response = receive() else {
            disconnect()
            return nil
        }
        return response
    }

    private func connect() -> Bool {
        if descriptor >= 0 { return true }
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, size) == 0 }
        }
        if !isConnected { disconnect() }
        return isConnected
    }

    private func disconnect() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let n = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if n <= 0 { return false }
            sent += n
        }
        return true
    }

    private func receive() -> Response? {
        var filled = 0
        var bodyStart: Int?
        var wanted = 0
        var response = Response(status: 0, requestID: "", body: [])
        while true {
            if let bodyStart, filled >= bodyStart + wanted {
                response.body = buffer[bodyStart..<bodyStart + wanted]
                return response
            }
            guard filled < buffer.count else { return nil }
            let n = buffer[filled...].withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            if n <= 0 { return nil }
            filled += n
            if bodyStart == nil, let end = Self.endOfHead(buffer[..<filled]) {
                bodyStart = end
                for (i, line) in String(decoding: buffer[..<end], as: UTF8.self).split(separator: "\r\n").enumerated() {
                    if i == 0 {
                        response.status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
                        continue
                    }
                    guard let colon = line.firstIndex(of: ":") else { continue }
                    let value = line[line.index(after: colon)...].drop { $0 == " " }
                    switch line[..<colon].lowercased() {
                    case "content-length": wanted = Int(value) ?? 0
                    case "x-request-id": response.requestID = String(value)
                    default: break
                    }
                }
            }
        }
    }

    private static func endOfHead(_ bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for i in bytes.startIndex...(bytes.endIndex - 4)
        where bytes[i] == 13 && bytes[i + 1] == 10 && bytes[i + 2] == 13 && bytes[i + 3] == 10 {
            return i + 4
        }
        return nil
    }

    /// A TCP port on loopback that is currently free: `preferred` if possible, otherwise any.
    static func freePort(preferred: UInt16) -> UInt16 {
        for candidate in [preferred, 0] {
            let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard probe >= 0 else { continue }
            defer { close(probe) }
            var yes: Int32 = 1
            setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = candidate.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(probe, $0, size) == 0 && getsockname(probe, $0, &size) == 0
                }
            }
            if isBound { return UInt16(bigEndian: address.sin_port) }
        }
        return preferred
    }
}
