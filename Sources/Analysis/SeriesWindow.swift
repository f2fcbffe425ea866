import PolicyModel

/// The latest scrapes of every server of both arms, bounded in time and number. Times are in monotonic nanoseconds.
///
/// Increases follow Prometheus' `increase` without its extrapolation: the sum of the steps between neighboring
/// scrapes, where a counter that fell counts from zero. A server's first scrape is where counting starts and adds
/// nothing. The scrapes of a server that has left its arm are kept until they are older than the window.
public struct SeriesWindow: Sendable {
    /// The age in nanoseconds, relative to the newest scrape of the same server, above which scrapes are dropped.
    public let span: Int64
    /// The largest number of scrapes that are kept for a server, which bounds memory if the scrape interval is short.
    public let maxScrapes: Int
    /// The longest time in nanoseconds by which a scrape may precede an interval and still be its start: three scrapes
    /// at the default interval.
    public static let startSlack: Int64 = 15_000_000_000
    /// The number of servers of an arm beyond which those that left the arm are forgotten.
    public static let maxServers = 256

    var histories: [Arm: [Endpoint: ServerHistory]] = [.baseline: [:], .candidate: [:]]
    /// The names of the arms' versions, for messages.
    public private(set) var names: [Arm: String] = [:]

    public init(span: Duration = .seconds(300), maxScrapes: Int = 600) {
        self.span = span.nanoseconds
        self.maxScrapes = maxScrapes
    }

    /// The name of an arm in messages: that of its version, if known.
    func name(of arm: Arm) -> String { names[arm] ?? "the \(arm.name)" }

    /// Sets the current servers of an arm.
    public mutating func setServers(_ servers: [Endpoint], of arm: Arm, version: String? = nil) {
        names[arm] = version
        let current = Set(servers)
        for server in current where histories[arm]![server] == nil { histories[arm]![server] = ServerHistory() }
        for server in histories[arm]!.keys { histories[arm]![server]!.isCurrent = current.contains(server) }
        histories[arm] = histories[arm]!.filter { $0.value.isCurrent || !$0.value.samples.isEmpty }
        for server in histories[arm]!.keys where histories[arm]!.count > Self.maxServers {
            if !current.contains(server) { histories[arm]![server] = nil }
        }
    }

    /// Forgets the scrapes of an arm, because it has another version now.
    public mutating func reset(_ arm: Arm) { histories[arm] = [:] }

    /// Records a scrape of a server. It is ignored unless it is newer than the last one.
    public mutating func record(_ sample: ScrapeSample, of server: Endpoint, arm: Arm) {
        histories[arm]![server, default: ServerHistory()].record(sample, span: span, maxScrapes: maxScrapes)
        let oldest = sample.at - span
        histories[arm] = histories[arm]!.filter { $0.value.isCurrent || ($0.value.samples.last?.at ?? .min) >= oldest }
    }

    /// Records a scrape that failed.
    public mutating func recordFailure(_ reason: String, at time: Int64, of server: Endpoint, arm: Arm) {
        histories[arm]![server, default: ServerHistory()].recordFailure(reason, at: time)
    }
}

/// The scrapes of one server, in ascending time.
struct ServerHistory: Sendable {
    private(set) var samples: [ScrapeSample] = []
    var isCurrent = true
    private(set) var consecutiveFailures = 0
    private(set) var lastFailure: (reason: String, at: Int64)?
    /// How the pages have shown the series that checks ask for.
    private(set) var tracks: [SeriesQuery: SeriesTrack] = [:]
    /// The times for which the page's newest timestamp, all of its counters and the preset's request counter have not
    /// changed.
    private(set) var timestamp: Unchanged<Double>?
    private(set) var counters: Unchanged<UInt64>?
    private(set) var requests: Unchanged<Double>?
    /// The scrapes in a row that had no request counter; nil if the newest had one.
    private(set) var withoutRequests: Unchanged<Bool>?
    private var counterTracker = CounterTracker()

    mutating func record(_ sample: ScrapeSample, span: Int64, maxScrapes: Int) {
        if let last = samples.last, sample.at <= last.at { return }
        track(sample)
        // Details are kept once, in `tracks`: a window holds hundreds of scrapes.
        var sample = sample
        sample.details = [:]
        sample.growth = counterTracker.record(sample)
        sample.presetReadings = nil
        if var last = samples.popLast() {
            last.remark = nil
            last.repeatedSeries = nil
            samples.append(last)
        }
        samples.append(sample)
        consecutiveFailures = 0
        let outdated = samples.prefix { $0.at < sample.at - span }.count
        samples.removeFirst(max(outdated, samples.count - maxScrapes))
    }

    mutating func recordFailure(_ reason: String, at time: Int64) {
        consecutiveFailures += 1
        lastFailure = (reason, time)
    }

    private mutating func track(_ sample: ScrapeSample) {
        var current: [SeriesQuery: SeriesTrack] = [:]
        for (query, reading) in sample.series {
            var track = tracks[query] ?? SeriesTrack()
            track.record(reading, sample.details[query])
            current[query] = track
        }
        tracks = current
        timestamp = Unchanged(sample.page.newestTimestamp, at: sample.at, since: timestamp)
        counters = Unchanged(sample.page.counters, at: sample.at, since: counters)
        requests = Unchanged(sample.requests, at: sample.at, since: requests)
        withoutRequests = Unchanged(sample.requests == nil ? true : nil, at: sample.at, since: withoutRequests)
    }

    /// The scrapes that cover an interval: from the last one at or before its start, unless that is too far back, to
    /// the last one at or before its end. Consecutive intervals share a scrape but no step.
    ///
    /// - Parameter seen: the time of a scrape within the interval that is its start instead.
    func scrapes(from start: Int64, to end: Int64, after seen: Int64? = nil) -> ArraySlice<ScrapeSample> {
        let upper = samples.partition { $0.at <= end }
        let begin = max(start, seen ?? start)
        var lower = samples.partition { $0.at <= begin }
        if lower > 0, begin > start || samples[lower - 1].at >= start - SeriesWindow.startSlack { lower -= 1 }
        return lower < upper ? samples[lower..<upper] : []
    }
}

extension [ScrapeSample] {
    /// The index of the first element that does not satisfy a predicate which all elements before it satisfy.
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
