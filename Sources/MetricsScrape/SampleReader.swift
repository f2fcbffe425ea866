import Analysis
import PolicyModel
import PrometheusText

/// The error for a page that can be parsed, but not used: a number on it cannot be what its series claims, such as a
/// negative count.
public struct UnusableScrape: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
}

/// Converts one server's exposition to a `ScrapeSample`, whose terms are the same for all kinds of servers.
public struct SampleReader: Sendable {
    /// The preset; nil if only `queries` are read.
    public var preset: MetricsPreset?
    /// The only model that is counted; nil for all models.
    public var model: String?
    /// The series that the checks of the policies need.
    public var queries: Set<SeriesQuery>
    /// The maximum number of series that one query may match on one server. If it matches more, a label condition is
    /// most likely missing.
    public static let maxSeries = 256
    /// The maximum number of models that a remark names, since a server may carry hundreds, and the maximum length of
    /// each name in characters.
    private static let shownModels = 5
    private static let shownLength = 64

    public init(preset: MetricsPreset?, model: String? = nil, queries: Set<SeriesQuery> = []) {
        self.preset = preset
        self.model = model
        self.queries = queries
    }

    /// Reads a sample from a page. A page on which a request counter or a latency bucket is no count is refused as a
    /// whole, since clamping the value or leaving it out would give a false verdict. Of a series that is written twice only
    /// the first sample is looked at.
    ///
    /// - Parameters:
    ///   - time: the start of the scrape, in monotonic nanoseconds.
    ///   - wall: the same moment in milliseconds since 1970; nil if explicit timestamps are not to be checked.
    public func read(_ exposition: Exposition, at time: Int64, wall: Double? = nil) throws(UnusableScrape)
        -> ScrapeSample
    {
        var sample = ScrapeSample(at: time)
        sample.sampleCount = exposition.samples.count
        sample.page = PageState(newestTimestamp: exposition.newestTimestamp, counters: exposition.counterDigest)
        if let wall, let newest = exposition.newestTimestamp { sample.page.age = (wall - newest) / 1000 }
        if let preset {
            try readCounts(preset, exposition, into: &sample)
            sample.queue = (preset.series[.waiting] ?? preset.series[.running]).flatMap {
                exposition.sum(selector($0, exposition))
            }
            sample.saturation = preset.series[.saturation].flatMap {
                exposition.select(selector($0, exposition)).map(\.value).filter { !$0.isNaN }.max()
            }
            let latency = try latency(preset, exposition)
            sample.latency = latency.reading
            sample.presetReadings?.latency = latency.bySeries
            if let remark = remark(preset, exposition) { sample.remark = remark }
            sample.isOtherPage = !preset.recognizes(exposition)
            if case .histogram(_, let excludesErrors) = preset.latency {
                sample.latencyExcludesErrors = excludesErrors
            }
        } else {
            sample.latency = .unavailable("the version has no metrics preset")
        }
        for query in queries { read(query, exposition, into: &sample) }
        return sample
    }

    /// Reads the counters of requests and of failures. Neither is known if a page cannot show both: an error rate of 0
    /// would pass for a measured one.
    private func readCounts(_ preset: MetricsPreset, _ exposition: Exposition, into sample: inout ScrapeSample)
        throws(UnusableScrape)
    {
        sample.presetReadings = PresetReadings()
        let all = preset.requests + preset.errorSeries
        if model != nil, let nameless = all.first(where: { !$0.hasModel }), preset.models(on: exposition).count > 1 {
            sample.remark =
                "\(nameless.names[0]) does not name the model, and this server carries several; use from: proxy"
            return
        }
        let requests = try count(preset.requests, exposition)
        let errors = try count(preset.errorSeries, exposition)
        sample.repeatedSeries = requests?.repeated ?? errors?.repeated
        switch preset.errors {
        case .unavailable: break
        case .counted(let series, let isAlwaysShown):
            if isAlwaysShown, requests != nil, !preset.showsErrors(exposition) {
                sample.remark =
                    "the page has no \(series[0].names[0]): \(preset.server) has had no failure, or its version does not "
                    + "count them; use from: proxy"
                return
            }
            // Many servers export a counter of failures only after the first failure.
            sample.errors = requests == nil ? nil : errors?.sum ?? 0
            sample.presetReadings?.errors = requests == nil ? nil : errors?.bySeries ?? [:]
        }
        sample.requests = requests?.sum
        sample.presetReadings?.requests = requests?.bySeries
    }

    private func read(_ query: SeriesQuery, _ exposition: Exposition, into sample: inout ScrapeSample) {
        if query.selector.hasPrefix(PresetSeriesName.prefix) {
            guard let series = presetSeries(query.selector) else {
                sample.series[query] = .unavailable("the version's metrics preset has no \(query.selector)")
                return
            }
            let selector = selector(series, exposition)
            let reading = reading(query.kind, selector, exposition, scale: series.scale)
            sample.series[query] = reading
            sample.details[query] = SeriesFinder(exposition: exposition).details(of: selector, query.kind, reading)
            return
        }
        let selector: SeriesSelector
        do throws(SelectorError) {
            selector = try SeriesSelector(parsing: query.selector)
        } catch {
            sample.series[query] = .unavailable(error.description)
            return
        }
        let reading = reading(query.kind, selector, exposition)
        sample.series[query] = reading
        sample.details[query] = SeriesFinder(exposition: exposition).details(of: selector, query.kind, reading)
    }

    /// The preset's series that a check selects as `preset.NAME`; nil if the preset has none of this name.
    private func presetSeries(_ written: String) -> PresetSeries? {
        PresetSeriesName(series: written).flatMap { MetricsPreset.SeriesName(rawValue: $0.rawValue) }
            .flatMap { preset?.series[$0] }
    }

    /// The selector of a preset's series on a page, of the target's model alone.
    private func selector(_ series: PresetSeries, _ exposition: Exposition) -> SeriesSelector {
        var selector = series.selector(on: exposition)
        if series.hasModel, let model, let label = preset?.modelLabel {
            selector.matchers.append(LabelMatcher(label, .equals(model)))
        }
        return selector
    }

    /// Reads counters: their sum, and the value of each series; nil if the page has none of them. If the page repeats a
    /// series, its first value counts, and `repeated` is the selector of one such series.
    private func count(_ series: [PresetSeries], _ exposition: Exposition) throws(UnusableScrape)
        -> (sum: Double, bySeries: [String: Double], repeated: String?)?
    {
        var bySeries: [String: Double] = [:]
        var repeated: String?
        var sum = 0.0
        for series in series {
            let selector = selector(series, exposition)
            let selected = exposition.select(selector)
            if repeated == nil, exposition.repeats(selector, selected) { repeated = selector.description }
            for sample in selected {
                if let why = impossibleCount(sample.value, selector.description) {
                    throw UnusableScrape(description: why)
                }
                let key = SeriesKey.text(of: sample.name, sample.labels)
                guard bySeries[key] == nil else { continue }
                sum += sample.value
                bySeries[key] = sample.value
            }
        }
        guard !bySeries.isEmpty else { return nil }
        if let why = impossibleCount(sum, "the sum of \(series[0].selector(on: exposition).name)") {
            throw UnusableScrape(description: why)
        }
        return (sum, bySeries, repeated)
    }

    private func impossibleCount(_ selector: SeriesSelector, _ exposition: Exposition) -> String? {
        guard exposition.anyValue(selector, { !isCount($0) }) else { return nil }
        return exposition.select(selector).lazy.compactMap { impossibleCount($0.value, selector.description) }.first
    }

    private func isCount(_ value: Double) -> Bool { (0...Proportion.largestCount).contains(value) }

    /// The reason why a value cannot be a count; nil if it can.
    private func impossibleCount(_ value: Double, _ name: String) -> String? {
        if isCount(value) { return nil }
        return "\(name) is \(value), which is no count: counts are from 0 to \(UInt64(Proportion.largestCount))"
    }

    private func latency(_ preset: MetricsPreset, _ exposition: Exposition) throws(UnusableScrape)
        -> (reading: LatencyReading, bySeries: [String: CumulativeHistogram]?)
    {
        switch preset.latency {
        case .unavailable(let reason):
            return (.unavailable(reason), nil)
        case .histogram(let series, _):
            let selector = selector(series, exposition)
            if model != nil, !series.hasModel, preset.models(on: exposition).count > 1 {
                let reason =
                    "\(selector.name) does not name the model, and this server carries several; use from: proxy"
                return (.unavailable(reason), nil)
            }
            if let why = impossibleCount(selector.buckets, exposition) {
                throw UnusableScrape(description: why)
            }
            var bySeries: [String: CumulativeHistogram] = [:]
            var sum: CumulativeHistogram?
            for part in exposition.histograms(selector) {
                let own = cumulative(part, scale: series.scale)
                // The name is part of the key: after an upgrade, another name may be read.
                bySeries[SeriesKey.text(of: selector.name, part.labels)] = own
                guard let merged = sum.map({ $0.merged(with: own) }) ?? own else {
                    return (.unavailable("the histograms of \(selector.name) share no bucket bounds"), nil)
                }
                sum = merged
            }
            guard let merged = sum else { return (.noData, nil) }
            if let count = merged.impossibleCount, let why = impossibleCount(count, selector.name) {
                throw UnusableScrape(description: why)
            }
            return (.histogram(merged), bySeries)
        }
    }

    /// A remark that the server does not carry the model of the target; nil if it does, or if it names no models.
    private func remark(_ preset: MetricsPreset, _ exposition: Exposition) -> String? {
        guard let model else { return nil }
        let models = preset.models(on: exposition)
        guard !models.isEmpty, !models.contains(Bytewise(model)) else { return nil }
        let shown = models.sorted().prefix(Self.shownModels).map { $0.text.prefix(Self.shownLength) }.joined(
            separator: ", ")
        let more = models.count > Self.shownModels ? ", …" : ""
        return "the server shows no model \(model), but \(shown)\(more); correct metrics.model"
    }

    /// - Parameter scale: the factor that converts a histogram's unit; 1 for what is read as it stands.
    private func reading(
        _ kind: SeriesQuery.Kind, _ selector: SeriesSelector, _ exposition: Exposition, scale: Double = 1
    ) -> SeriesReading {
        switch kind {
        case .gauge, .counter:
            let samples = exposition.select(selector)
            guard samples.count <= Self.maxSeries else { return tooMany(samples.count) }
            if samples.isEmpty, !exposition.samples(named: selector.name + "_bucket").isEmpty {
                return .unavailable(
                    "\(selector.name) is a histogram: use a quantile, or name its _sum or _count")
            }
            if kind == .counter, let sample = samples.first(where: { !$0.value.isFinite || $0.value < 0 }) {
                return .unavailable("\(selector) is \(sample.value), which no counter can be")
            }
            return .values(
                Dictionary(
                    samples.map { (SeriesKey.text($0.labels), $0.value) }, uniquingKeysWith: { first, _ in first }))
        case .histogram:
            let parts = exposition.histograms(selector)
            guard parts.count <= Self.maxSeries else { return tooMany(parts.count) }
            if parts.isEmpty, !exposition.select(selector).isEmpty {
                return .unavailable("\(selector.name) is no histogram: it has no buckets to read a quantile from")
            }
            if let why = impossibleCount(selector.buckets, exposition) { return .unavailable(why) }
            return .histograms(
                Dictionary(
                    parts.map { (SeriesKey.text($0.labels), cumulative($0, scale: scale)) },
                    uniquingKeysWith: { first, _ in first }))
        }
    }

    private func tooMany(_ count: Int) -> SeriesReading {
        .unavailable("it matches \(count) series, more than \(Self.maxSeries): add label conditions")
    }

    private func cumulative(_ sample: HistogramSample, scale: Double) -> CumulativeHistogram {
        CumulativeHistogram(bounds: sample.bounds.map { $0 * scale }, counts: sample.cumulative)
    }
}
