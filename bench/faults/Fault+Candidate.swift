import Glibc
import Synchronization

extension Fault {
    static let killed = Fault(number: 3, name: "candidate killed") { settings in
        let lane = try Lane("origins")
        let ledger = Ledger()
        let old = try Origin(lane) { _, request in
            if request.method == "POST" { ledger.note(request.id) }
            return false
        }
        let port = try freePort()
        let relay = try Relay(settings, baseline: old.port, candidate: port, weight: 5_000, response: 5)
        var candidate = try startCandidate(settings, port, ledger)
        let load = SteadyLoad(try Lane("load"), port: relay.port, rate: 400) { number in
            let body = number % 2 == 0 ? "content-length: 4\r\n\r\nbody" : "\r\n"
            let head = "\(number % 2 == 0 ? "POST" : "GET") /v2 HTTP/1.1\r\nHost: bench\r\nx-id: \(number)\r\n"
            return Array((head + body).utf8)
        }
        let total = settings.count(500)
        for _ in 0..<total {
            usleep(UInt32.random(in: 60_000...120_000))
            candidate.end(SIGKILL)
            candidate = try startCandidate(settings, port, ledger)
        }
        pause(.milliseconds(300))
        let samples = load.end()
        let cuts = samples.count { $0.outcome == .cut }
        let wrong = samples.count { $0.outcome == .wrong }
        let broken = samples.filter { $0.outcome != .good && $0.isBaseline }
        let repeated = ledger.repeated
        var figures = Figures()
        figures.note("\(total) kills, \(samples.count) requests: \(samples.failures)")
        figures.note(
            "\(wrong) clean and short, \(repeated) of \(ledger.count) POSTs sent twice, \(broken.count) baseline errors"
        )
        figures.demand(wrong == 0, "never clean and short")
        figures.demand(repeated == 0, "no POST twice")
        figures.demand(broken.isEmpty, "0 baseline errors")
        figures.demand(cuts >= total, "a cut for each kill: otherwise nothing was under way")
        return figures
    }

    /// Starts the candidate and waits until it listens.
    private static func startCandidate(_ settings: Settings, _ port: UInt16, _ ledger: Ledger) throws -> Child {
        let child = try Child([settings.own, "candidate", "\(port)"])
        while let line = child.line(), line != "ready" {
            if line.hasPrefix("POST ") { ledger.note(String(line.dropFirst(5))) }
        }
        guard child.hasEnded == nil else { throw Problem("the candidate does not start on port \(port)") }
        // Its output up to the moment it is killed remains in the pipe.
        let pipe = dup(child.output)
        detach {
            var text: [UInt8] = []
            var part = [UInt8](repeating: 0, count: 4_096)
            while case let count = read(pipe, &part, part.count), count > 0 { text += part[..<count] }
            close(pipe)
            for line in text.split(separator: 10) where line.starts(with: "POST ".utf8) {
                ledger.note(String(decoding: line.dropFirst(5), as: UTF8.self))
            }
        }
        return child
    }
}

/// Counts how often each request arrived at any server.
private final class Ledger: Sendable {
    private let seen = Mutex<[String: Int]>([:])

    func note(_ id: String) { seen.withLock { $0[id, default: 0] += 1 } }
    var repeated: Int { seen.withLock { $0.values.count { $0 > 1 } } }
    var count: Int { seen.withLock { $0.count } }
}

extension Fault {
    /// Measures in pairs of two seconds, one with the fault and one without, so that other load on the machine affects both.
    static let broken = Fault(number: 4, name: "candidate broken", attempts: 3) { settings in
        var figures = Figures()
        for (name, begin, stop) in ways { figures.merge(try measure(settings, name, begin, stop)) }
        return figures
    }

    private typealias Change = @Sendable (Origin) throws -> Void
    private static let ways: [(String, Change, Change)] = [
        ("refuses", { try $0.refuse() }, { try $0.listenAgain() }),
        ("hangs", { try $0.behave(.hangs) }, { try $0.behave(.answers) }),
        ("resets", { try $0.behave(.resets) }, { try $0.behave(.answers) }),
        ("sends garbage", { try $0.behave(.sendsGarbage) }, { try $0.behave(.answers) }),
    ]

    private static func measure(
        _ settings: Settings, _ name: String, _ begin: Change, _ stop: Change
    ) throws -> Figures {
        let lane = try Lane("origins")
        let old = try Origin(lane)
        let new = try Origin(lane)
        let relay = try Relay(settings, baseline: old.port, candidate: new.port, weight: 1_000, response: 5)
        let load = SteadyLoad(try Lane("load"), port: relay.port, rate: 500)
        pause(.seconds(2))
        _ = load.takeSamples()
        var edges: [(begin: Int64, end: Int64)] = []
        for _ in 0..<settings.count(60, least: 3) {
            try begin(new)
            let began = now()
            pause(.seconds(2))
            edges.append((began, now()))
            try stop(new)
            // The candidate's back-off ends within two seconds; the baseline does not depend on it.
            pause(.seconds(2))
        }
        let samples = load.end().filter { !$0.isCandidate }
        var with = [[SteadyLoad.Sample]](repeating: [], count: edges.count)
        var without = with
        var index = 0
        for sample in samples.sorted(by: { $0.due < $1.due }) where sample.isBaseline {
            while index + 1 < edges.count, edges[index + 1].begin <= sample.due { index += 1 }
            let isWithin = edges[index].begin <= sample.due && sample.due < edges[index].end
            if isWithin { with[index].append(sample) } else { without[index].append(sample) }
        }
        let all = (with: with.flatMap(\.self), without: without.flatMap(\.self))
        // The ratio is taken for each pair; other load on the machine affects some pairs, but not their median.
        let ratios = zip(with, without).map { $0.quantile(0.99) / $1.quantile(0.99) }.sorted()
        let ratio = ratios[ratios.count / 2]
        let errors = (all.with + all.without).failed
        var figures = Figures()
        figures.note(
            "\(name) \(2 * edges.count) s: baseline p99 \(all.with.quantile(0.99).digits(2)) ms, without "
                + "\(all.without.quantile(0.99).digits(2)) ms, median of the pairs' ratios \(ratio.digits(2)), "
                + "\(errors) errors")
        figures.demand(ratio <= 1.1, "\(name): baseline p99 at most 10 % more")
        figures.demand(errors == 0, "\(name): 0 baseline errors")
        return figures
    }
}
