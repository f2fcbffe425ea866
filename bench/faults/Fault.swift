import Synchronization

/// One of the things that go wrong, and what it may cost.
struct Fault: Sendable {
    let number: Int
    let name: String
    /// How often it is measured before it counts as failed: more than once only where the bar is a time, which the
    /// machine's other work can spoil. The line says which attempt it was.
    var attempts = 1
    let run: @Sendable (Settings) throws -> Figures
}

let faults: [Fault] = [
    .weightChanges, .reverts, .killed, .broken, .slowloris, .oversize, .slowReaders, .newConnections, .descriptors,
    .stops,
]

struct Settings: Sendable {
    /// The agent's binary.
    var canaryd: String
    /// This binary.
    var own: String
    /// Of times and counts; 1 is what the bars are for.
    var scale = 1.0

    func count(_ full: Int, least: Int = 1) -> Int { max(Int(Double(full) * scale), least) }
    func time(_ seconds: Double, least: Double = 1) -> Duration {
        .milliseconds(Int(max(seconds * scale, least) * 1_000))
    }
}

/// What was measured, and which bars it broke.
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

/// A number that several threads add to.
final class Counter: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }
    func add(_ more: Int) { count.withLock { $0 += more } }
}

extension Double {
    /// With so many digits behind the point.
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
