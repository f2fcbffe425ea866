import CMath

// Every probability in this module is kept as its natural logarithm.
//
// Reproducibility rests on IEEE 754 arithmetic, which Swift neither reorders nor contracts, and on libm's log, log1p,
// exp, expm1 and lgamma. libm may differ in the last bit between versions and between processors with and without fused
// multiply-add. A decision recomputed on the same machine with the same libm is therefore the same bit for bit, and one
// recomputed elsewhere agrees to about 1e-12.

/// The natural logarithm.
public func ln(_ x: Double) -> Double { cmath_log(x) }
/// The evidence E as a plain number, for display.
/// - Parameter x: ln E.
public func evidence(ofLog x: Double) -> Double { cmath_exp(x) }
/// ln(1 + x), accurate for small x.
@inline(__always) func ln1p(_ x: Double) -> Double { cmath_log1p(x) }
@inline(__always) func exp(_ x: Double) -> Double { cmath_exp(x) }
/// eˣ − 1, accurate for small x.
@inline(__always) func expm1(_ x: Double) -> Double { cmath_expm1(x) }

/// ln(eᵃ + eᵇ).
@inline(__always) public func logAddExp(_ a: Double, _ b: Double) -> Double {
    let high = max(a, b)
    return high == -.infinity ? high : high + ln1p(exp(min(a, b) - high))
}

/// ln Σ eˣ; −∞ for an empty sequence.
func logSumExp(_ terms: some Sequence<Double>) -> Double {
    var high = -Double.infinity
    for x in terms { high = max(high, x) }
    guard high > -.infinity else { return high }
    var sum = 0.0
    for x in terms { sum += exp(x - high) }
    return high + ln(sum)
}

/// ln n!, from a table for small n.
@inline(__always) func logFactorial(_ n: Int) -> Double {
    n < logFactorialTable.count ? logFactorialTable[n] : cmath_lgamma(Double(n) + 1)
}

/// ln n! for the counts of one arm in one second, which are nearly always below 4,096; 32 KiB.
private let logFactorialTable: [Double] = (0..<4096).map { cmath_lgamma(Double($0) + 1) }

/// ln C(n, k).
func logChoose(_ n: Int, _ k: Int) -> Double {
    logFactorial(n) - logFactorial(k) - logFactorial(n - k)
}
