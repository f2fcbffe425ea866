/// Responds to one request. A handler may keep the responder and respond later, on the loop's thread (see
/// `EventLoop.post`). A responder that is released without a response sends a 500, so that no client waits forever.
public final class HTTPResponder: @unchecked Sendable {
    /// Called at most once, on the loop, if the client leaves before the response is complete.
    public var onClose: (() -> Void)?
    /// Called on the loop when all written bytes have been passed to the kernel. A stream can use it as backpressure.
    public var onDrained: (() -> Void)?

    /// The loop on which the response has to be given.
    public let loop: EventLoop
    private var connection: ServerConnection?
    private var state = State.waiting

    private enum State { case waiting, streaming, ended }

    init(loop: EventLoop, connection: ServerConnection) {
        self.loop = loop
        self.connection = connection
    }

    deinit {
        guard let connection, state != .ended else { return }
        let streaming = state == .streaming
        loop.post { connection.abandon(streaming: streaming) }
    }

    /// True if a response can still be sent or continued.
    public var isOpen: Bool { connection != nil && state != .ended }

    /// The number of bytes that were written and not yet passed to the kernel.
    public var pendingBytes: Int { connection?.pendingBytes ?? 0 }

    /// Sends a complete response. The server sets Content-Length, Date and Connection; the caller sets Content-Type.
    public func respond(status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
        loop.assertCurrent()
        guard state == .waiting else { return }
        state = .ended
        let connection = release()
        connection?.sendResponse(status: status, headers: headers, body: body)
    }

    /// Starts a streamed response: chunked for HTTP/1.1, ended by closing the connection for HTTP/1.0.
    public func startStream(status: Int, headers: [(String, String)] = []) {
        loop.assertCurrent()
        guard state == .waiting else { return }
        state = .streaming
        connection?.startStream(status: status, headers: headers)
    }

    /// Sends a chunk at once. An empty one is ignored.
    public func write(_ bytes: [UInt8]) {
        loop.assertCurrent()
        guard state == .streaming, !bytes.isEmpty else { return }
        connection?.writeChunk(bytes)
    }

    public func end() {
        loop.assertCurrent()
        guard state == .streaming else { return }
        state = .ended
        let connection = release()
        connection?.endStream()
    }

    /// Closes the connection within a stream, so that the client sees that the response is incomplete.
    public func abort() {
        loop.assertCurrent()
        guard state != .ended else { return }
        state = .ended
        let connection = release()
        connection?.close()
    }

    private func release() -> ServerConnection? {
        defer { connection = nil }
        return connection
    }

    func connectionClosed() {
        state = .ended
        connection = nil
        onDrained = nil
        let call = onClose
        onClose = nil
        call?()
    }
}
