import HTTPEngine
import Synchronization

/// A model server whose behavior a test sets.
final class Upstream: Sendable {
    struct Behavior: Sendable {
        var status = 200
        /// Each `every`-th request gets `status`, the others get 200.
        var every = 1
        var delay: Duration = .zero
        /// The body of the response to GET /metrics.
        var metrics = ""
        /// True if responses are held back until `release` is called.
        var holds = false
    }

    let port: UInt16
    private let loop: EventLoop
    private let server: HTTPServer
    private let core: Core

    /// The state of the server. Only the loop uses it, except for the values behind a mutex.
    private final class Core: @unchecked Sendable {
        let behavior: Mutex<Behavior>
        let hits = Mutex(0)
        var held: [(Int, HTTPResponder)] = []
        init(_ behavior: Behavior) { self.behavior = Mutex(behavior) }
    }

    init(_ behavior: Behavior = Behavior()) throws {
        let core = Core(behavior)
        let loop = try EventLoop(name: "upstream")
        server = HTTPServer(loop: loop) { request, responder in
            let behavior = core.behavior.withLock { $0 }
            if request.path == "/metrics" {
                let type = [("Content-Type", "text/plain; version=0.0.4")]
                return responder.respond(status: 200, headers: type, body: Array(behavior.metrics.utf8))
            }
            let hit = core.hits.withLock { hits -> Int in
                hits += 1
                return hits
            }
            let status = hit % behavior.every == 0 ? behavior.status : 200
            if behavior.holds {
                core.held.append((status, responder))
            } else if behavior.delay > .zero {
                loop.schedule(after: behavior.delay) { responder.respond(status: status, body: Array("ok".utf8)) }
            } else {
                responder.respond(status: status, body: Array("ok".utf8))
            }
        }
        guard case .tcp(_, let port) = try server.listen(.tcp(host: "127.0.0.1", port: 0)) else {
            throw HarnessError("not bound")
        }
        self.port = port
        self.loop = loop
        self.core = core
        loop.start()
    }

    deinit {
        core.behavior.withLock { $0.holds = false }
        loop.stop()
        if !loop.isCurrent { loop.join() }
        core.held = []
        server.close()
    }

    /// The number of requests received, without scrapes.
    var hits: Int { core.hits.withLock { $0 } }

    func behave(_ change: (inout Behavior) -> Void) { core.behavior.withLock { change(&$0) } }

    /// Sends all responses that are held back.
    func release() {
        let core = core
        loop.post {
            for (status, responder) in core.held { responder.respond(status: status, body: Array("ok".utf8)) }
            core.held = []
        }
    }
}
