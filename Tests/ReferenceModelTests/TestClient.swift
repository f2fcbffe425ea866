import Glibc
import HTTPEngine

/// A blocking HTTP/1.1 client on one connection, as simple as a test can do with.
final class TestClient {
    struct Reply {
        var status: Int
        /// Names in lower case.
        var headers: [String: String]
        var body: [UInt8]
        /// True if the body is complete.
        var isComplete: Bool

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    private let descriptor: Int32

    init(_ endpoint: SocketAddress) {
        guard case .tcp(_, let port) = endpoint else { fatalError("tests use TCP") }
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        // A reply that never comes fails the test instead of hanging it.
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        precondition(status == 0, "cannot connect to \(endpoint)")
    }

    deinit { close(descriptor) }

    func send(_ method: String, _ path: String, _ headers: [String: String] = [:], body: [UInt8] = []) {
        var head = "\(method) \(path) HTTP/1.1\r\nHost: test\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if !body.isEmpty || method == "POST" { head += "Content-Length: \(body.count)\r\n" }
        var rest = Array((head + "\r\n").utf8) + body
        while !rest.isEmpty {
            let put = Glibc.send(descriptor, rest, rest.count, Int32(MSG_NOSIGNAL))
            guard put > 0 else { return }
            rest.removeFirst(put)
        }
    }

    /// Receives a response; nil if the connection ended before its head was complete.
    func receive() -> Reply? {
        var bytes: [UInt8] = []
        while bytes.count < 4 || Array(bytes.suffix(4)) != [13, 10, 13, 10] {
            guard let byte = read(1)?.first else { return nil }
            bytes.append(byte)
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let colon = line.firstIndex(of: ":")!
            headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        var reply = Reply(
            status: Int(lines[0].split(separator: " ")[1])!, headers: headers, body: [], isComplete: false)
        if let length = headers["content-length"].flatMap({ Int($0) }) {
            reply.body = read(length) ?? []
            reply.isComplete = reply.body.count == length
        } else if headers["transfer-encoding"] == nil {
            reply.isComplete = true
        } else {
            while let byte = read(1) { reply.body += byte }
            reply.isComplete = reply.body.suffix(5).elementsEqual("0\r\n\r\n".utf8)
        }
        return reply
    }

    func call(_ method: String, _ path: String, _ headers: [String: String] = [:], body: String = "") -> Reply? {
        send(method, path, headers, body: Array(body.utf8))
        return receive()
    }

    /// `count` bytes, fewer where the connection ends, nil where nothing came.
    private func read(_ count: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var buffer = [UInt8](repeating: 0, count: count - bytes.count)
            let got = recv(descriptor, &buffer, buffer.count, 0)
            guard got > 0 else { break }
            bytes += buffer[0..<got]
        }
        return bytes.isEmpty && count > 0 ? nil : bytes
    }
}
