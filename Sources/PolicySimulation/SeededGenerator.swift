import CMath
import PolicyModel
import Statistics

/// A generator of random numbers from several distributions; the same seed gives the same numbers.
struct SeededGenerator: RandomNumberGenerator {
    private var source: SplitMix64
    /// The second of the two normal numbers that are drawn together.
    private var spare: Double?

    init(seed: UInt64) { source = SplitMix64(seed: seed) }

    mutating func next() -> UInt64 { source.next() }

    /// A number in 0 ..< 1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    mutating func chance(_ probability: Double) -> Bool { unit() < probability }

    /// A standard normal number, by Marsaglia's polar method.
    mutating func normal() -> Double {
        if let spare {
            self.spare = nil
            return spare
        }
        while true {
            let u = 2 * unit() - 1
            let v = 2 * unit() - 1
            let s = u * u + v * v
            if s > 0, s < 1 {
                let factor = (-2 * cmath_log(s) / s).squareRoot()
                spare = v * factor
                return u * factor
            }
        }
    }

    /// A Poisson number, from products of uniform numbers (Knuth). A large mean is divided into parts, because a sum of
    /// Poisson numbers is Poisson.
    mutating func poisson(_ mean: Double) -> Int {
        var count = 0
        var rest = mean
        while rest > 0 {
            let part = min(rest, Self.poissonPart)
            rest -= part
            let limit = cmath_exp(-part)
            var product = unit()
            while product > limit {
                count += 1
                product *= unit()
            }
        }
        return count
    }

    /// The largest mean that is drawn at once; exp(-16), and so every product, is far above the smallest Double.
    private static let poissonPart = 16.0

    /// An exponential number with mean 1: the gap between two arrivals of a Poisson process, in units of its mean gap.
    mutating func exponential() -> Double { -cmath_log(1 - unit()) }
}

/// Draws log-normal latencies.
struct LatencySampler {
    private let logMedian: Double
    private let sigma: Double

    init(_ shape: LatencyShape) {
        let median = max(shape.p50.seconds, 1e-6)
        logMedian = cmath_log(median)
        sigma = max(cmath_log(max(shape.p95.seconds, median) / median) / Self.normalP95, 0)
    }

    /// The 95th percentile of the standard normal distribution.
    static let normalP95 = 1.6448536269514722

    /// A latency in microseconds, at most 4e9, so that it fits into an observation.
    func draw(_ random: inout SeededGenerator) -> UInt32 {
        UInt32(saturating: min(max(cmath_exp(logMedian + sigma * random.normal()) * 1e6, 1), 4e9).rounded(.down))
    }
}
