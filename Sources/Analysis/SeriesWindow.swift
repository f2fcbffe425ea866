import PolicyModel

/// The last scrapes of every server of both arms, bounded in time and count, and what they say together. Times are
/// monotonic, in nanoseconds.
///
/// Increases follow Prometheus' `increase` without its extrapolation: the sum of the steps between neighbouring
/// scrapes, where a counter that fell counts from zero. A server's first scrape is where it counts from, and adds
/// nothing. A server that is no longer one of the arm's keeps its past until that is older than the window.
public struct SeriesWindow: Sendable {
    /// Scrapes older than this before the newest one of their server are dropped.
    public let span: Int64
    /// Scrapes kept for each server, whatever their age: memory is bounded when the interval is short.
    public let maxScrapes: Int
    /// How long before an interval a scrape may lie to be its start. Three scrapes at the default interval.
    public static let startSlack: Int64 = 15_000_000_000
    /// Servers of an arm, gone ones included; beyond it the gone ones are forgotten first.
    public static let maxServers = 256

    var histories: [Arm: [Endpoint: ServerHistory]] = [.baseline: [:], .candidate: [:]]

    public init(span: Duration = .seconds(300), maxScrapes: Int = 600) {
        self.span = span.nanoseconds
        self.maxScrapes = maxScrapes
    }

    /// The servers that an arm has now.
    public mutating func setServers(_ servers: [Endpoint], of arm: Arm) {
        let current = Set(servers)
        for server in current where histories[arm]![server] == nil { histories[arm]![server] = ServerHistory() }
        for server in histories[arm]!.keys { histories[arm]![server]!.isCurrent = current.contains(server) }
        histories[arm] = histories[arm]!.filter { $0.value.isCurrent || !$0.value.samples.isEmpty }
        for server in histories[arm]!.keys where histories[arm]!.count > Self.maxServers {
            if !current.contains(server) { histories[arm]![server] = nil }
        }
    }

    /// Forgets an arm: another version stands behind it.
    public mutating func reset(_ arm: Arm) { histories[arm] = [:] }

    /// One scrape of a server; ignored where it is not newer than the last one.
    public mutating func record(_ sample: ScrapeSample, of server: Endpoint, arm: Arm) {
        histories[arm]![server, default: ServerHistory()].record(sample, span: span, maxScrapes: maxScrapes)
        let oldest = sample.at - span
        histories[arm] = histories[arm]!.filter { $0.value.isCurrent || ($0.value.samples.last?.at ?? .min) >= oldest }
    }

    /// A scrape that gave nothing.
    public mutating func recordFailure(_ reason: String, at time: Int64, of server: Endpoint, arm: Arm) {
        histories[arm]![server, default: ServerHistory()].recordFailure(reason, at: time)
    }
}

/// Of one server, in ascending time.
struct ServerHistory: Sendable {
    private(set) var samples: [ScrapeSample] = []
    var isCurrent = true
    private(set) var consecutiveFailures = 0
    private(set) var lastFailure: (reason: String, at: Int64)?

    mutating func record(_ sample: ScrapeSample, span: Int64, maxScrapes: Int) {
        if let last = samples.last, sample.at <= last.at { return }
        samples.append(sample)
        consecutiveFailures = 0
        let outdated = samples.prefix { $0.at < sample.at - span }.count
        samples.removeFirst(max(outdated, samples.count - maxScrapes))
    }

    mutating func recordFailure(_ reason: String, at time: Int64) {
        consecutiveFailures += 1
        lastFailure = (reason, time)
    }

    /// The scrapes that cover an interval: from the last one at or before its start, where that is not too far back,
    /// to the last one at or before its end. Intervals that follow one another share a scrape and no step.
    ///
    /// - Parameter seen: a scrape within the interval that is its start instead.
    func scrapes(from start: Int64, to end: Int64, after seen: Int64? = nil) -> ArraySlice<ScrapeSample> {
        let upper = samples.partition { $0.at <= end }
        let begin = max(start, seen ?? start)
        var lower = samples.partition { $0.at <= begin }
        if lower > 0, begin > start || samples[lower - 1].at >= start - SeriesWindow.startSlack { lower -= 1 }
        return lower < upper ? samples[lower..<upper] : []
    }
}

extension [ScrapeSample] {
    /// Index of the first element that is not part of the leading ones.
    fileprivate func partition(leading: (ScrapeSample) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if leading(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
