import PolicyModel
import PrometheusText
import Statistics

/// The traffic of the baseline between two scrapes of its own metrics.
struct BaselineSample {
    /// The smallest number of requests from which the tail of the latency can be estimated.
    static let fewest = 200.0
    /// The highest plausible request rate per second, and the longest plausible latency in seconds. Metrics beyond them
    /// are not believed.
    private static let highestRate = 1e6
    private static let longestLatency = 86_400.0

    /// The time between the two scrapes.
    var seconds: Double
    /// The requests in that time; nil if the metrics show none, the server restarted, or `isImpossible`.
    var requests: Double?
    /// True if the counters grew by a number that cannot be a count of requests.
    var isImpossible = false
    var errors = 0.0
    /// False if the metrics do not count failures, so that `errors` is 0 whatever happened.
    var countsErrors = true
    /// Latency quantiles in seconds; nil if they are not known.
    var p50: Double?
    var p95: Double?
    /// The lowest bound of the latency histogram, in seconds; nil without one. A quantile below it is a guess.
    var lowestBound: Double?

    /// The P95 as a part of a sentence, which says where it is a guess; nil if it is not known.
    var p95Text: String? {
        p95.map { p95 in
            let guess = lowestBound.flatMap { p95 < $0 ? InitFiles.time($0) : nil }
            return "P95 \(InitFiles.time(p95))"
                + (guess.map { " (a guess: the histogram shows nothing below \($0))" } ?? "")
        }
    }

    var rate: Double { (requests ?? 0) / seconds }
    var errorRate: Double { requests.map { $0 > 0 ? errors / $0 : 0 } ?? 0 }
    /// The share of failed requests as a part of a sentence.
    var errorText: String { countsErrors ? "\(Words.percent(errorRate)) failed" : "failures are not counted" }
    var isEnough: Bool { requests ?? 0 >= Self.fewest }

    init(_ preset: MetricsPreset, from before: Exposition, to after: Exposition, seconds: Double) {
        self.seconds = seconds
        func sum(_ series: [PresetSeries], _ exposition: Exposition) -> Double {
            series.compactMap { exposition.sum($0.selector(on: exposition)) }.reduce(0, +)
        }
        let grown = sum(preset.requests, after) - sum(preset.requests, before)
        let failed = sum(preset.errorSeries, after) - sum(preset.errorSeries, before)
        guard grown <= Self.highestRate * seconds, failed.isFinite else {
            isImpossible = true
            return
        }
        guard grown >= 0 else { return }
        requests = grown
        countsErrors = !preset.errorSeries.isEmpty
        errors = max(0, min(grown, failed))
        guard case .histogram(let series, _) = preset.latency else { return }
        let selector = series.selector(on: after)
        let counts = Self.counts(after.histograms(selector), less: before.histograms(selector))
        func latency(_ q: Double) -> Double? {
            guard let seconds = Self.quantile(q, counts).map({ $0 * series.scale }) else { return nil }
            return (0...Self.longestLatency).contains(seconds) ? seconds : nil
        }
        p50 = latency(0.5)
        p95 = latency(0.95)
        lowestBound = counts.first.flatMap { $0.bound.isFinite ? $0.bound * series.scale : nil }
    }

    init(seconds: Double) { self.seconds = seconds }

    /// The observations between two scrapes at or below each bound, summed over all label sets, in ascending order.
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

    /// The quantile, interpolated within its bucket; the last finite bound if it lies beyond, nil without observations.
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

/// The bounds that `init` proposes from a sample of the baseline.
struct ProposedBounds {
    /// The factors from measured values to bounds: a margin for days that are worse than the measured time.
    static let latencyRoom = 1.3
    /// The least room above a measured latency, in seconds. Measured at the servers, it lacks the way through the proxy,
    /// and a ceiling that is too near cannot be proven.
    static let leastLatencyRoom = 0.005
    static let errorRoom = 4.0

    /// The ceiling for the P95 of the latency; nil if the P95 was not measured.
    var p95: Duration?
    /// The ceiling for the error rate, and the rate up to which an increase is accepted, both 0 ... 1.
    var maxErrors: Double
    var errorFloor: Double

    init(_ sample: BaselineSample) {
        let isKnown = sample.isEnough
        p95 =
            isKnown
            ? sample.p95.map { p95 in
                let ceiling = max(p95 * Self.latencyRoom, p95 + Self.leastLatencyRoom)
                return .nanoseconds(Int64(saturating: Self.roundedUp(ceiling) * 1e9))
            } : nil
        maxErrors = max(
            0.01,
            isKnown && sample.countsErrors ? min(Self.roundedUp(sample.errorRate * Self.errorRoom), 0.5) : 0.02)
        errorFloor = isKnown ? min(max(0.002, Self.roundedUp(sample.errorRate * 1.5)), 0.75 * maxErrors) : 0.01
        guard isKnown else { return }
        let provable = Self.provableRate(atLeast: errorFloor, sample)
        isRaised = provable > errorFloor
        errorFloor = provable
        // A ceiling has to be above the floor.
        if isRaised { maxErrors = max(maxErrors, Self.roundedUp(provable * 1.5)) }
    }

    /// True if `errorFloor` was raised because a lower one cannot be proven with this traffic.
    private(set) var isRaised = false
    /// The time within which a candidate that fails as often as the old version has to be proven: a working day, on the
    /// last step.
    static let workingDay = Duration.seconds(8 * 3600)
    /// The weight of the last step.
    static let lastWeight = 0.9
    /// The error rates that are tried as `errorFloor`, in ascending order.
    private static let floors = [0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05]

    /// The smallest rate from `least` on that can be proven in a working day; `least` if none up to 5 % can.
    private static func provableRate(atLeast least: Double, _ sample: BaselineSample) -> Double {
        // Count on half of the requests only, since the number that a proof takes varies by chance.
        let requests = sample.rate * lastWeight * workingDay.seconds / 2
        let needed = RiskBudget(alpha: Risk().falsePromote).logThreshold(weight: 1)
        return ([least] + floors.filter { $0 > least }).first { rate in
            let proof = BetaBinomialMixture(bound: rate, null: .atLeast, a: 0.5, b: 0.5 / rate)
            return proof.trialsNeeded(logThreshold: needed, rate: sample.errorRate).map { $0 <= requests } ?? false
        } ?? least
    }

    /// Rounds up to two significant digits: 0.1012 becomes 0.11.
    static func roundedUp(_ value: Double) -> Double {
        guard value > 0, value.isFinite else { return 0 }
        var scale = 1.0
        while value * scale < 10 { scale *= 10 }
        while value * scale >= 100 { scale /= 10 }
        // The subtraction keeps floating-point errors from rounding an exact value up.
        return (value * scale - 1e-9).rounded(.up) / scale
    }
}
