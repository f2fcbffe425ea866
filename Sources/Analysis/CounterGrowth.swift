import PolicyModel

/// The growth of one server's counters and histograms between two scrapes: of those that a preset reads, and of those
/// that checks ask for.
struct CounterGrowth: Hashable, Sendable {
    /// The growth of the request counter, all series together; nil without data.
    var requests: Double?
    /// The growth of the error counter, all series together; nil without data.
    var errors: Double?
    /// The growth of the latency histogram; nil without data.
    var latency: CumulativeHistogram?
    /// The growth of each query, all its series together. Queries without data are left out.
    var counters: [SeriesQuery: Double] = [:]
    var histograms: [SeriesQuery: CumulativeHistogram] = [:]
}

/// Follows one server's counters series by series, so that a model that comes or goes is not taken for a reset of the
/// sum of all of them.
///
/// A series that is absent from some scrapes and then returns continues from its last value. A series that appears for
/// the first time began at zero; those of the server's first scrape are where counting starts.
struct CounterTracker: Sendable {
    private var requests = SeriesMemory<Double>()
    private var errors = SeriesMemory<Double>()
    private var latency = SeriesMemory<CumulativeHistogram>()
    private var counters: [SeriesQuery: SeriesMemory<Double>] = [:]
    private var histograms: [SeriesQuery: SeriesMemory<CumulativeHistogram>] = [:]
    private var isFirst = true

    /// Records a scrape and returns the growth since the one before.
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

    /// Forgets the series of queries that no policy contains any more.
    private mutating func forgetQueries(besides sample: ScrapeSample) {
        guard counters.count + histograms.count > sample.series.count else { return }
        counters = counters.filter { sample.series[$0.key] != nil }
        histograms = histograms.filter { sample.series[$0.key] != nil }
    }
}

/// The last value of each series that was ever shown, including series that are absent from the newest scrape.
private struct SeriesMemory<Value: Sendable>: Sendable {
    private struct Entry {
        var value: Value
        var scrape: Int
    }
    private var entries: [String: Entry] = [:]
    private var scrape = 0
    /// The number of absent series that are remembered in addition to as many as the newest scrape shows.
    private static var slack: Int { 1024 }

    /// Stores a series' value and returns the one before; nil for a new series.
    mutating func replace(_ labels: String, with value: Value) -> Value? {
        entries.updateValue(Entry(value: value, scrape: scrape), forKey: labels)?.value
    }

    /// Ends a scrape. If too many series are remembered, those absent for longest are forgotten.
    /// - Parameter shown: the number of series in the scrape.
    mutating func endScrape(shown: Int) {
        scrape += 1
        let limit = 2 * shown + Self.slack
        guard entries.count > limit else { return }
        let gone = entries.filter { $0.value.scrape < scrape - 1 }.sorted { $0.value.scrape < $1.value.scrape }
        for entry in gone.prefix(entries.count - limit) { entries[entry.key] = nil }
    }
}

extension SeriesMemory<Double> {
    /// The growth of all series together. A value that no counter can have, because it is negative or not finite, is
    /// skipped.
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
    /// The growth of all series together. A histogram in which any bucket fell was reset as a whole and counts from
    /// zero. One whose bounds changed adds nothing; counting starts with it.
    mutating func growth(of readings: [String: CumulativeHistogram]?, isFirst: Bool) -> CumulativeHistogram? {
        guard let readings else { return nil }
        var sum: CumulativeHistogram?
        for (labels, current) in readings where current.impossibleCount == nil {
            let previous = replace(labels, with: current)
            if isFirst || previous.map({ $0.bounds != current.bounds }) ?? false { continue }
            let step = previous.map { current.step(since: $0) } ?? current
            // The reader gives no readings for a page whose histograms share no bounds, so these can be added.
            sum = sum.map { $0.merged(with: step) ?? $0 } ?? step
        }
        endScrape(shown: readings.count)
        return sum
    }
}

extension PresetReadings {
    /// The readings of a sample that has one series of each: its sums, under an empty label set.
    fileprivate init(sumsOf sample: ScrapeSample) {
        self.init()
        requests = sample.requests.map { ["": $0] }
        errors = sample.errors.map { ["": $0] }
        if case .histogram(let histogram) = sample.latency { latency = ["": histogram] }
    }
}
