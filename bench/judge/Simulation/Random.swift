import Glibc
import Statistics

/// The generator xoshiro256++, seeded by SplitMix64.
struct Random: RandomNumberGenerator {
    private var s: (UInt64, UInt64, UInt64, UInt64)

    init(seed: UInt64) {
        var words = SplitMix64(seed: seed)
        s = (words.next(), words.next(), words.next(), words.next())
    }

    mutating func next() -> UInt64 {
        func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
        let result = rotate(s.0 &+ s.3, 23) &+ s.0
        let t = s.1 << 17
        s.2 ^= s.0
        s.3 ^= s.1
        s.1 ^= s.2
        s.0 ^= s.3
        s.2 ^= t
        s.3 = rotate(s.3, 45)
        return result
    }

    /// A number in [0, 1).
    mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    mutating func normal() -> Double {
        (-2 * log(1 - uniform())).squareRoot() * cos(2 * .pi * uniform())
    }

    mutating func exponential(mean: Double) -> Double { -mean * log(1 - uniform()) }

    mutating func poisson(_ mean: Poisson) -> Int {
        if mean.mean <= 0 { return 0 }
        if mean.mean < 12 {
            var u = uniform() - mean.zero
            var p = mean.zero
            var k = 0
            while u >= 0 && k < 200 {
                k += 1
                p *= mean.mean / Double(k)
                u -= p
            }
            return k
        }
        // Hörmann's transformed rejection (1993).
        while true {
            let u = uniform() - 0.5
            let v = uniform()
            let us = 0.5 - abs(u)
            let k = ((2 * mean.a / us + mean.b) * u + mean.mean + 0.43).rounded(.down)
            if us >= 0.07 && v <= mean.vr { return Int(k) }
            if k < 0 || (us < 0.013 && v > us) { continue }
            let accept = log(v) + log(mean.inverseAlpha) - log(mean.a / (us * us) + mean.b)
            if accept <= -mean.mean + k * mean.logMean - lgamma(k + 1) { return Int(k) }
        }
    }

    /// A gamma number with scale 1 and shape ≥ 1 (Marsaglia and Tsang 2000).
    mutating func gamma(_ shape: Double) -> Double {
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let x = normal()
            let v = (1 + c * x) * (1 + c * x) * (1 + c * x)
            if v > 0 && log(1 - uniform()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
        }
    }

    /// A draw of the k-th smallest of n uniform numbers.
    mutating func orderStatistic(_ k: Int, of n: Int) -> Double {
        let a = gamma(Double(k))
        let b = gamma(Double(n - k + 1))
        return a / (a + b)
    }
}

/// The mean of a Poisson distribution, with the constants that drawing from it needs.
struct Poisson {
    let mean: Double
    let zero: Double
    let b: Double
    let a: Double
    let vr: Double
    let inverseAlpha: Double
    let logMean: Double

    init(_ mean: Double) {
        self.mean = mean
        zero = mean < 12 ? exp(-mean) : 0
        b = 0.931 + 2.53 * mean.squareRoot()
        a = -0.059 + 0.02483 * b
        vr = 0.9277 - 3.6224 / (b - 2)
        inverseAlpha = 1.1239 + 1.1328 / (b - 3.4)
        logMean = log(max(mean, 1e-300))
    }
}
