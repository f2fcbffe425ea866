import PolicyModel

/// Counts of requests by response code, without successes.
public struct ResponseCounts: Hashable, Codable, Sendable {
    public struct Entry: Hashable, Codable, Sendable {
        public let code: ResponseCode
        public fileprivate(set) var count: UInt64
    }

    /// The counts, ascending by code. There are only some five hundred codes, so the array stays short whatever a
    /// server sends.
    public private(set) var entries: [Entry] = []

    public init() {}

    /// The number of requests that did not succeed.
    public var total: UInt64 { entries.reduce(0) { $0 + $1.count } }

    public mutating func add(_ code: ResponseCode, _ n: UInt64 = 1) {
        guard code != .success, n > 0 else { return }
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].code < code { low = middle + 1 } else { high = middle }
        }
        if low < entries.count, entries[low].code == code {
            entries[low].count += n
        } else {
            entries.insert(Entry(code: code, count: n), at: low)
        }
    }

    public mutating func add(_ other: ResponseCounts) {
        for entry in other.entries { add(entry.code, entry.count) }
    }

    public func count(_ set: ResponseSet) -> UInt64 {
        entries.reduce(0) { set.contains($1.code) ? $0 + $1.count : $0 }
    }

    /// The most frequent status of the requests that did not succeed; nil if none has a status.
    public var mostFrequent: Entry? {
        // If counts are equal, the smaller code wins.
        entries.filter { $0.code > .failure }.max { $0.count < $1.count || ($0.count == $1.count && $0.code > $1.code) }
    }
}

extension ResponseCounts {
    /// A note with the most frequent codes of a set, at most three, and their shares, such as `404 98%, 429 2%`; empty
    /// if no request ended in one of them.
    func statuses(_ set: ResponseSet) -> [MeasurementNote] {
        let text = words(set)
        return text.isEmpty ? [] : [.responseStatuses(text)]
    }

    func words(_ set: ResponseSet) -> String {
        let those = entries.filter { set.contains($0.code) }
        let all = those.reduce(0) { $0 + $1.count }
        guard all > 0 else { return "" }
        let most = those.sorted { $0.count > $1.count || ($0.count == $1.count && $0.code < $1.code) }.prefix(3)
        if most.count == 1 { return "all of them \(most[0].code)" }
        return most.map { "\($0.code) \(Measurement.format(Double($0.count) / Double(all), .ratio))" }
            .joined(separator: ", ")
    }

    /// The reason why too few of an arm's responses can be timed, such as `all of the candidate's responses are 404:
    /// there is no response to time`.
    func untimed(of requests: UInt64, arm: Arm) -> String {
        let untimed = count(.untimed)
        if let most = mostFrequent, most.count == requests {
            return "all of the \(arm.name)'s responses are \(most.code): there is no response to time"
        }
        if untimed == requests { return "all of the \(arm.name)'s responses are 4xx: there is no response to time" }
        return "\(untimed) of the \(arm.name)'s \(requests) responses are 4xx, which are not timed: too few are left"
    }
}

extension ResponseSet {
    /// The responses whose latency is not measured: 4xx, which say nothing about how fast a server is.
    static let untimed = ResponseSet(400...499)
}
