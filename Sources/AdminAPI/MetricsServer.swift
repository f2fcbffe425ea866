import HTTPEngine
import PrometheusText

/// The server that Prometheus scrapes: `GET /metrics` over TCP, without a token, and nothing else. It runs on the
/// control thread.
public final class MetricsServer {
    private let loop: EventLoop
    private let render: () -> [UInt8]
    private var server: HTTPServer!
    /// The page that was rendered last, and the time in the loop's nanoseconds.
    private var page: (bytes: [UInt8], renderedAt: Int64)?

    /// - Parameter render: returns the page of metrics. It is called on the loop, and no more than once in
    ///   `AdminLimits.metricsPageLifetime`.
    public init(loop: EventLoop, render: @escaping () -> [UInt8]) {
        self.loop = loop
        self.render = render
        server = HTTPServer(loop: loop, limits: AdminLimits.metricsServer) { [weak self] request, responder in
            self?.handle(request, responder)
        }
    }

    /// Opens the listener. Call it on the loop.
    /// - Throws: `ListenError`.
    @discardableResult
    public func listen(_ address: SocketAddress) throws -> SocketAddress { try server.listen(address) }

    /// The number of connections that were closed to make room for new ones, since the start. Call it on the loop.
    public var displacedConnectionCount: UInt64 { server.displacedConnectionCount }

    /// Closes the listener, waits for the open requests, then calls `then` on the loop.
    public func drain(grace: Duration, then: @escaping () -> Void) { server.drain(grace: grace, then: then) }

    private func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
        guard request.path == "/metrics" else {
            return refuse(
                responder, 404,
                "there is no \(printable(request.path)) here: this address serves GET /metrics, and no API")
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            return refuse(
                responder, 405, "/metrics takes GET and HEAD, not \(printable(request.method))",
                headers: [("Allow", "GET, HEAD")])
        }
        responder.respond(status: 200, headers: [("Content-Type", ExpositionWriter.contentType)], body: currentPage())
    }

    private func refuse(
        _ responder: HTTPResponder, _ status: Int, _ sentence: String, headers: [(String, String)] = []
    ) {
        let type = ("Content-Type", "text/plain; charset=utf-8")
        responder.respond(status: status, headers: [type] + headers, body: Array("\(sentence)\n".utf8))
    }

    private func currentPage() -> [UInt8] {
        let lifetime = AdminLimits.metricsPageLifetime
        if let page, Duration.nanoseconds(loop.now - page.renderedAt) < lifetime { return page.bytes }
        let bytes = render()
        page = (bytes, loop.now)
        return bytes
    }
}
