import CLinuxEngine
import CProxyBench
import Glibc
import Statistics

/// A load of POST requests of 150 bytes over persistent connections, from one thread.
struct Load {
    let port: UInt16
    let connections: Int
    /// The name of a header that carries one of 1,000 keys; nil for none.
    let key: String?

    struct Result {
        var answered = 0
        var errors = 0
        /// The latency of each answered request in nanoseconds.
        var latencies: [Int64] = []

        /// Prints the numbers of answered requests and errors, and the median and the 99th percentile of latency in µs.
        func show() {
            let sorted = latencies.sorted()
            func quantile(_ q: Double) -> Int64 {
                sorted.isEmpty ? 0 : sorted[Int(q * Double(sorted.count - 1))] / 1000
            }
            print("\(answered)\t\(errors)\t\(quantile(0.5))\t\(quantile(0.99))")
        }
    }

    func open() throws -> LoadConnections { try LoadConnections(self) }
}

enum EventClock {
    static var now: Int64 { ce_monotonic() }
}

extension SplitMix64 {
    /// An exponential number, rounded.
    mutating func exponential(mean: Double) -> Int64 {
        Int64(-log((Double(next() >> 11) + 1) * 0x1p-53) * mean)
    }
}

/// The times at which requests were due for which no connection was free.
private struct Queue {
    private var times: [Int64] = []
    private var head = 0

    var first: Int64? { head < times.count ? times[head] : nil }
    var count: Int { times.count - head }
    mutating func append(_ time: Int64) { times.append(time) }
    mutating func removeFirst() {
        head += 1
        if head == times.count {
            times.removeAll(keepingCapacity: true)
            head = 0
        }
    }
}

struct LoadConnections {
    private struct Connection {
        var received: [UInt8] = []
        var due: Int64 = 0
    }

    var result = Load.Result()
    private(set) var busy = 0
    private var polled: [pollfd] = []
    private var connections: [Connection]
    private var idle: [Int]
    private let requests: [[UInt8]]
    private var sent = 0
    private var buffer = [UInt8](repeating: 0, count: 16 << 10)

    init(_ load: Load) throws {
        connections = Array(repeating: Connection(), count: load.connections)
        idle = Array(0..<load.connections)
        requests = (0..<(load.key == nil ? 1 : 1000)).map { i in
            let key = load.key.map { "\($0): user-\(4001 + i)\r\n" } ?? ""
            let body = String(repeating: "x", count: 150)
            return Array(
                ("POST /v2/models/m/infer HTTP/1.1\r\nHost: 127.0.0.1:\(load.port)\r\n\(key)"
                    + "Content-Type: application/json\r\nContent-Length: 150\r\n\r\n\(body)").utf8)
        }
        for _ in 0..<load.connections {
            polled.append(pollfd(fd: try connect(port: load.port), events: Int16(POLLIN), revents: 0))
        }
    }

    var hasIdle: Bool { !idle.isEmpty }

    mutating func send(due: Int64) {
        let i = idle.removeLast()
        let request = requests[sent % requests.count]
        sent += 1
        connections[i].due = due
        busy += 1
        // A few hundred bytes always fit into the socket's empty buffer.
        let n = request.withUnsafeBytes { ce_send(polled[i].fd, $0.baseAddress!, $0.count, 0) }
        if n != request.count { drop(i) }
    }

    mutating func wait(until moment: Int64) {
        guard cb_poll(&polled, Int32(polled.count), max(moment - EventClock.now, 0)) > 0 else { return }
        for i in polled.indices where polled[i].revents != 0 { read(i) }
    }

    private mutating func read(_ i: Int) {
        let n = ce_receive(polled[i].fd, &buffer, buffer.count)
        if n == -Int(EAGAIN) { return }
        guard n > 0, connections[i].due != 0 else { return drop(i) }
        connections[i].received += buffer[..<n]
        guard let length = responseLength(connections[i].received), connections[i].received.count >= length else {
            return
        }
        let now = EventClock.now
        if connections[i].received.dropFirst(9).starts(with: "200 ".utf8) {
            result.answered += 1
            result.latencies.append(now - connections[i].due)
        } else {
            result.errors += 1
        }
        connections[i].received.removeAll(keepingCapacity: true)
        free(i)
    }

    private mutating func free(_ i: Int) {
        connections[i].due = 0
        busy -= 1
        idle.append(i)
    }

    /// Removes a connection that was lost.
    private mutating func drop(_ i: Int) {
        close(polled[i].fd)
        polled[i].fd = -1
        result.errors += 1
        if connections[i].due != 0 { busy -= 1 } else { idle.removeAll { $0 == i } }
    }

    /// The length of a response by its Content-Length, which every peer passes on; nil while the head is incomplete.
    private func responseLength(_ bytes: [UInt8]) -> Int? {
        let length = bytes.withUnsafeBytes { cb_response_length($0.baseAddress!, $0.count) }
        return length > 0 ? length : nil
    }
}

extension LoadConnections {
    /// The time in nanoseconds after the last request was due at which unanswered requests become errors.
    private static let timeout: Int64 = 5_000_000_000

    /// Runs an open loop: requests are due at the times of a Poisson process, which are the same in each run, whether or
    /// not earlier ones were answered. A request waits if no connection is free. Its latency counts from the time at which
    /// it was due.
    mutating func run(rate: Double, seconds: Int) -> Load.Result {
        // By default, timers may be late by 50 µs.
        if let file = fopen("/proc/self/timerslack_ns", "w") {
            fputs("1", file)
            fclose(file)
        }
        result = Load.Result()
        var random = SplitMix64(seed: 20_261)
        var waiting = Queue()
        let begun = EventClock.now
        let end = begun + Int64(seconds) * 1_000_000_000
        var due = begun + random.exponential(mean: 1e9 / rate)
        while true {
            let now = EventClock.now
            while due <= now, due < end {
                waiting.append(due)
                due += random.exponential(mean: 1e9 / rate)
            }
            while let next = waiting.first, hasIdle {
                waiting.removeFirst()
                send(due: next)
            }
            if now >= end, waiting.first == nil, busy == 0 { break }
            if now >= end + Self.timeout {
                result.errors += busy + waiting.count
                break
            }
            wait(until: due < end ? due : end + Self.timeout)
        }
        return result
    }

    /// Runs a closed loop: each connection sends its next request when it has received the response to the last one.
    mutating func run(requests: Int) -> Load.Result {
        result = Load.Result()
        var left = requests
        while left > 0 && hasIdle || busy > 0 {
            while left > 0, hasIdle {
                send(due: EventClock.now)
                left -= 1
            }
            wait(until: EventClock.now + Self.timeout)
        }
        result.errors += left
        return result
    }
}

/// Connects to a port of this host; the connection is non-blocking once it is established.
func connect(port: UInt16) throws -> Int32 {
    var address = ce_address()
    guard ce_resolve("127.0.0.1", port, 0, &address, 1) == 1 else { fail("127.0.0.1 is no address") }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0, ce_connect(descriptor, &address) == 0 else { fail("port \(port) takes no connection") }
    _ = ce_set_no_delay(descriptor)
    _ = ce_set_nonblocking(descriptor)
    return descriptor
}
