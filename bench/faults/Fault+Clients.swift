import CLinuxEngine
import Glibc
import HTTPEngine
import Synchronization

/// A connection that sends one byte per second, or nothing.
private final class Drip: Wire {
    private let first: [UInt8]
    private let byte: UInt8?
    private var startedAt: Int64 = 0
    private(set) var isReset = false
    private(set) var answer: [UInt8] = []
    /// The time in seconds from the first byte to the end; nil while the connection is open.
    private(set) var closedAfter: Double?

    init(_ lane: Lane, port: UInt16, source: UInt8, first: String, byte: UInt8?) throws {
        self.first = Array(first.utf8)
        self.byte = byte
        try super.init(lane, port: port, source: source)
    }

    override func opened() {
        startedAt = now()
        write(first)
        guard let byte else { return }
        lane.every(.seconds(1)) { [self] in
            write([byte])
            return isOpen
        }
    }

    override func received(_ bytes: UnsafeBufferPointer<UInt8>) { if answer.count < 200 { answer += bytes } }
    override func closed(reset: Bool) {
        isReset = reset
        closedAfter = Double(now() - startedAt) / 1e9
    }
}

/// The connections of one attack. They are used on their lane only.
private final class Attack: @unchecked Sendable {
    var idle: [Drip] = []
    var heads: [Drip] = []
    var bodies: [Drip] = []

    func open(_ lane: Lane, _ port: UInt16, _ settings: Settings) throws {
        // The connections are not opened all at once: the attack is to hold connections, not to open many of them.
        for _ in 0..<100 {
            try lane.run { [self] in
                for _ in 0..<settings.count(50) {
                    idle.append(
                        try Drip(lane, port: port, source: 2, first: "GET / HTTP/1.1\r\nHost: bench\r\n\r\n", byte: nil)
                    )
                }
                for _ in 0..<settings.count(5) {
                    heads.append(
                        try Drip(lane, port: port, source: 3, first: "GET / HTTP/1.1\r\nHost: bench\r\nA: ", byte: 0x61)
                    )
                    let head = "POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: 1000000\r\n\r\n"
                    bodies.append(try Drip(lane, port: port, source: 4, first: head, byte: 0x61))
                }
            }
            usleep(20_000)
        }
    }
}

extension Fault {
    static let slowloris = Fault(number: 5, name: "slowloris", attempts: 3) { settings in
        let origin = try Origin(try Lane("origin"))
        let agent = try Agent(settings, baseline: origin.port)
        let load = SteadyLoad(try Lane("load"), port: agent.port, rate: 500)
        let lane = try Lane("attack")
        pause(.seconds(2))
        _ = load.takeSamples()
        var with: [SteadyLoad.Sample] = []
        var without: [SteadyLoad.Sample] = []
        var figures = Figures()
        var headTimes: [Double] = []
        var bodyTimes: [Double] = []
        var lostIdle = 0
        var count = (0, 0, 0)
        for _ in 0..<2 {
            pause(.seconds(16))
            without += load.takeSamples()
            let attack = Attack()
            try attack.open(lane, agent.port, settings)
            let isOver = wait(.seconds(60)) {
                (try? lane.run { (attack.heads + attack.bodies).allSatisfy { $0.closedAfter != nil } }) ?? false
            }
            with += load.takeSamples()
            figures.demand(isOver, "every drip closed")
            let found = try lane.run {
                let times = (attack.heads.compactMap(\.closedAfter), attack.bodies.compactMap(\.closedAfter))
                let lost = attack.idle.count { !$0.isOpen || !$0.answer.starts(with: "HTTP/1.1 200".utf8) }
                let size = (attack.idle.count, attack.heads.count, attack.bodies.count)
                for wire in attack.idle + attack.heads + attack.bodies { wire.close() }
                return (times, lost, size)
            }
            headTimes += found.0.0
            bodyTimes += found.0.1
            lostIdle += found.1
            count = found.2
        }
        pause(.seconds(10))
        without += load.takeSamples()
        let rest = load.end()
        let ratio = with.quantile(0.99) / without.quantile(0.99)
        let failed = (with + without + rest).failed
        figures.note("\(count.0) idle, \(count.1) heads and \(count.2) bodies dripping, twice")
        figures.note(
            "others' p99 \(with.quantile(0.99).digits(2)) ms, without \(without.quantile(0.99).digits(2)) ms, "
                + "ratio \(ratio.digits(2)), \(failed) failed")
        figures.note("heads closed after \(span(headTimes)) s, bodies after \(span(bodyTimes)) s")
        figures.note("\(lostIdle) idle ones lost")
        figures.demand(ratio <= 2, "p99 at most twice")
        figures.demand(failed == 0, "0 failed")
        figures.demand(headTimes.allSatisfy { (14.9...16.5).contains($0) }, "heads closed at 15 s")
        figures.demand(bodyTimes.allSatisfy { (29.9...31.5).contains($0) }, "bodies closed at 30 s")
        figures.demand(lostIdle == 0, "idle connections stay")
        return figures
    }

    private static func span(_ times: [Double]) -> String {
        "\((times.min() ?? 0).digits(1)) to \((times.max() ?? 0).digits(1))"
    }

    static let newConnections = Fault(number: 8, name: "new connections") { settings in
        let origin = try Origin(try Lane("origin"))
        let agent = try Agent(settings, baseline: origin.port)
        let total = settings.count(1_000_000)
        let visitors = Visitors(port: agent.port)
        visitors.run(total / 20)
        pause(.seconds(2))
        let before = (agent.process.descriptors, agent.process.rss)
        let began = now()
        visitors.run(total - total / 20)
        let took = Double(now() - began) / 1e9
        // Reset connections and the last responses may not be cleaned up yet.
        wait(.seconds(10)) { agent.process.descriptors <= before.0 }
        let after = (agent.process.descriptors, agent.process.rss)
        let drift = (Double(after.1) / Double(before.1) - 1) * 100
        var figures = Figures()
        let rate = (Double(total) / took).digits(0)
        figures.note("\(visitors.done) connections, \(rate) a second, \(visitors.failed) failed")
        figures.note("descriptors \(before.0), then \(after.0)")
        figures.note("RSS \(before.1) KiB after the first \(total / 20), then \(after.1), drift \(drift.digits(1)) %")
        figures.demand(visitors.failed == 0, "0 failed")
        figures.demand(after.0 <= before.0, "no leaked descriptor")
        figures.demand(drift <= 5, "RSS drift at most 5 %")
        return figures
    }
}

/// Clients with one request per connection, which ends in one of three ways. They use several addresses of 127.0.0.0/24,
/// since each has its own ports, which cannot be used again for a minute.
private final class Visitors: Sendable {
    private let port: UInt16
    private let counts = Mutex((done: 0, failed: 0, running: 0))

    init(port: UInt16) { self.port = port }

    var done: Int { counts.withLock { $0.done } }
    var failed: Int { counts.withLock { $0.failed } }

    func run(_ total: Int) {
        let threads = 4
        counts.withLock { $0.running = threads }
        for thread in 0..<threads {
            detach { [self] in
                var good = 0
                for number in 0..<total / threads {
                    if visit(UInt8(2 + (number + thread * 25) % 100), number % 3) { good += 1 }
                }
                counts.withLock {
                    $0.done += total / threads
                    $0.failed += total / threads - good
                    $0.running -= 1
                }
            }
        }
        while counts.withLock({ $0.running > 0 }) { usleep(20_000) }
    }

    private func visit(_ source: UInt8, _ way: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var on: Int32 = 1
        // IP_BIND_ADDRESS_NO_PORT (24): the port is chosen at connect time, so that it need be unique only per target.
        setsockopt(descriptor, Int32(IPPROTO_IP), 24, &on, 4)
        var from = address(0, source)
        var target = address(port, 1)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafePointer(to: &from) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 }
        }
        let isConnected = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) == 0 }
        }
        guard isBound, isConnected else { return false }
        let closes = way == 0 ? "Connection: close\r\n" : ""
        let request = Array("GET / HTTP/1.1\r\nHost: bench\r\n\(closes)\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return false }
        var reader = ReplyReader()
        var part = [UInt8](repeating: 0, count: 1_024)
        var step = ReplyReader.Step.more
        while step == .more {
            let count = recv(descriptor, &part, part.count, 0)
            guard count > 0 else { return false }
            step = part.withUnsafeBufferPointer { reader.take(UnsafeBufferPointer(rebasing: $0[..<count])) }
        }
        // The connection is closed by the proxy (0), closed by the client (1), or reset by the client (2).
        if way == 0, recv(descriptor, &part, part.count, 0) != 0 { return false }
        if way == 2 { _ = ce_set_reset_on_close(descriptor) }
        return step == .whole && reader.status == 200
    }

    private func address(_ port: UInt16, _ last: UInt8) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = (UInt32(0x7f00_0000) | UInt32(last)).bigEndian
        return address
    }
}
