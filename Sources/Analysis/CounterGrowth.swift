import PolicyModel

/// How counters and histograms grew between two scrapes of one server: those that a preset reads, and those that checks
/// ask for.
struct CounterGrowth: Hashable, Sendable {
    /// Requests of all series; nil without data.
    var requests: Double?
    /// Errors of all series; nil without data.
    var errors: Double?
    /// Requests by latency; nil without data.
    var latency: CumulativeHistogram?
    /// All series of a query together; without those that have no data.
    var counters: [SeriesQuery: Double] = [:]
    var histograms: [SeriesQuery: CumulativeHistogram] = [:]
}

/// Follows one server's counters series by series, so that a model that comes or goes is not taken for a reset of the
/// sum of all of them.
///
/// A series that a scrape does not show and a later one does goes on from its last value. One that was never shown
/// before began at zero, unless this is the server's first scrape, which is what the others count from.
struct CounterTracker: Sendable {
    private var requests = SeriesMemory<Double>()
    private var errors = SeriesMemory<Double>()
    private var latency = SeriesMemory<CumulativeHistogram>()
    private var counters: [SeriesQuery: SeriesMemory<Double>] = [:]
    private var histograms: [SeriesQuery: SeriesMemory<CumulativeHistogram>] = [:]
    private var isFirst = true

    /// The growth since the scrape before.
    mutating func record(_ sample: ScrapeSample) -> CounterGrowth {
        let readings = sample.presetReadings ?? PresetReadings(sumsOf: sample)
        defer { isFirst = false }
        var growth = CounterGrowth()
        growth.requests = requests.growth(of: readings.requests, isFirst: isFirst)
        growth.errors = errors.growth(of: readings.errors, isFirst: isFirst)
        growth.latency = latency.growth(of: readings.latency, isFirst: isFirst)
        forgetQueries(besides: sample)
        for (query, reading) in sample.series {
            switch reading {
            case .values(let values) where query.kind == .counter:
                let isFirst = counters[query] == nil
                growth.counters[query] = counters[query, default: SeriesMemory()]
                    .growth(of: values.isEmpty ? nil : values, isFirst: isFirst)
            case .histograms(let values):
                let isFirst = histograms[query] == nil
                growth.histograms[query] = histograms[query, default: SeriesMemory()]
                    .growth(of: values.isEmpty ? nil : values, isFirst: isFirst)
            case .values, .unavailable: break
            }
        }
        return growth
    }

    /// Forgets the series of queries that the policies do not ask any more.
    private mutating func forgetQueries(besides sample: ScrapeSample) {
        guard counters.count + histograms.count > sample.series.count else { return }
        counters = counters.filter { sample.series[$0.key] != nil }
        histograms = histograms.filter { sample.series[$0.key] != nil }
    }
}

/// The last value of each series that was shown, also of those that the newest scrape does not show.
private struct SeriesMemory<Value: Sendable>: Sendable {
    private struct Entry {
        var value: Value
        var scrape: Int
    }
    private var entries: [String: Entry] = [:]
    private var scrape = 0
    /// The number of absent series that are remembered beyond as many as the newest scrape shows.
    private static var slack: Int { 1024 }

    /// The last value, or nil; `value` takes its place.
    mutating func replace(_ labels: String, with value: Value) -> Value? {
        entries.updateValue(Entry(value: value, scrape: scrape), forKey: labels)?.value
    }

    /// Ends a scrape that showed so many series. Where too many are remembered, those that are absent longest go.
    mutating func endScrape(shown: Int) {
        scrape += 1
        let limit = 2 * shown + Self.slack
        guard entries.count > limit else { return }
        let gone = entries.filter { $0.value.scrape < scrape - 1 }.sorted { $0.value.scrape < $1.value.scrape }
        for entry in gone.prefix(entries.count - limit) { entries[entry.key] = nil }
    }
}

extension SeriesMemory<Double> {
    /// A value that no counter can have, because it is negative or not finite, reads as missing.
    mutating func growth(of readings: [String: Double]?, isFirst: Bool) -> Double? {
        guard let readings else { return nil }
        var sum = 0.0
        var isCounted = readings.isEmpty
        for (labels, value) in readings where value.isFinite && value >= 0 {
            let before = replace(labels, with: value) ?? 0
            sum += value >= before ? value - before : value
            isCounted = true
        }
        endScrape(shown: readings.count)
        return isCounted && !isFirst ? sum : nil
    }
}

extension SeriesMemory<CumulativeHistogram> {
    /// A histogram in which any bucket fell was reset as a whole, and counts from zero. One with other bounds than
    /// before starts anew, and adds nothing.
    mutating func growth(of readings: [String: CumulativeHistogram]?, isFirst: Bool) -> CumulativeHistogram? {
        guard let readings else { return nil }
        var sum: CumulativeHistogram?
        for (labels, current) in readings where current.impossibleCount == nil {
            let previous = replace(labels, with: current)
            if isFirst || previous.map({ $0.bounds != current.bounds }) ?? false { continue }
            let step = previous.map { current.step(since: $0) } ?? current
            // A page whose histograms share no bounds has no readings, so they can be added.
            sum = sum.map { $0.merged(with: step) ?? $0 } ?? step
        }
        endScrape(shown: readings.count)
        return sum
    }
}

extension PresetReadings {
    /// The growth of a sample that has no readings by series.
    fileprivate init(sumsOf sample: ScrapeSample) {
        self.init()
        requests = sample.requests.map { ["": $0] }
        errors = sample.errors.map { ["": $0] }
        if case .histogram(let histogram) = sample.latency { latency = ["": histogram] }
    }
}
