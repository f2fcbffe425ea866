/// The faults that a server injects on purpose, so that its observers can be tested. They are written as
/// `latency=80ms`, `latency=2s@5%`, `errors=5%`, `hang=1%`, `truncate=1%` and `bias=sex=Female@80%`. The share is that
/// of the requests (for `bias`, of the group's rows), and 100 % if it is left out.
public struct Faults: Hashable, Sendable {
    /// A delay of the responses to `share` of the requests.
    public struct Latency: Hashable, Sendable {
        public var added: Duration
        public var share: Double
    }

    /// A bias against a group: `share` of its rows get label 0, whatever the score.
    public struct Bias: Hashable, Sendable {
        public var attribute: String
        public var value: String
        public var share: Double
    }

    /// The added latencies. Each is drawn independently and they are summed: `latency=20ms` with `latency=2s@1%` makes
    /// a server with a latency tail.
    public var latencies: [Latency] = []
    /// The share of requests that get the status 500.
    public var errors = 0.0
    /// The share of requests that get no response.
    public var hang = 0.0
    /// The share of responses that are cut off in the middle.
    public var truncate = 0.0
    public var bias: Bias?

    /// The error for the text of a fault that cannot be parsed.
    public struct Unreadable: Error, Hashable, CustomStringConvertible, Sendable {
        public var text: String
        public var description: String {
            "fault `\(text)` is not understood; write latency=80ms, latency=2s@5%, errors=5%, hang=1%, truncate=1% or "
                + "bias=sex=Female@80%"
        }
    }

    /// The most latencies of a server.
    static let mostLatencies = 8
    /// The longest added latency; no client waits longer, so a longer one would be the same as a hang.
    static let latencyLimit = Duration.seconds(600)

    public init() {}

    public init(parsing texts: [String]) throws(Unreadable) { for text in texts { try add(text) } }

    private mutating func add(_ text: String) throws(Unreadable) {
        let unreadable = Unreadable(text: text)
        guard let equals = text.firstIndex(of: "=") else { throw unreadable }
        var value = text[text.index(after: equals)...]
        var share = 1.0
        if let at = value.lastIndex(of: "@") {
            guard let given = Self.share(value[value.index(after: at)...]) else { throw unreadable }
            share = given
            value = value[..<at]
        }
        switch text[..<equals] {
        case "latency":
            guard let added = Self.duration(value), added <= Self.latencyLimit, latencies.count < Self.mostLatencies
            else { throw unreadable }
            latencies.append(Latency(added: added, share: share))
        case "bias":
            let parts = value.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { throw unreadable }
            bias = Bias(attribute: String(parts[0]), value: String(parts[1]), share: share)
        case "errors": errors = try rate()
        case "hang": hang = try rate()
        case "truncate": truncate = try rate()
        default: throw unreadable
        }
        func rate() throws(Unreadable) -> Double {
            guard share == 1, let rate = Self.share(value) else { throw unreadable }
            return rate
        }
    }

    /// Parses a share such as `5%` or `0.05`.
    private static func share(_ text: Substring) -> Double? {
        let isPercent = text.hasSuffix("%")
        guard let value = Double(isPercent ? text.dropLast() : text) else { return nil }
        let share = isPercent ? value / 100 : value
        return (0...1).contains(share) ? share : nil
    }

    /// Parses a duration such as `250us`, `80ms` or `1.5s`.
    private static func duration(_ text: Substring) -> Duration? {
        for (unit, seconds) in [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)] where text.hasSuffix(unit) {
            guard let value = Double(text.dropLast(unit.count)), value >= 0, value.isFinite else { return nil }
            return .nanoseconds(Int64(min(value * seconds, 1e6) * 1e9))
        }
        return nil
    }

    /// The faults in written form; empty if there are none.
    public var texts: [String] {
        var texts: [String] = []
        for latency in latencies {
            let (seconds, attoseconds) = latency.added.components
            let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
            texts.append("latency=\(Double(microseconds) / 1000)ms" + at(latency.share))
        }
        for (name, rate) in [("errors", errors), ("hang", hang), ("truncate", truncate)] where rate > 0 {
            texts.append("\(name)=\(rate)")
        }
        if let bias { texts.append("bias=\(bias.attribute)=\(bias.value)" + at(bias.share)) }
        return texts
    }

    private func at(_ share: Double) -> String { share == 1 ? "" : "@\(share)" }
}
