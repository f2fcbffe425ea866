import CLinuxEngine
import Glibc

/// One client of an `HTTPServer`. Requests are handled one after the other; the next is parsed after the response to
/// the last.
final class ServerConnection: EventSource, @unchecked Sendable {
    let server: HTTPServer
    /// True on a Unix socket, where a client that left can be distinguished from one that only ended its output.
    private let isUnix: Bool
    private let peer: HTTPRequest.Peer?
    private var phase = Phase.head
    /// The list of connections that may give way to new ones that this connection is in; nil while it is busy.
    var waiting: Waiting?
    var nextWaiting: ServerConnection?
    unowned(unsafe) var previousWaiting: ServerConnection?
    /// True if the client has ended its output. It may still read.
    private var inputEnded = false
    private var handlingSince: Int64 = 0
    private var input: [UInt8] = []
    private var heads = RequestHeadReader()
    /// True if the first byte of a head has come.
    private var isInHead = false
    private var head = RequestHead()
    private var body: [UInt8] = []
    private var remaining: Int64 = 0
    private var decoder = ChunkDecoder()
    private var request = HTTPRequest(method: "", path: "")
    private weak var responder: HTTPResponder?

    private var output: [UInt8] = []
    private var sent = 0
    private var interest: ReadyEvents = [.readable, .peerClosed]
    private var keepAlive = true
    private var isHead = false
    private var isStreaming = false
    private var isChunkedReply = false
    private var closeWhenSent = false
    /// True while `parse` runs. It prevents recursion: the request after one that a handler responded to at once is
    /// handled by the loop in `parse`.
    private var isParsing = false
    private(set) var deadline: Int64 = .max

    /// The kinds of connections that may give way, by what they wait for, in the order in which they do.
    enum Waiting: Int, CaseIterable {
        case firstHead, nextHead, body
    }

    private enum Phase {
        /// Waiting for a head, or within one.
        case head
        case body
        /// The handler has the request.
        case handling
        /// The response was sent, and the rest of the request is discarded, so that the client gets to read the
        /// response.
        case lingering
        case closed
    }

    init(server: HTTPServer, isUnix: Bool, peer: HTTPRequest.Peer?) {
        self.server = server
        self.isUnix = isUnix
        self.peer = peer
    }

    func started() {
        server.note(self, waitsFor: .firstHead)
        expect(within: server.limits.headTimeout)
    }

    var pendingBytes: Int { output.count - sent }

    override func ready(_ events: ReadyEvents) {
        if events.contains(.writable) { flush() }
        guard phase != .closed else { return }
        // Both directions are closed.
        if phase == .handling, !events.isDisjoint(with: [.failed, .hungUp]) { return close() }
        if !events.isDisjoint(with: [.readable, .peerClosed, .failed, .hungUp]) { receive() }
    }

    /// Handles that the deadline has passed.
    func expire() {
        switch phase {
        case .head where input.isEmpty, .handling, .lingering, .closed: close()
        case .head, .body: fail(status: 408, "the request did not come in time")
        }
    }

    /// Finishes the request that is under way, and then closes the connection.
    func drain() {
        keepAlive = false
        if phase == .head, input.isEmpty, pendingBytes == 0 { close() }
    }

    func close() {
        guard phase != .closed else { return }
        server.note(self, waitsFor: nil)
        phase = .closed
        let fd = descriptor
        server.loop.deregister(self)
        Glibc.close(fd)
        server.closed(self)
        output = []
        responder?.connectionClosed()
        responder = nil
    }

    /// Handles that the responder was released without a response.
    func abandon(streaming: Bool) {
        guard phase == .handling else { return }
        if streaming { return close() }
        let body = ServerConnection.errorBody(code: "no_answer", message: "the handler gave no answer")
        sendResponse(status: 500, headers: [("Content-Type", "application/json")], body: body)
    }

    private func expect(within time: Duration) {
        deadline = server.loop.now &+ Self.nanoseconds(time)
    }

    private static func nanoseconds(_ time: Duration) -> Int64 {
        let (seconds, attoseconds) = time.components
        return min(seconds, 1 << 32) * 1_000_000_000 &+ attoseconds / 1_000_000_000
    }

    private func watch(_ wanted: ReadyEvents) {
        // A watched end of input is reported at every turn.
        let wanted = inputEnded ? wanted.subtracting([.readable, .peerClosed]) : wanted
        guard wanted != interest, descriptor >= 0 else { return }
        interest = wanted
        server.loop.modify(self, interest: wanted)
    }
}

// MARK: Input

extension ServerConnection {
    /// The largest number of bytes of later requests that wait while one is handled.
    private static let maxAhead = 64 << 10

    private func receive() {
        if phase == .handling, input.count >= Self.maxAhead {
            return watch(interest.subtracting([.readable, .peerClosed]))
        }
        let status = ce_receive(descriptor, server.scratch.baseAddress!, server.scratch.count)
        if status == -Int(EAGAIN) || status == -Int(EINTR) { return }
        if status == 0 { return endOfInput() }
        guard status > 0 else { return close() }
        input.append(contentsOf: server.scratch[..<status])
        switch phase {
        case .head, .body: parse()
        case .lingering: input = []
        case .handling, .closed: break
        }
    }

    /// Handles the end of the client's output. The client gets the responses to its complete requests, unless it left.
    /// Over TCP that looks the same, but a client that only has nothing more to send ends its output at once, and one
    /// that gives up on a stream does so later.
    private func endOfInput() {
        inputEnded = true
        switch phase {
        case .handling:
            let isLate = server.loop.now &- handlingSince > Self.nanoseconds(server.limits.halfCloseWindow)
            if isStreaming, !isUnix, isLate { return close() }
            if input.isEmpty { keepAlive = false }
            watch(interest)
        case .head, .body, .lingering: _ = closeWhenSentAll()
        case .closed: break
        }
    }

    /// Closes the connection after the remaining output. Returns false, since nothing more is read.
    private func closeWhenSentAll() -> Bool {
        guard pendingBytes > 0 else {
            close()
            return false
        }
        phase = .lingering
        closeWhenSent = true
        input = []
        watch(interest)
        return false
    }

    /// Handles requests until more bytes are needed, or a response is awaited.
    private func parse() {
        guard !isParsing else { return }
        isParsing = true
        defer { isParsing = false }
        while true {
            switch phase {
            case .head: guard parseHead() else { return }
            case .body: guard parseBody() else { return }
            case .handling, .lingering, .closed: return
            }
        }
    }

    /// Reads a request head. Returns false if more bytes are needed, or if nothing more is read.
    private func parseHead() -> Bool {
        guard !input.isEmpty else {
            input = []
            if inputEnded { return closeWhenSentAll() }
            expect(within: server.limits.idle)
            return false
        }
        if !isInHead { expect(within: server.limits.headTimeout) }
        isInHead = true
        let progress = input.withUnsafeBufferPointer {
            heads.read(
                $0.baseAddress.unsafelyUnwrapped, $0.count, maxHead: server.limits.maxHead, server.parser, into: &head)
        }
        switch progress {
        case .emptyLine(let length):
            input.removeFirst(length)
            isInHead = !input.isEmpty
            return true
        case .incomplete: return inputEnded ? closeWhenSentAll() : false
        case .refused(let error): return refuse(error)
        case .complete(let length):
            isInHead = false
            input.withUnsafeBufferPointer { makeRequest($0.baseAddress.unsafelyUnwrapped) }
            input.removeFirst(length)
            return startBody()
        }
    }

    private func refuse(_ error: HeadError) -> Bool {
        fail(status: error.status, error.message)
        return false
    }

    private func makeRequest(_ p: UnsafePointer<UInt8>) {
        var headers = HTTPHeaders()
        for i in 0..<head.fields.count {
            let field = server.parser.fields[i]
            headers.append(field.name.string(in: p), field.value.string(in: p))
        }
        var query: String?
        if !head.query.isEmpty {
            query = HeadRange(Int(head.query.start) + 1, Int(head.query.length) - 1).string(in: p)
        }
        let path = head.path.isEmpty ? "/" : head.path.string(in: p)
        request = HTTPRequest(
            method: head.method.string(in: p), path: path, query: query, headers: headers, peer: peer)
    }

    private func startBody() -> Bool {
        isHead = head.kind == .head
        keepAlive = head.keepsAlive && !server.isDraining
        if head.kind == .connect {
            fail(status: 501, "CONNECT is not served here")
            return false
        }
        if head.fields.expectsOther {
            fail(status: 417, "only Expect: 100-continue is known")
            return false
        }
        body = []
        switch head.framing {
        case .none, .untilClose:
            deliver()
            return true
        case .length(let length):
            guard length <= Int64(server.limits.maxBody) else { return refuseBody() }
            remaining = length
            body.reserveCapacity(min(Int(length), 1 << 20))
        case .chunked: decoder = ChunkDecoder()
        }
        phase = .body
        server.note(self, waitsFor: .body)
        expect(within: server.limits.bodyTimeout)
        if head.fields.expectsContinue, head.minor == 1, input.isEmpty {
            output.append(contentsOf: Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
            flush()
        }
        return true
    }

    private func refuseBody() -> Bool {
        fail(status: 413, "the body is larger than \(server.limits.maxBody) bytes")
        return false
    }

    private func parseBody() -> Bool {
        if case .length = head.framing {
            let take = min(Int(remaining), input.count)
            body.append(contentsOf: input.prefix(take))
            input.removeFirst(take)
            remaining -= Int64(take)
            guard remaining == 0 else { return false }
            deliver()
            return true
        }
        var at = 0
        let step = input.withUnsafeBufferPointer { bytes in
            while true {
                let step = decoder.next(bytes.baseAddress!, bytes.count, &at)
                guard case .data(let start, let length) = step else { return step }
                body.append(contentsOf: bytes[start..<start + length])
                if body.count > server.limits.maxBody { return step }
            }
        }
        input.removeFirst(at)
        switch step {
        case .needsMore: return false
        case .data: return refuseBody()
        case .failed:
            fail(status: 400, "the chunked coding is broken")
            return false
        case .end:
            deliver()
            return true
        }
    }

    private func deliver() {
        phase = .handling
        server.note(self, waitsFor: nil)
        isStreaming = false
        handlingSince = server.loop.now
        if inputEnded, input.isEmpty { keepAlive = false }
        deadline = .max
        request.body = body
        body = []
        let taken = request
        request = HTTPRequest(method: "", path: "")
        let responder = HTTPResponder(loop: server.loop, connection: self)
        self.responder = responder
        server.handler(taken, responder)
    }
}

// MARK: Output

extension ServerConnection {
    /// Responds with an error and closes the connection, since the bytes that follow cannot be interpreted.
    private func fail(status: Int, _ message: String) {
        keepAlive = false
        let code = reasonPhrase(status).lowercased().replacing(" ", with: "_")
        let body = Self.errorBody(code: code, message: message)
        phase = .handling
        sendResponse(status: status, headers: [("Content-Type", "application/json")], body: body, linger: true)
    }

    static func errorBody(code: String, message: String) -> [UInt8] {
        Array(ResponseHeadText.errorBody(code: code, message: message).utf8)
    }

    private func appendHead(_ status: Int, _ headers: [(String, String)]) {
        var text = ResponseHeadText(status: status)
        text.add("Date", server.date.now())
        for (name, value) in headers { text.add(name, value) }
        text.add(!keepAlive ? .closes : head.minor == 0 ? .keptForOldClient : .kept)
        output.append(contentsOf: text.text.utf8)
    }

    func sendResponse(status: Int, headers: [(String, String)], body: [UInt8], linger: Bool = false) {
        guard phase == .handling else { return }
        if server.isDraining { keepAlive = false }
        appendHead(status, headers)
        let bodiless = status == 204 || status == 304
        output.append(contentsOf: (bodiless ? "\r\n" : "Content-Length: \(body.count)\r\n\r\n").utf8)
        if !isHead, !bodiless { output.append(contentsOf: body) }
        finish(linger: linger)
    }

    func startStream(status: Int, headers: [(String, String)]) {
        guard phase == .handling else { return }
        isStreaming = true
        isChunkedReply = head.minor == 1
        if !isChunkedReply || server.isDraining { keepAlive = false }
        appendHead(status, headers)
        output.append(contentsOf: (isChunkedReply ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n").utf8)
        flush()
    }

    func writeChunk(_ bytes: [UInt8]) {
        guard phase == .handling, !isHead else { return }
        if isChunkedReply {
            output.append(contentsOf: "\(String(bytes.count, radix: 16))\r\n".utf8)
            output.append(contentsOf: bytes)
            output.append(contentsOf: [13, 10])
        } else {
            output.append(contentsOf: bytes)
        }
        flush()
        if pendingBytes > server.limits.maxPendingWrite { close() }
    }

    func endStream() {
        guard phase == .handling else { return }
        if isChunkedReply, !isHead { output.append(contentsOf: "0\r\n\r\n".utf8) }
        finish(linger: false)
    }

    /// Ends a response.
    private func finish(linger: Bool) {
        responder = nil
        if keepAlive {
            phase = .head
            expect(within: server.limits.idle)
        } else {
            phase = .lingering
            closeWhenSent = true
        }
        flush()
        guard phase == .head else { return }
        if pendingBytes == 0 { watch([.readable, .peerClosed]) }
        if !input.isEmpty, pendingBytes < Self.maxAhead { parse() }
    }

    private func flush() {
        while sent < output.count {
            let status = output.withUnsafeBytes { ce_send(descriptor, $0.baseAddress! + sent, $0.count - sent, 0) }
            if status == -Int(EINTR) { continue }
            if status == -Int(EAGAIN) {
                expect(within: server.limits.writeTimeout)
                // No further request is read from a client that does not read its responses.
                return watch([.writable, .peerClosed])
            }
            guard status > 0 else { return close() }
            sent += status
        }
        output = []
        sent = 0
        if phase == .handling { deadline = .max }
        if closeWhenSent { return lingerThenClose() }
        if phase == .head, waiting == nil { server.note(self, waitsFor: .nextHead) }
        if interest.contains(.writable) {
            watch([.readable, .peerClosed])
            responder?.onDrained?()
            if phase == .head, !input.isEmpty { parse() }
        }
    }

    private func lingerThenClose() {
        guard closeWhenSent, descriptor >= 0 else { return }
        closeWhenSent = false
        // All input was read, so closing does not send a reset.
        if inputEnded { return close() }
        // Closing with unread input sends a reset, which may overtake the response.
        _ = ce_shutdown_write(descriptor)
        input = []
        watch([.readable, .peerClosed])
        expect(within: .seconds(1))
    }
}
