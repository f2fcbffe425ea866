import Glibc
import PolicyModel
import Synchronization
import TestSupport

/// A server on loopback that sends exactly the bytes that a test wants: one thread, one connection at a time.
final class RawServer: Sendable {
    let endpoint: Endpoint
    private let listener: Int32
    private let state = Mutex((heads: [String](), replies: [Reply]()))

    enum Reply: Sendable {
        case bytes([UInt8])
        /// Sends the bytes again and again until the peer goes.
        case forever(head: [UInt8], chunk: [UInt8])
        /// Reads and keeps silent until the peer goes.
        case silence

        static func text(_ text: String) -> Reply { .bytes([UInt8](text.utf8)) }

        static func ok(_ body: String, headers: String = "") -> Reply { ok([UInt8](body.utf8), headers: headers) }

        static func ok(_ body: [UInt8], headers: String = "") -> Reply {
            .bytes([UInt8]("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\(headers)\r\n".utf8) + body)
        }
    }

    /// The last reply serves all further connections.
    init(_ replies: Reply...) throws {
        let socket = LoopbackSocket(backlog: 16)
        listener = socket.descriptor
        endpoint = Endpoint(host: "127.0.0.1", port: socket.port)
        state.withLock { $0.replies = replies }
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { context in
                Unmanaged<RawServer>.fromOpaque(context!).takeRetainedValue().serve()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(failure == 0)
        pthread_detach(thread)
    }

    /// Ends the thread, which retains the server.
    func close() { shutdown(listener, Int32(SHUT_RDWR)) }

    /// The heads of the requests, up to the empty line.
    var heads: [String] { state.withLock { $0.heads } }

    private func serve() {
        while true {
            let peer = accept(listener, nil, nil)
            guard peer >= 0 else { break }
            answer(peer)
            Glibc.close(peer)
        }
        Glibc.close(listener)
    }

    private func answer(_ peer: Int32) {
        var head: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            let count = recv(peer, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            head += buffer[..<count]
        }
        let reply = state.withLock { state in
            state.heads.append(String(decoding: head, as: UTF8.self))
            return state.replies.count > 1 ? state.replies.removeFirst() : state.replies[0]
        }
        switch reply {
        case .bytes(let bytes): _ = send(bytes, to: peer)
        case .forever(let head, let chunk):
            guard send(head, to: peer) else { return }
            while send(chunk, to: peer) {}
        case .silence: while recv(peer, &buffer, buffer.count, 0) > 0 {}
        }
    }

    private func send(_ bytes: [UInt8], to peer: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(peer, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}
