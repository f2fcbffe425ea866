/// Latencies of one arm, wherever they come from.
protocol LatencySample {
    /// The p-quantile in seconds and how many samples it rests on; nil without samples.
    func quantile(_ p: Double) -> (value: Double, samples: UInt64)?
    /// How many were slower than a threshold in seconds, counted in the candidate's favor where buckets are coarse.
    func exceeding(_ seconds: Double) -> Proportion
    /// Whether the p-quantile is beyond a threshold in seconds, counted like `exceeding`.
    func isBeyond(_ seconds: Double, quantile p: Double) -> Bool
    /// The edges that a bound lies between; nil where it can be judged as it is.
    func span(around seconds: Double) -> BucketSpan?
    /// How many were slower than the lower edge: at least as many as were slower than the bound.
    func exceeding(span: BucketSpan) -> Proportion
}

struct ScrapedLatency: LatencySample {
    let delta: SeriesDelta

    init(_ delta: SeriesDelta) { self.delta = delta }

    private var histogram: CumulativeHistogram? {
        if case .histogram(let histogram) = delta.latency { histogram } else { nil }
    }

    /// Answered and failed requests; 0 without a histogram. It may be more than can be counted.
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

    /// Counted instead of compared with the quantile: of one above the highest edge only that edge is known.
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
