import CLinuxEngine
import Glibc
import HTTPEngine
import TestSupport
import Testing

@testable import TrafficProxy

/// The pool over real sockets, on a loop that does not run: what it would be told is done by hand.
@Suite(.timeLimit(.minutes(15))) struct UpstreamPoolTests {
    private final class Fixture {
        let loop: EventLoop
        let buffers = BufferPool()
        let pool: UpstreamPool
        let server = UnsafeMutablePointer<Server>.allocate(capacity: 1)
        private let listener: Int32
        private var accepted: [Int32] = []
        static let user = ArmKey(slot: 3, arm: .candidate)

        init(_ limits: ProxyLimits = ProxyLimits()) throws {
            loop = try EventLoop(name: "pool-test")
            pool = UpstreamPool(loop, buffers, limits)
            server.initialize(to: Server())
            server.pointee.tables = 1
            #expect(ce_resolve_literal("127.0.0.1", 0, &server.pointee.address) == 1)
            listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            #expect(ce_bind(listener, &server.pointee.address) == 0)
            #expect(listen(listener, 16) == 0)
            #expect(ce_local_address(listener, &server.pointee.address) == 0)
        }

        deinit {
            for fd in accepted + [listener] { close(fd) }
            server.deallocate()
            buffers.deallocate()
        }

        func lend() throws -> Upstream {
            let opened: Upstream? =
                switch pool.open(server) {
                case .connected(let u), .connecting(let u): u
                case .refused, .exhausted: nil
                }
            let u = try #require(opened)
            accepted.append(accept(listener, nil, nil))
            u.phase = .busy
            pool.lend(u, to: Self.user)
            return u
        }

        func serverSends(_ text: String) {
            _ = text.withCString { send(accepted[accepted.count - 1], $0, strlen($0), 0) }
        }
    }

    @Test("the connection used last comes first, and is as new for its next request")
    func reuse() throws {
        let f = try Fixture()
        let (a, b) = (try f.lend(), try f.lend())
        #expect(f.server.pointee.outstanding == 2)
        a.pointee.received = 9
        f.pool.release(a, reuse: true, idleTimeout: 1_000)
        f.pool.release(b, reuse: true, idleTimeout: 1_000)
        #expect(f.server.pointee.idleCount == 2 && f.server.pointee.outstanding == 0)
        #expect(f.pool.takeIdle(f.server) == b)
        let again = try #require(f.pool.takeIdle(f.server))
        #expect(again == a && again.pointee.isReused)
        f.pool.lend(again, to: Fixture.user)
        #expect(again.pointee.received == 0)
        #expect(f.pool.takeIdle(f.server) == nil && f.server.pointee.idleCount == 0)
    }

    @Test("a connection on which something came while it was idle is closed")
    func surplus() throws {
        let f = try Fixture()
        let u = try f.lend()
        f.pool.release(u, reuse: true, idleTimeout: 1_000)
        f.serverSends("HTTP/1.1 200 OK\r\n\r\n")
        eventually { !u.transport.isQuiet }
        #expect(f.pool.takeIdle(f.server) == nil)
        #expect(f.pool.count == 0 && f.server.pointee.idleCount == 0)
    }

    @Test("what is not at a clean end, moved, unwanted or draining is not kept")
    func unclean() throws {
        let f = try Fixture()
        f.pool.release(try f.lend(), reuse: false, idleTimeout: 1_000)
        let spoke = try f.lend()
        spoke.pointee.isReusable = false
        f.pool.release(spoke, reuse: true, idleTimeout: 1_000)
        let moved = try f.lend()
        f.server.pointee.addressVersion += 1
        f.pool.release(moved, reuse: true, idleTimeout: 1_000)
        let surplus = try f.lend()
        f.buffers.supply(&surplus.input, for: nil)
        surplus.input.append("x")
        f.pool.release(surplus, reuse: true, idleTimeout: 1_000)
        #expect(f.buffers.inUse == 0)
        f.pool.isDraining = true
        f.pool.release(try f.lend(), reuse: true, idleTimeout: 1_000)
        f.pool.isDraining = false
        f.server.pointee.tables = 0
        f.pool.release(try f.lend(), reuse: true, idleTimeout: 1_000)
        #expect(f.pool.count == 0 && f.server.pointee.outstanding == 0)
    }

    @Test("idle connections end with their time, the others with the next")
    func expiry() throws {
        let f = try Fixture()
        let (a, b, busy) = (try f.lend(), try f.lend(), try f.lend())
        f.pool.release(a, reuse: true, idleTimeout: 1_000)
        f.pool.release(b, reuse: true, idleTimeout: 5_000)
        #expect(f.pool.nextDeadline == f.loop.now + 1_000)
        f.pool.expire(now: f.loop.now + 999)
        #expect(f.pool.count == 3)
        f.pool.expire(now: f.loop.now + 1_000)
        #expect(f.pool.count == 2 && f.pool.nextDeadline == f.loop.now + 5_000)
        f.pool.expire(now: f.loop.now + 5_000)
        #expect(f.pool.count == 1 && f.pool.nextDeadline == .max && busy.isOpen)
    }

    @Test("a pool that is full gives up an idle connection for a new one, and is exceeded where none is idle")
    func full() throws {
        var limits = ProxyLimits()
        limits.maxUpstreams = 2
        let f = try Fixture(limits)
        f.pool.release(try f.lend(), reuse: true, idleTimeout: 1_000)
        _ = try f.lend()
        #expect(f.pool.isFull)
        _ = try f.lend()
        #expect(f.pool.count == 2 && f.server.pointee.idleCount == 0)
        _ = try f.lend()
        #expect(f.pool.count == 3)
    }
}
