/// The latencies of one arm, as the proxy measured them or as they were scraped.
protocol LatencySample {
    /// The p-quantile in seconds and its number of samples; nil without samples.
    func quantile(_ p: Double) -> (value: Double, samples: UInt64)?
    /// The share of requests that were slower than a threshold in seconds. If the threshold lies within a bucket, that
    /// bucket's requests count as faster, in the candidate's favor.
    func exceeding(_ seconds: Double) -> Proportion
    /// True if the p-quantile is beyond a threshold in seconds, counted as in `exceeding`.
    func isBeyond(_ seconds: Double, quantile p: Double) -> Bool
    /// The edges around a bound; nil if the sample can be compared with the bound exactly.
    func span(around seconds: Double) -> BucketSpan?
    /// The share of requests that were slower than the lower edge: at least the share slower than the bound.
    func exceeding(span: BucketSpan) -> Proportion
}

struct ScrapedLatency: LatencySample {
    let delta: SeriesDelta

    init(_ delta: SeriesDelta) { self.delta = delta }

    private var histogram: CumulativeHistogram? {
        if case .histogram(let histogram) = delta.latency { histogram } else { nil }
    }

    /// The number of successful and failed requests; 0 without a histogram. As a server may report anything, it may
    /// exceed `Proportion.largestCount`.
    var population: Double { histogram.map { $0.total + delta.slower } ?? 0 }

    func quantile(_ p: Double) -> (value: Double, samples: UInt64)? {
        guard let estimate = delta.latencyQuantile(p), let all = Proportion(counted: 0, of: population) else {
            return nil
        }
        return (estimate.value, all.trials)
    }

    func exceeding(_ seconds: Double) -> Proportion {
        guard let histogram else { return Proportion(0, of: 0) }
        let edge = histogram.edge(atOrAbove: seconds)
        return slower(than: edge < histogram.counts.count ? histogram.counts[edge] : 0)
    }

    /// Counts requests instead of computing the quantile, since for a quantile above the highest finite edge only that
    /// edge is known.
    func isBeyond(_ seconds: Double, quantile p: Double) -> Bool { exceeding(seconds).rate ?? 0 > 1 - p }

    func span(around seconds: Double) -> BucketSpan? { histogram?.span(around: seconds) }

    func exceeding(span: BucketSpan) -> Proportion {
        guard let histogram else { return Proportion(0, of: 0) }
        return slower(than: span.lower.map { histogram.counts[histogram.edge(atOrAbove: $0)] } ?? 0)
    }

    private func slower(than within: Double) -> Proportion {
        Proportion(counted: max(population - within, 0), of: population) ?? Proportion(0, of: 0)
    }
}
