import Analysis
import PolicyModel
import PrometheusText

/// Brings one server's exposition to the terms that all servers share.
public struct SampleReader: Sendable {
    /// Nil: only `queries` are read.
    public var preset: MetricsPreset?
    /// The only model that counts; nil: all.
    public var model: String?
    public var queries: Set<SeriesQuery>
    /// Series that one query may match on one server. A check that matches more is a mistake in its labels.
    public static let maxSeries = 256
    /// Models that a remark names; a server may carry hundreds.
    private static let shownModels = 5

    public init(preset: MetricsPreset?, model: String? = nil, queries: Set<SeriesQuery> = []) {
        self.preset = preset
        self.model = model
        self.queries = queries
    }

    public func read(_ exposition: Exposition, at time: Int64) -> ScrapeSample {
        var sample = ScrapeSample(at: time)
        sample.sampleCount = exposition.samples.count
        if let preset {
            sample.requests = sum(preset.requests, exposition)
            sample.errors = sum(preset.errors, exposition)
            // Many servers show a failure's counter only once it has counted.
            if sample.requests != nil, sample.errors == nil { sample.errors = 0 }
            sample.queue = sum(preset.queue, exposition)
            sample.saturation = preset.saturation.flatMap {
                exposition.select(selector($0)).map(\.value).filter { !$0.isNaN }.max()
            }
            sample.latency = latency(preset, exposition)
            sample.remark = remark(preset, exposition)
            if case .histogram(_, _, let excludesErrors) = preset.latency {
                sample.latencyExcludesErrors = excludesErrors
            }
        } else {
            sample.latency = .unavailable("the version has no metrics preset")
        }
        for query in queries { sample.series[query] = reading(query, exposition) }
        return sample
    }

    private func selector(_ series: PresetSeries) -> SeriesSelector {
        guard series.hasModel, let model, let label = preset?.modelLabel else { return series.selector }
        return SeriesSelector(
            series.selector.name, series.selector.matchers + [LabelMatcher(label, .equals(model))])
    }

    private func sum(_ series: [PresetSeries], _ exposition: Exposition) -> Double? {
        let values = series.compactMap { exposition.sum(selector($0)) }
        return values.isEmpty ? nil : values.reduce(0, +)
    }

    private func latency(_ preset: MetricsPreset, _ exposition: Exposition) -> LatencyReading {
        switch preset.latency {
        case .unavailable(let reason):
            return .unavailable(reason)
        case .histogram(let series, let scale, _):
            if model != nil, !series.hasModel, models(preset, exposition).count > 1 {
                return .unavailable(
                    "\(series.selector.name) does not name the model, and this server carries several; use from: proxy")
            }
            let parts = exposition.histograms(selector(series))
            guard let first = parts.first.map({ cumulative($0, scale: scale) }) else { return .noData }
            var merged = first
            for part in parts.dropFirst() {
                guard let sum = merged.merged(with: cumulative(part, scale: scale)) else {
                    return .unavailable("the histograms of \(series.selector.name) share no bucket bounds")
                }
                merged = sum
            }
            return .histogram(merged)
        }
    }

    private func remark(_ preset: MetricsPreset, _ exposition: Exposition) -> String? {
        guard let model else { return nil }
        let models = models(preset, exposition)
        guard !models.isEmpty, !models.contains(model) else { return nil }
        let shown = models.sorted().prefix(Self.shownModels).joined(separator: ", ")
        return "the server shows no model \(model), but \(shown)\(models.count > Self.shownModels ? ", …" : "")"
    }

    private func models(_ preset: MetricsPreset, _ exposition: Exposition) -> Set<String> {
        guard let label = preset.modelLabel else { return [] }
        return Set(preset.requests.flatMap { exposition.select($0.selector).map { $0[label] } })
    }

    private func reading(_ query: SeriesQuery, _ exposition: Exposition) -> SeriesReading {
        let selector: SeriesSelector
        do throws(SelectorError) {
            selector = try SeriesSelector(parsing: query.selector)
        } catch {
            return .unavailable(error.description)
        }
        switch query.kind {
        case .gauge, .counter:
            let samples = exposition.select(selector)
            guard samples.count <= Self.maxSeries else { return tooMany(samples.count) }
            if samples.isEmpty, !exposition.samples(named: selector.name + "_bucket").isEmpty {
                return .unavailable(
                    "\(selector.name) is a histogram: use a quantile, or name its _sum or _count")
            }
            return .values(
                Dictionary(samples.map { (Self.key($0.labels), $0.value) }, uniquingKeysWith: { first, _ in first }))
        case .histogram:
            let parts = exposition.histograms(selector)
            guard parts.count <= Self.maxSeries else { return tooMany(parts.count) }
            if parts.isEmpty, !exposition.select(selector).isEmpty {
                return .unavailable("\(selector.name) is no histogram: it has no buckets to read a quantile from")
            }
            return .histograms(
                Dictionary(
                    parts.map { (Self.key($0.labels), cumulative($0, scale: 1)) },
                    uniquingKeysWith: { first, _ in first }))
        }
    }

    private func tooMany(_ count: Int) -> SeriesReading {
        .unavailable("it matches \(count) series, more than \(Self.maxSeries): add label conditions")
    }

    private func cumulative(_ sample: HistogramSample, scale: Double) -> CumulativeHistogram {
        CumulativeHistogram(bounds: sample.bounds.map { $0 * scale }, counts: sample.cumulative)
    }

    private static func key(_ labels: [Label]) -> String {
        labels.map { LabelMatcher($0.name, .equals($0.value)).description }.joined(separator: ",")
    }
}
