import CLinuxEngine
import Glibc
import HTTPEngine
import Synchronization

/// Samples the resident memory of a process every 10 ms and keeps the largest value.
private final class PeakWatch: Sendable {
    private let state = Mutex((peak: 0, isOver: false))

    init(_ pid: pid_t) {
        detach { [self] in
            while !state.withLock({ $0.isOver }) {
                let fields = contents(of: "/proc/\(pid)/statm").split(separator: " ")
                if fields.count > 1, let pages = Int(fields[1]) {
                    state.withLock { $0.peak = max($0.peak, pages * 4) }
                }
                usleep(10_000)
            }
        }
    }

    /// Stops sampling and returns the largest value in KiB.
    func end() -> Int {
        state.withLock {
            $0.isOver = true
            return $0.peak
        }
    }
}

/// A client that sends until it gets a response.
private final class Sender: Wire {
    private var head: [UInt8]
    private let block: [UInt8]
    private var rest: Int
    private var reader = ReplyReader()
    private(set) var status: Int?
    private(set) var isOver = false

    init(_ lane: Lane, port: UInt16, head: String, block: [UInt8], total: Int) throws {
        self.head = Array(head.utf8)
        self.block = block
        rest = total
        try super.init(lane, port: port)
    }

    override func opened() { write(head) }

    override func drained() {
        while rest > 0, isOpen {
            let count = min(rest, block.count)
            let n = block.withUnsafeBufferPointer { writeNow(UnsafeBufferPointer(rebasing: $0[..<count])) }
            rest -= n
            if n < count { return }
        }
    }

    override func received(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard status == nil, reader.take(bytes) == .whole else { return }
        status = reader.status
        isOver = true
        close()
    }

    override func closed(reset: Bool) { isOver = true }
}

extension Fault {
    static let oversize = Fault(number: 6, name: "oversize") { settings in
        let lane = try Lane("origin")
        let taken = Counter()
        let origin = try Origin(lane) { _, request in
            if request.method == "POST" { taken.add(request.bodyCount) }
            return false
        }
        let agent = try Agent(settings, baseline: origin.port)
        let load = SteadyLoad(try Lane("load"), port: agent.port, rate: 200)
        pause(.seconds(2))
        let before = agent.process.rss
        let watch = PeakWatch(agent.process.pid)
        let lanes = try Lane("senders")
        let port = agent.port
        let letters = [UInt8](repeating: 0x61, count: 64 << 10)
        let line = Array(("A: " + String(repeating: "a", count: 995) + "\r\n").utf8)
        let lines = Array((0..<64).map { _ in line }.joined())
        let short = Array(String(repeating: "a: b\r\n", count: 10_000).utf8)
        let body = settings.count(10 << 30)
        let cases: [(name: String, head: String, block: [UInt8], total: Int, clients: Int, status: Int)] = [
            ("1 MB target", "GET /", letters, 1_000_000, 8, 414),
            ("10,000 headers", "GET / HTTP/1.1\r\nHost: b\r\n", short, short.count, 8, 431),
            ("100 MB of headers", "GET / HTTP/1.1\r\nHost: b\r\n", lines, 100_000_000, 8, 431),
            (
                "\(body >> 20) MiB body", "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: \(body)\r\n\r\n", letters,
                body, 1, 200
            ),
        ]
        var figures = Figures()
        for one in cases {
            let list = try lanes.run {
                Senders(
                    try (0..<one.clients).map { _ in
                        try Sender(lanes, port: port, head: one.head, block: one.block, total: one.total)
                    })
            }
            let isOver = wait(.seconds(600)) { (try? lanes.run { list.wires.allSatisfy(\.isOver) }) ?? false }
            let found = try lanes.run { list.wires.map(\.status) }
            let statuses = Set(found.map { $0.map(String.init) ?? "no answer" }).sorted().joined(separator: " or ")
            figures.note("\(one.name): \(statuses)")
            figures.demand(isOver && found.allSatisfy { $0 == one.status }, "\(one.name): \(one.status)")
        }
        let growth = watch.end() - before
        let samples = load.end()
        figures.note("\(taken.value >> 20) MiB arrived; RSS \(before) KiB, at most \(growth) more")
        figures.note("\(samples.failed) of \(samples.count) others failed")
        figures.demand(taken.value == body, "the whole body")
        figures.demand(growth <= 32 << 10, "RSS at most 32 MiB more")
        figures.demand(samples.failed == 0, "0 failed")
        return figures
    }
}

private final class Senders: @unchecked Sendable {
    let wires: [Sender]
    init(_ wires: [Sender]) { self.wires = wires }
}

/// A client that reads a little now and then, until it is allowed to read everything.
private final class SlowReader: Wire {
    private(set) var taken = 0
    private var reader = ReplyReader()
    private(set) var isWhole = false

    init(_ lane: Lane, port: UInt16) throws { try super.init(lane, port: port, source: 5) }

    override func opened() {
        isReading = false
        write(Array("GET /long HTTP/1.1\r\nHost: bench\r\n\r\n".utf8))
    }

    /// Reads at most 4 KiB.
    func sip() {
        guard isOpen, isConnected else { return }
        let n = ce_receive(descriptor, lane.block, 4_096)
        if n > 0 { received(UnsafeBufferPointer(start: lane.block, count: n)) }
    }

    override func received(_ bytes: UnsafeBufferPointer<UInt8>) {
        taken += bytes.count
        if reader.take(bytes) == .whole {
            isWhole = reader.status == 200 && reader.isAsStated
            close()
        }
    }
}

private final class SlowReaders: @unchecked Sendable {
    let wires: [SlowReader]
    var isSlow = true
    init(_ wires: [SlowReader]) { self.wires = wires }
}

extension Fault {
    static let slowReaders = Fault(number: 7, name: "slow readers") { settings in
        let size = settings.count(100_000_000)
        let block = [UInt8](repeating: 0x61, count: 64 << 10)
        let origin = try Origin(try Lane("origin")) { wire, request in
            guard request.path == "/long" else { return false }
            var rest = size
            wire.onDrained = { wire in
                while rest > 0, wire.isOpen {
                    let count = min(rest, block.count)
                    let n = block.withUnsafeBufferPointer { wire.writeNow(UnsafeBufferPointer(rebasing: $0[..<count])) }
                    rest -= n
                    if n < count { return }
                }
                wire.onDrained = nil
            }
            wire.write(Array("HTTP/1.1 200 OK\r\ncontent-length: \(size)\r\nx-length: \(size)\r\n\r\n".utf8))
            return true
        }
        let agent = try Agent(settings, baseline: origin.port)
        let load = SteadyLoad(try Lane("load"), port: agent.port, rate: 200)
        pause(.seconds(2))
        let before = agent.process.rss
        let watch = PeakWatch(agent.process.pid)
        let lane = try Lane("readers")
        let port = agent.port
        let readers = try lane.run { SlowReaders(try (0..<200).map { _ in try SlowReader(lane, port: port) }) }
        lane.loop.post {
            lane.every(.milliseconds(100)) {
                for wire in readers.wires where readers.isSlow { wire.sip() }
                return readers.isSlow
            }
        }
        pause(settings.time(20, least: 3))
        let grown = Double(watch.end() - before) / 200
        let queued = Double(kernelQueues(listening: port, origin: origin.port)) / 200 / 1_024
        try lane.run {
            readers.isSlow = false
            for wire in readers.wires { wire.isReading = true }
        }
        let isOver = wait(.seconds(600)) { (try? lane.run { readers.wires.allSatisfy { !$0.isOpen } }) ?? false }
        let whole = try lane.run { readers.wires.count { $0.isWhole } }
        let samples = load.end()
        var figures = Figures()
        figures.note("200 readers of \(size / 1_000_000) MB at 40 KiB/s")
        figures.note("RSS \(grown.digits(1)) KiB a connection")
        figures.note("\(queued.digits(1)) KiB in the kernel's socket buffers")
        figures.note("then \(whole) read all of it; \(samples.failed) of \(samples.count) others failed")
        figures.demand(grown <= 1_024, "RSS at most 1 MiB a connection")
        figures.demand(isOver && whole == 200, "every reply whole")
        figures.demand(samples.failed == 0, "0 failed")
        return figures
    }
}
