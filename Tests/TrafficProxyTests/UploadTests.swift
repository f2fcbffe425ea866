import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

/// Every way of a request to the server that takes it, with every size, framing and pace of its body.
@Suite("Uploads", .timeLimit(.minutes(15)))
struct UploadTests {
    /// What happens before a server takes the request.
    enum Way: String, CaseIterable, CustomTestStringConvertible {
        case direct
        case refusedThenReused, refusedThenNew
        case timedOutThenReused, timedOutThenNew
        /// The kept-alive connection ends without a response.
        case staleThenNew
        case candidateRefuses, candidateTimesOut
        /// The candidate responds with 500 to the head, or to the whole request.
        case candidateFailsEarly, candidateFailsLate
        case mirrored

        var testDescription: String { rawValue }
    }

    struct Upload {
        var size: Int
        var isChunked: Bool
        /// The rest is sent only when a server has read the head.
        var isSlow: Bool
    }

    static let sizes = [0, 1, 60 << 10, 64 << 10, 65 << 10, 1 << 20, 16 << 20]
    /// Smaller bodies are kept until the response starts, so that they can be sent again.
    static let keptSize = 60 << 10

    @Test("every body arrives whole, whatever befell the request on its way", arguments: Way.allCases, [false, true])
    func whole(way: Way, isChunked: Bool) throws {
        for size in Self.sizes {
            for isSlow in [false, true] {
                let upload = Upload(size: size, isChunked: isChunked, isSlow: isSlow)
                let course = try Course(way)
                if course.warmUps > 0 {
                    let response = course.send(Upload(size: 4, isChunked: false, isSlow: false))
                    #expect(response.status == 200)
                }
                let response = course.send(upload)
                let seen = course.fixture.observations(course.warmUps + 1)
                let last = try #require(seen.last)
                let comment: Comment = "\(upload): \(response.status) \(last.outcome) \(response.text)"
                #expect(response.isComplete, comment)
                if response.status == 200 {
                    #expect(response.text == "\(size) bytes, all as sent", comment)
                } else {
                    #expect(!course.mustArrive(upload), comment)
                }
                #expect(course.expectedOutcomes(response.status).contains(last.outcome), comment)
                #expect(last.flags.contains(.rescued) == (course.isRescued && response.status == 200), comment)
            }
        }
    }

    /// A proxy and its servers, such that the next request takes a certain way.
    final class Course {
        let way: Way
        let fixture: ProxyFixture
        let heads = Counter()
        private let servers: [ScriptedUpstream]
        private let full: FullBacklog?

        /// Requests that are sent before the one that counts, so that a kept-alive connection rests.
        var warmUps: Int {
            switch way {
            case .refusedThenReused, .timedOutThenReused, .staleThenNew, .candidateRefuses, .candidateTimesOut: 1
            case .direct, .refusedThenNew, .timedOutThenNew, .candidateFailsEarly, .candidateFailsLate, .mirrored: 0
            }
        }

        var isRescued: Bool {
            switch way {
            case .candidateRefuses, .candidateTimesOut, .candidateFailsEarly, .candidateFailsLate: true
            default: false
            }
        }

        init(_ way: Way) throws {
            self.way = way
            let heads = heads
            let live = ScriptedUpstream { peer, number in
                while let seen = UploadReader(peer).read({ heads.add() }) {
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(seen.utf8.count)\r\n\r\n\(seen)")
                    if way == .staleThenNew, number == 0 {
                        // Takes a second head and ends.
                        _ = peer.receive(until: "\r\n\r\n")
                        heads.add()
                        return peer.close()
                    }
                }
            }
            var servers = [live]
            var full: FullBacklog?
            let late = Timeouts(connect: .milliseconds(100))
            let judged = JudgedRequests(paths: ["/"])
            var limits = ProxyLimits()
            limits.bodyGrace = .seconds(10)
            func fixture(
                _ baseline: [UInt16], candidate: UInt16? = nil, timeouts: Timeouts = Timeouts(), mirror: Mirror? = nil
            ) throws -> ProxyFixture {
                try ProxyFixture(
                    baseline: baseline, candidate: candidate.map { [$0] }, weight: mirror == nil ? 10_000 : 0,
                    traffic: TrafficRules(mirror: mirror, rescue: Rescue(), timeouts: timeouts), judged: judged,
                    limits: limits)
            }
            // The first request goes to the second server.
            switch way {
            case .direct, .staleThenNew: self.fixture = try fixture([live.port])
            case .refusedThenReused: self.fixture = try fixture([deadPort(), live.port])
            case .refusedThenNew: self.fixture = try fixture([live.port, deadPort()])
            case .timedOutThenReused, .timedOutThenNew, .candidateTimesOut:
                let backlog = FullBacklog()
                full = backlog
                self.fixture =
                    switch way {
                    case .timedOutThenReused: try fixture([backlog.port, live.port], timeouts: late)
                    case .timedOutThenNew: try fixture([live.port, backlog.port], timeouts: late)
                    default: try fixture([live.port], candidate: backlog.port, timeouts: late)
                    }
            case .candidateRefuses: self.fixture = try fixture([live.port], candidate: deadPort())
            case .candidateFailsEarly, .candidateFailsLate:
                let failing = ScriptedUpstream { peer, _ in
                    if way == .candidateFailsLate {
                        guard UploadReader(peer).read({ heads.add() }) != nil else { return }
                    } else {
                        _ = peer.receive(until: "\r\n\r\n")
                        heads.add()
                    }
                    peer.send("HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nbad")
                    // Closing with bytes unread would be a reset.
                    peer.finishWriting()
                    while peer.receive() != nil {}
                }
                servers.append(failing)
                self.fixture = try fixture([live.port], candidate: failing.port)
            case .mirrored:
                let shadow = ScriptedUpstream { peer, _ in
                    while let seen = UploadReader(peer).read({}) {
                        peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(seen.utf8.count)\r\n\r\n\(seen)")
                    }
                }
                servers.append(shadow)
                self.fixture = try fixture(
                    [live.port], candidate: shadow.port, mirror: Mirror(share: Weight(clamping: 10_000)))
            }
            self.servers = servers
            self.full = full
        }

        /// True if only a 200 is right: the body cannot have reached a server that failed, or it was kept.
        func mustArrive(_ upload: Upload) -> Bool {
            switch way {
            case .direct, .refusedThenReused, .refusedThenNew, .timedOutThenReused, .timedOutThenNew, .candidateRefuses,
                .candidateTimesOut, .mirrored:
                true
            case .candidateFailsEarly, .candidateFailsLate: upload.size <= UploadTests.keptSize
            case .staleThenNew: upload.size <= 1 || upload.size <= UploadTests.keptSize && !upload.isChunked
            }
        }

        func expectedOutcomes(_ status: Int) -> [Outcome] {
            switch way {
            case .candidateRefuses, .candidateTimesOut: [.connectFailure]
            case .candidateFailsEarly, .candidateFailsLate: [.serverError]
            default: [status == 200 ? .success : .connectFailure]
            }
        }

        func send(_ upload: Upload) -> RawResponse {
            let client = fixture.client()
            let before = heads.value
            let heads = heads
            spawn {
                let framing = upload.isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(upload.size)"
                client.send("PUT / HTTP/1.1\r\nHost: x\r\n\(framing)\r\n\r\n")
                var sent = 0
                var isHeldBack = upload.isSlow
                while sent < upload.size {
                    let limit = isHeldBack ? min(upload.size * 2 / 3, 200_000) : 300_000
                    let count = min(limit, upload.size - sent)
                    let piece = Array(Pattern.bytes[sent % Pattern.period..<sent % Pattern.period + count])
                    if upload.isChunked, count > 0 { client.send("\(String(count, radix: 16))\r\n") }
                    guard client.send(piece) else { return }
                    if upload.isChunked, count > 0 { client.send("\r\n") }
                    sent += count
                    if isHeldBack { heads.wait(beyond: before) }
                    isHeldBack = false
                }
                if upload.isChunked { client.send("0\r\n\r\n") }
            }
            return client.receiveResponse()
        }
    }

    final class Counter: Sendable {
        private let count = Atomic<Int>(0)

        var value: Int { count.load(ordering: .relaxed) }

        func add() { count.add(1, ordering: .relaxed) }

        /// Waits until the value is beyond an earlier one.
        func wait(beyond before: Int) {
            eventually("more than \(before); it is \(value)") { value > before }
        }
    }
}

@Suite("Slow sides of an upload", .timeLimit(.minutes(15)))
struct SlowSideTests {
    @Test("a client's time for its body stands still while no server takes it, and ends at a time whatever came")
    func clock() {
        var clock = BodyClock()
        func deadline(_ bytes: Int64) -> Int64 { clock.deadline(bytes: bytes, rate: 10, grace: 5) }
        let second: Int64 = 1_000_000_000
        // The request waits for a connection from 100 on, and has one at 130.
        clock.pause(at: 100)
        clock.pause(at: 110)
        clock.resume(at: 130)
        clock.resume(at: 140)
        #expect(deadline(0) == 135)
        #expect(deadline(29) == 135 + 2 * second)
        // The server takes nothing for 1000.
        clock.pause(at: 200)
        clock.resume(at: 1200)
        #expect(deadline(29) == 1135 + 2 * second)
        #expect(deadline(.max) == .max)
        #expect(clock.deadline(bytes: .max, rate: 0, grace: .max) == .max)
        #expect(clock.deadline(bytes: 0, rate: 1, grace: .max) == .max)
    }

    @Test("a server that responds while it reads is not cut off where its client reads the response late")
    func bothWays() throws {
        // More than all buffers of one direction hold.
        let size = 32 << 20
        let responded = Atomic<Int>(0)
        let mayRead = Atomic<Bool>(false)
        let upstream = ScriptedUpstream { peer, _ in
            peer.limitBuffer()
            _ = peer.receive(until: "\r\n\r\n")
            spawn {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                let block = [UInt8](repeating: 0x61, count: 1 << 16)
                while responded.load(ordering: .relaxed) < size, peer.send(block) {
                    responded.add(block.count, ordering: .relaxed)
                }
            }
            while !mayRead.load(ordering: .acquiring) { usleep(500) }
            var rest = size
            while rest > 0, let bytes = peer.receive() { rest -= bytes.count }
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.limitBuffer()
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(size)\r\n\r\n")
        // Neither side reads until both directions are full: then the proxy waits to write to the server and has no
        // room for what it could read from it. When the server reads on, it becomes writable, and must still not be
        // read.
        let body = [UInt8](repeating: 0x62, count: size)
        let uploaded = client.sendUntilFull(body) { responded.load(ordering: .relaxed) }
        mayRead.store(true, ordering: .releasing)
        #expect(uploaded < size && responded.load(ordering: .relaxed) < size)
        // The client reads the response only after it has sent everything.
        let isSent = client.send(Array(body.dropFirst(uploaded)))
        #expect(isSent)
        let response = client.receiveResponse()
        #expect(response.isComplete && response.body.count == size)
        #expect(fixture.observations(1)[0].outcome == .success)
    }

    @Test("a client that does not read is ended by the agent, and that is how it is logged")
    func unread() throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            let block = [UInt8](repeating: 0x61, count: 1 << 16)
            while peer.send(block) {}
        }
        var limits = ProxyLimits()
        limits.writeTimeout = .milliseconds(100)
        let fixture = try ProxyFixture(baseline: [upstream.port], limits: limits)
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(fixture.observations(1)[0].outcome == .clientTimeout)
        withExtendedLifetime(client) {}
    }

    @Test("a client whose body stops after the response began is ended by the agent as well")
    func stopsAfterResponse() throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            while peer.receive() != nil {}
        }
        var limits = ProxyLimits()
        limits.bodyGrace = .milliseconds(100)
        let fixture = try ProxyFixture(baseline: [upstream.port], limits: limits)
        let response = fixture.exchange("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        #expect(response.status == 200 && !response.isComplete)
        #expect(fixture.observations(1)[0].outcome == .clientTimeout)
    }

    @Test("what is still open at the end of the agent is no client that left")
    func stopped() throws {
        let upstream = ScriptedUpstream { peer, _ in while peer.receive() != nil {} }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually { !fixture.proxy.drain().open.isEmpty }
        #expect(fixture.proxy.shutdown(grace: .zero).ended.map(\.outcome) == [.open])
    }
}

extension RawClient {
    /// Lets the kernel keep little of what was not read.
    fileprivate func limitBuffer() {
        var size: Int32 = 16 << 10
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }
}

/// The bytes of all uploads. The period is a prime, so that a piece that is lost, doubled or moved shows.
enum Pattern {
    static let period = 65_521
    /// Enough for any piece, wherever in the period it starts.
    static let bytes = (0..<period + (1 << 20)).map { index in
        let at = index % period
        return UInt8(truncatingIfNeeded: at * 31 + (at >> 8))
    }
}

/// Reads an upload as it comes, by length or in chunks, and compares every byte.
final class UploadReader {
    private let peer: RawClient
    private var count = 0
    private var isSame = true

    init(_ peer: RawClient) { self.peer = peer }

    /// Reads one request; nil if the connection ended before its head was complete.
    func read(_ headCame: () -> Void) -> String? {
        let head = RawResponse(head: peer.receive(until: "\r\n\r\n"))
        guard !head.head.isEmpty else { return nil }
        headCame()
        if let length = head["content-length"].flatMap({ Int($0) }) {
            guard take(length) else { return nil }
        } else {
            while true {
                guard let size = Int(peer.receive(until: "\r\n").dropLast(), radix: 16) else { return nil }
                guard take(size), peer.receive(until: "\r\n") == "\r\n" else { return nil }
                if size == 0 { break }
            }
        }
        return "\(count) bytes, \(isSame ? "all as sent" : "not as sent")"
    }

    private func take(_ size: Int) -> Bool {
        var rest = size
        while rest > 0 {
            let bytes = peer.receive(exactly: min(rest, 1 << 16))
            guard !bytes.isEmpty else { return false }
            let start = count % Pattern.period
            isSame =
                isSame
                && bytes.withUnsafeBytes { bytes in
                    Pattern.bytes.withUnsafeBytes {
                        memcmp(bytes.baseAddress!, $0.baseAddress! + start, bytes.count) == 0
                    }
                }
            count += bytes.count
            rest -= bytes.count
        }
        return true
    }
}

extension RawClient {
    /// Sends until nothing more is taken, and until the other direction stands still as well.
    /// - Parameter other: how far that is.
    /// - Returns: the bytes that were sent.
    fileprivate func sendUntilFull(_ bytes: [UInt8], other: () -> Int) -> Int {
        var sent = 0
        var idleTurns = 0
        var last = other()
        while sent < bytes.count, idleTurns < 200 {
            let n = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress! + sent, bytes.count - sent,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            let now = other()
            idleTurns = n > 0 || now != last ? 0 : idleTurns + 1
            last = now
            if n > 0 { sent += n } else { usleep(1_000) }
        }
        return sent
    }
}
