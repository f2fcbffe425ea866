/// Answers one request. May be kept and answered later, from the loop's thread (post to it). One that is let go without
/// an answer answers 500, so that no client hangs.
public final class HTTPResponder: @unchecked Sendable {
    /// The client left before the answer was complete. Called at most once, on the loop.
    public var onClose: (() -> Void)?
    /// All that was written has reached the kernel. For streams that make their own pace.
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

    /// Whether an answer can still be given.
    public var isOpen: Bool { connection != nil && state != .ended }

    /// Bytes that were written and not yet taken by the kernel.
    public var pendingBytes: Int { connection?.pendingBytes ?? 0 }

    /// The whole answer. Content-Length, Date and Connection are set by the server; Content-Type is the caller's.
    public func respond(status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
        loop.assertCurrent()
        guard state == .waiting else { return }
        state = .ended
        let connection = release()
        connection?.sendResponse(status: status, headers: headers, body: body)
    }

    /// Starts a streamed answer: chunked to HTTP/1.1, ended by closing to HTTP/1.0.
    public func startStream(status: Int, headers: [(String, String)] = []) {
        loop.assertCurrent()
        guard state == .waiting else { return }
        state = .streaming
        connection?.startStream(status: status, headers: headers)
    }

    /// One chunk, sent at once. Empty ones are nothing.
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

    /// Breaks a stream off: the client sees a cut, not an end.
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
