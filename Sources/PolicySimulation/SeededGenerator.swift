import CMath
import PolicyModel

/// Random numbers that are the same for the same seed: SplitMix64 (Steele, Lea, Flood 2014).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    private var spare: Double?

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// In 0 ..< 1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    mutating func chance(_ probability: Double) -> Bool { unit() < probability }

    /// Standard normal, by Marsaglia's polar method.
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

    /// Poisson: products of uniform numbers (Knuth), for large means in parts, as a sum of Poisson numbers is one.
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

    /// exp(-16) is far from the smallest double, and so are the products.
    private static let poissonPart = 16.0

    /// Exponential with mean 1: the gap between two arrivals of a Poisson process, in units of its mean gap.
    mutating func exponential() -> Double { -cmath_log(1 - unit()) }
}

/// A log-normal latency, ready to draw from.
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

    /// Microseconds, at most what an observation can hold.
    func draw(_ random: inout SeededGenerator) -> UInt32 {
        UInt32(min(max(cmath_exp(logMedian + sigma * random.normal()) * 1e6, 1), 4e9))
    }
}
