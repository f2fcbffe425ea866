import Synchronization

/// A fault, and the measurement of what it costs.
struct Fault: Sendable {
    let number: Int
    let name: String
    /// The number of attempts before the fault counts as failed. It is more than one only if a limit is a time, which
    /// other processes on the machine can exceed. The output says which attempt it was.
    var attempts = 1
    let run: @Sendable (Settings) throws -> Figures
}

let faults: [Fault] = [
    .weightChanges, .reverts, .killed, .broken, .slowloris, .oversize, .slowReaders, .newConnections, .descriptors,
    .stops,
]

struct Settings: Sendable {
    /// The path of the agent's binary.
    var canaryd: String
    /// The path of this binary.
    var own: String
    /// The factor of times and counts; the limits are for 1.
    var scale = 1.0

    func count(_ full: Int, least: Int = 1) -> Int { max(Int(Double(full) * scale), least) }
    func time(_ seconds: Double, least: Double = 1) -> Duration {
        .milliseconds(Int(max(seconds * scale, least) * 1_000))
    }
}

/// The results of a measurement, and the limits that were exceeded.
struct Figures {
    private(set) var text: [String] = []
    private(set) var broken: [String] = []

    mutating func note(_ figure: String) { text.append(figure) }

    mutating func demand(_ holds: Bool, _ bar: String) { if !holds { broken.append(bar) } }

    mutating func merge(_ other: Figures) {
        text += other.text
        broken += other.broken
    }
}

/// A counter for several threads.
final class Counter: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }
    func add(_ more: Int) { count.withLock { $0 += more } }
}

extension Double {
    /// The number with `count` digits after the decimal point.
    func digits(_ count: Int) -> String {
        var factor = 1.0
        for _ in 0..<count { factor *= 10 }
        let scaled = Int((magnitude * factor).rounded())
        let whole = scaled / Int(factor)
        guard count > 0 else { return (self < 0 ? "-" : "") + "\(whole)" }
        let rest = String(scaled % Int(factor))
        return (self < 0 ? "-" : "") + "\(whole)." + String(repeating: "0", count: count - rest.count) + rest
    }
}
