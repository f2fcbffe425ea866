import CLinuxEngine
import CProxyBench
import Glibc
import HTTPEngine

/// Serves event streams: each GET gets `rate` server-sent events per second, each with the time at which it was written.
/// The streams are offset against each other by whole milliseconds.
func serveEvents(ports: [UInt16], rate: Int) throws -> Never {
    let loop = try EventLoop(name: "events")
    loop.start()
    try loop.sync {
        let source = EventSourceServer(loop: loop, period: max(1000 / rate, 1))
        try source.listen(ports)
    }
    while true { pause() }
}

private final class EventSourceServer: @unchecked Sendable {
    private let loop: EventLoop
    /// The time between two events of a stream in milliseconds.
    private let period: Int
    /// The streams by the millisecond of the period in which they get their events.
    private var streams: [[HTTPResponder]]
    private var opened = 0
    private var server: HTTPServer!
    private let begun = EventClock.now
    /// The number of milliseconds for which events were written.
    private var ticks = 0

    init(loop: EventLoop, period: Int) {
        self.loop = loop
        self.period = period
        streams = Array(repeating: [], count: period)
        server = HTTPServer(loop: loop) { [unowned self] request, responder in
            responder.startStream(status: 200, headers: [("Content-Type", "text/event-stream")])
            streams[opened % period].append(responder)
            opened += 1
        }
    }

    func listen(_ ports: [UInt16]) throws {
        for port in ports { try server.listen(.tcp(host: "127.0.0.1", port: port)) }
        tick()
    }

    private func tick() {
        let now = EventClock.now
        while begun + Int64(ticks) * 1_000_000 <= now {
            let phase = ticks % period
            ticks += 1
            streams[phase].removeAll { !$0.isOpen }
            let event = Array(
                "event: token\ndata: {\"at\":\(now),\"text\":\" a token or so of a long reply\"}\n\n".utf8)
            for stream in streams[phase] { stream.write(event) }
        }
        loop.schedule(after: .milliseconds(1)) { self.tick() }
    }
}

/// Reads streams and prints the numbers of events and of broken streams, and the median and the 99th percentile of the
/// delay in µs.
func readStreams(port: UInt16, count: Int, seconds: Int) throws {
    let request = Array("GET /events HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nAccept: text/event-stream\r\n\r\n".utf8)
    var polled: [pollfd] = []
    for _ in 0..<count {
        let descriptor = try connect(port: port)
        _ = request.withUnsafeBytes { ce_send(descriptor, $0.baseAddress!, $0.count, 0) }
        polled.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
    }
    let mark = Array("\"at\":".utf8)
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    var result = Load.Result()
    let end = EventClock.now + Int64(seconds) * 1_000_000_000
    while EventClock.now < end {
        guard poll(&polled, UInt(polled.count), 100) > 0 else { continue }
        for i in polled.indices where polled[i].revents != 0 {
            let n = ce_receive(polled[i].fd, &buffer, buffer.count)
            if n == -Int(EAGAIN) { continue }
            guard n > 0 else {
                result.errors += 1
                polled[i].fd = -1
                continue
            }
            let now = EventClock.now
            // Small writes arrive whole. An event that did not would be missed, which shows in the count.
            buffer.withUnsafeBytes { bytes in
                var at = bytes.baseAddress!
                let last = at + n
                while let found = cb_find(at, last - at, mark, mark.count) {
                    at = UnsafeRawPointer(found) + mark.count
                    var moment: Int64 = 0
                    while at < last, case let digit = at.load(as: UInt8.self) &- 48, digit < 10 {
                        moment = moment * 10 + Int64(digit)
                        at += 1
                    }
                    result.answered += 1
                    result.latencies.append(now - moment)
                }
            }
        }
    }
    result.show()
}
