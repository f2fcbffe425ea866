import HTTPEngine
import Synchronization

/// A model server that does what it is told.
final class Upstream: Sendable {
    struct Behaviour: Sendable {
        var status = 200
        /// Every so many requests are answered with `status`, the others with 200.
        var every = 1
        var delay: Duration = .zero
        /// What GET /metrics answers.
        var metrics = ""
        /// Answers come only when `release` says so.
        var holds = false
    }

    let port: UInt16
    private let loop: EventLoop
    private let server: HTTPServer
    private let core: Core

    /// Of the loop, but for what the mutexes guard.
    private final class Core: @unchecked Sendable {
        let behaviour: Mutex<Behaviour>
        let hits = Mutex(0)
        var held: [(Int, HTTPResponder)] = []
        init(_ behaviour: Behaviour) { self.behaviour = Mutex(behaviour) }
    }

    init(_ behaviour: Behaviour = Behaviour()) throws {
        let core = Core(behaviour)
        let loop = try EventLoop(name: "upstream")
        server = HTTPServer(loop: loop) { request, responder in
            let told = core.behaviour.withLock { $0 }
            if request.path == "/metrics" {
                let type = [("Content-Type", "text/plain; version=0.0.4")]
                return responder.respond(status: 200, headers: type, body: Array(told.metrics.utf8))
            }
            let hit = core.hits.withLock { hits -> Int in
                hits += 1
                return hits
            }
            let status = hit % told.every == 0 ? told.status : 200
            if told.holds {
                core.held.append((status, responder))
            } else if told.delay > .zero {
                loop.schedule(after: told.delay) { responder.respond(status: status, body: Array("ok".utf8)) }
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
        core.behaviour.withLock { $0.holds = false }
        loop.stop()
        if !loop.isCurrent { loop.join() }
        core.held = []
        server.close()
    }

    /// Requests that came, scrapes left out.
    var hits: Int { core.hits.withLock { $0 } }

    func behave(_ change: (inout Behaviour) -> Void) { core.behaviour.withLock { change(&$0) } }

    /// Answers all that is held.
    func release() {
        let core = core
        loop.post {
            for (status, responder) in core.held { responder.respond(status: status, body: Array("ok".utf8)) }
            core.held = []
        }
    }
}
