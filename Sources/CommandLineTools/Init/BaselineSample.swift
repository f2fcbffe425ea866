import PolicyModel
import PrometheusText

/// What the baseline did between two scrapes of its own metrics.
struct BaselineSample {
    /// The least number of requests from which a tail can be read.
    static let fewest = 200.0
    /// Requests a second that no server answers, and seconds that no request takes: beyond them the metrics are wrong.
    private static let highestRate = 1e6
    private static let longestLatency = 86_400.0

    var seconds: Double
    /// The requests in that time; nil if the metrics show none, the server restarted, or `isImpossible`.
    var requests: Double?
    /// True if the counters grew by a number that cannot be a count of requests.
    var isImpossible = false
    var errors = 0.0
    /// Latency quantiles in seconds; nil if they are not known.
    var p50: Double?
    var p95: Double?

    var rate: Double { (requests ?? 0) / seconds }
    var errorRate: Double { requests.map { $0 > 0 ? errors / $0 : 0 } ?? 0 }
    var isEnough: Bool { requests ?? 0 >= Self.fewest }

    init(_ preset: MetricsPreset, from before: Exposition, to after: Exposition, seconds: Double) {
        self.seconds = seconds
        func sum(_ series: [PresetSeries], _ exposition: Exposition) -> Double {
            series.compactMap { exposition.sum($0.selector) }.reduce(0, +)
        }
        let grown = sum(preset.requests, after) - sum(preset.requests, before)
        let failed = sum(preset.errors, after) - sum(preset.errors, before)
        guard grown <= Self.highestRate * seconds, failed.isFinite else {
            isImpossible = true
            return
        }
        guard grown >= 0 else { return }
        requests = grown
        errors = max(0, min(grown, failed))
        guard case .histogram(let series, let scale, _) = preset.latency else { return }
        let counts = Self.counts(after.histograms(series.selector), less: before.histograms(series.selector))
        func latency(_ q: Double) -> Double? {
            guard let seconds = Self.quantile(q, counts).map({ $0 * scale }) else { return nil }
            return (0...Self.longestLatency).contains(seconds) ? seconds : nil
        }
        p50 = latency(0.5)
        p95 = latency(0.95)
    }

    init(seconds: Double) { self.seconds = seconds }

    /// Observations at or below each bound, over all label sets.
    private static func counts(
        _ after: [HistogramSample], less before: [HistogramSample]
    ) -> [(bound: Double, count: Double)] {
        var sums: [Double: Double] = [:]
        for (histograms, sign) in [(after, 1.0), (before, -1.0)] {
            for histogram in histograms {
                for (bound, count) in zip(histogram.bounds, histogram.cumulative) {
                    sums[bound, default: 0] += sign * count
                }
            }
        }
        return sums.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
    }

    /// The quantile, interpolated within its bucket; the last finite bound if it lies beyond.
    static func quantile(_ q: Double, _ counts: [(bound: Double, count: Double)]) -> Double? {
        guard let total = counts.last?.count, total > 0 else { return nil }
        var below = (bound: 0.0, count: 0.0)
        for entry in counts {
            if entry.count >= q * total {
                guard entry.bound.isFinite else { return below.bound > 0 ? below.bound : nil }
                let part = (q * total - below.count) / max(entry.count - below.count, 1e-9)
                return below.bound + part * (entry.bound - below.bound)
            }
            below = (entry.bound, entry.count)
        }
        return nil
    }
}

/// Bounds from what was seen.
struct ProposedBounds {
    /// The factors between the measured values and the bounds: room for a day that is worse than the measured time.
    static let latencyRoom = 1.3
    static let errorRoom = 4.0

    /// The P95 of the latency; nil if unknown.
    var p95: Duration?
    var maxErrors: Double
    var errorFloor: Double

    init(_ sample: BaselineSample) {
        let isKnown = sample.isEnough
        p95 =
            isKnown
            ? sample.p95.map { .nanoseconds(Int64(saturating: Self.roundedUp($0 * Self.latencyRoom) * 1e9)) } : nil
        maxErrors = max(0.01, isKnown ? min(Self.roundedUp(sample.errorRate * Self.errorRoom), 0.5) : 0.02)
        errorFloor = isKnown ? min(max(0.002, Self.roundedUp(sample.errorRate * 1.5)), maxErrors) : 0.01
    }

    /// Rounds to two digits: .1092 as .11.
    static func roundedUp(_ value: Double) -> Double {
        guard value > 0, value.isFinite else { return 0 }
        var scale = 1.0
        while value * scale < 10 { scale *= 10 }
        while value * scale >= 100 { scale /= 10 }
        // A hair less, so that what is exact stays so.
        return (value * scale - 1e-9).rounded(.up) / scale
    }
}
