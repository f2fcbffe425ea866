import Glibc
import HTTPEngine
import Synchronization

/// A client that sends one request and keeps its connection.
private final class Guest: Wire {
    private let request: [UInt8]
    private var reader = ReplyReader()
    private(set) var status: Int?
    private(set) var isWhole = false
    private(set) var isCut = false

    init(_ lane: Lane, port: UInt16, source: UInt8, path: String) throws {
        request = Array("GET \(path) HTTP/1.1\r\nHost: bench\r\n\r\n".utf8)
        try super.init(lane, port: port, source: source)
    }

    override func opened() { write(request) }

    override func received(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard status == nil || !isWhole else { return }
        let step = reader.take(bytes)
        status = reader.status
        if step == .whole { isWhole = reader.isAsStated }
        if step == .nonsense { isCut = true }
    }

    override func closed(reset: Bool) { if !isWhole { isCut = true } }
}

private final class Guests: @unchecked Sendable {
    var wires: [Guest]
    init(_ wires: [Guest]) { self.wires = wires }
}

extension Fault {
    static let descriptors = Fault(number: 9, name: "descriptors exhausted") { settings in
        let origin = try Origin(try Lane("origin"))
        let agent = try Agent(settings, baseline: origin.port, descriptors: 256)
        let lane = try Lane("guests")
        let port = agent.port
        let guests = Guests([])
        for _ in 0..<20 {
            try lane.run {
                guests.wires += try (0..<settings.count(100)).map { _ in
                    try Guest(lane, port: port, source: 6, path: "/")
                }
            }
            usleep(20_000)
        }
        pause(.seconds(2))
        // At rest the agent may only poll now and then for free descriptors.
        var adminTimes: [Double] = []
        var isSilent = false
        let cpu = agent.process.cpu
        let began = now()
        for _ in 0..<settings.count(10, least: 3) {
            pause(.seconds(1))
            if let time = agent.adminTime() { adminTimes.append(time) } else { isSilent = true }
        }
        let spent = (agent.process.cpu - cpu) / (Double(now() - began) / 1e9) * 100
        let used = agent.process.descriptors
        let (served, refused) = try lane.run {
            (guests.wires.count { $0.status == 200 }, guests.wires.count { ($0.status ?? 200) != 200 })
        }
        let left = now()
        try lane.run { for wire in guests.wires { wire.close() } }
        var recovered: Double?
        wait(.seconds(30)) {
            let probe = try? lane.run { Guests([try Guest(lane, port: port, source: 7, path: "/")]) }
            guard let probe else { return false }
            wait(.seconds(1)) { (try? lane.run { probe.wires[0].isWhole || probe.wires[0].isCut }) ?? true }
            let status = try? lane.run {
                probe.wires[0].close()
                return probe.wires[0].isWhole ? probe.wires[0].status : nil
            }
            let isGood = status == 200
            if isGood { recovered = Double(now() - left) / 1e9 }
            return isGood
        }
        let load = SteadyLoad(try Lane("load"), port: port, rate: 200)
        pause(.seconds(3))
        let after = load.end()
        var figures = Figures()
        figures.note("limit 256, \(guests.wires.count) clients: \(served) served, \(refused) answered otherwise")
        figures.note("\(used) descriptors used")
        figures.note("CPU \(spent.digits(1)) % of a core")
        let slowest = ((adminTimes.max() ?? 0) * 1_000).digits(1)
        figures.note("admin in \(slowest) ms at most\(isSilent ? ", or not at all" : "")")
        figures.note("served again \((recovered ?? -1).digits(2)) s after they left")
        figures.note("then \(after.failed) of \(after.count) failed")
        figures.demand(agent.process.hasEnded == nil, "no exit")
        figures.demand(spent < 10, "no spinning: below 10 % of a core")
        figures.demand(!isSilent && (adminTimes.max() ?? 0) <= 1, "admin within 1 s")
        figures.demand(refused == 0, "nobody is accepted to be refused")
        figures.demand((recovered ?? 99) <= 5, "recovered within 5 s")
        figures.demand(after.failed == 0, "0 failed afterwards")
        return figures
    }

    static let stops = Fault(number: 10, name: "SIGTERM and reloads", attempts: 1) { settings in
        var figures = try stop(settings, twice: false)
        figures.merge(try stop(settings, twice: true))
        figures.merge(try reloads(settings))
        return figures
    }

    /// Opens 200 streams of 15 s with a chunk every 100 ms, and sends SIGTERM after two seconds.
    private static func stop(_ settings: Settings, twice: Bool) throws -> Figures {
        let chunks = settings.count(150, least: 40)
        let origin = try Origin(try Lane("origin")) { wire, request in
            guard request.path == "/stream" else { return false }
            let total = chunks * 16
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-length: \(total)\r\n"
            wire.write(Array((head + "transfer-encoding: chunked\r\n\r\n").utf8))
            var sent = 0
            wire.lane.every(.milliseconds(100)) {
                guard wire.isOpen else { return false }
                sent += 1
                wire.write(Array("10\r\ndata: 12345678\n\n\r\n".utf8))
                if sent == chunks { wire.write(Array("0\r\n\r\n".utf8)) }
                return sent < chunks
            }
            return true
        }
        let agent = try Agent(settings, baseline: origin.port)
        let load = SteadyLoad(try Lane("load"), port: agent.port, rate: 200)
        let lane = try Lane("guests")
        let port = agent.port
        let guests = try lane.run {
            Guests(try (0..<200).map { _ in try Guest(lane, port: port, source: 8, path: "/stream") })
        }
        pause(.seconds(2))
        // The load ends before the SIGTERM, because new requests are refused after it.
        let samples = load.end()
        let open = try lane.run { guests.wires.count { $0.isOpen && $0.status == 200 && !$0.isWhole } }
        let began = now()
        agent.process.signal(SIGTERM)
        var figures = Figures()
        figures.demand(open == 200 && samples.failed == 0, "200 streams open and 0 failed before")
        if twice {
            pause(.seconds(1))
            let second = now()
            agent.process.signal(SIGTERM)
            let hasEnded = wait(.seconds(40)) { agent.process.hasEnded != nil }
            let took = Double(now() - second) / 1e9
            figures.note("second SIGTERM: ended \((took * 1_000).digits(0)) ms later")
            figures.demand(hasEnded && took <= 1, "a second SIGTERM ends at once")
        } else {
            let hasEnded = wait(.seconds(40)) { agent.process.hasEnded != nil }
            let took = Double(now() - began) / 1e9
            let whole = try lane.run { guests.wires.count { $0.isWhole } }
            figures.note("SIGTERM: \(whole) of \(guests.wires.count) streams whole, ended after \(took.digits(1)) s")
            figures.demand(whole == 200, "no stream cut")
            figures.demand(hasEnded && agent.process.hasEnded == 0, "it ends by itself, with 0")
        }
        return figures
    }

    private static func reloads(_ settings: Settings) throws -> Figures {
        let origin = try Origin(try Lane("origin"))
        let agent = try Agent(settings, baseline: origin.port)
        let load = SteadyLoad(try Lane("load"), port: agent.port, rate: 500)
        let total = settings.count(200, least: 4)
        var applied = 0
        var refused = 0
        for number in 0..<total {
            let key = number % 2 == 0 ? "response" : "respons"
            agent.rewrite("traffic: {timeouts: {\(key): \(10 + number)s}}\n")
            guard let said = agent.reload() else { continue }
            if said.contains("not reloaded") { refused += 1 } else { applied += 1 }
            pause(.milliseconds(50))
        }
        let samples = load.end()
        var figures = Figures()
        figures.note(
            "\(applied) reloads applied and \(refused) refused under \(samples.count) requests: \(samples.failed) failed"
                + (samples.failed > 0 ? " (\(samples.failures))" : ""))
        figures.demand(applied == total / 2 && refused == total / 2, "half of the reloads applied")
        figures.demand(samples.failed == 0, "0 failed")
        return figures
    }
}
