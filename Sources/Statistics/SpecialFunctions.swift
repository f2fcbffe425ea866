import CMath

/// ln Γ(x), x > 0.
public func logGamma(_ x: Double) -> Double {
    precondition(x > 0, "logGamma of \(x)")
    return cmath_lgamma(x)
}

/// ln B(a, b); a, b > 0.
public func logBeta(_ a: Double, _ b: Double) -> Double {
    logGamma(a) + logGamma(b) - logGamma(a + b)
}

/// The regularized incomplete beta function I[x; a, b], the probability that a Beta(a, b) variable is at most x.
/// - Parameter x: 0 ... 1.
public func regularizedBeta(_ x: Double, _ a: Double, _ b: Double) -> Double {
    exp(logRegularizedBeta(x, a, b))
}

/// ln I[x; a, b], also where I itself is too small for a Double. The relative error of I is about 1e-13.
///
/// The continued fraction (NIST DLMF 8.17.22) is evaluated by Lentz's method on the side where it converges fast. Its
/// prefactor is computed from Loader's deviances (Fast and accurate computation of binomial probabilities, 2000), since
/// differences of ln Γ would lose six digits at a, b near 10⁶.
public func logRegularizedBeta(_ x: Double, _ a: Double, _ b: Double) -> Double {
    precondition(a > 0 && b > 0 && x >= 0 && x <= 1, "logRegularizedBeta(\(x), \(a), \(b))")
    return logRegularizedBeta(x, 1 - x, a, b)
}

/// ln I[x; a, b] with y = 1 − x given separately, so that whichever of the two is tiny keeps its digits.
func logRegularizedBeta(_ x: Double, _ y: Double, _ a: Double, _ b: Double) -> Double {
    if x <= 0 { return -.infinity }
    if y <= 0 { return 0 }
    let front = logBetaPower(x, y, a, b)
    if x < (a + 1) / (a + b + 2) {
        return front - ln(a) + ln(betaFraction(x, a, b))
    }
    let upper = front - ln(b) + ln(betaFraction(y, b, a))
    // A complement near 1 would lose digits here. On this side of the mean it is below 0.92 for b ≥ ½.
    return ln1p(-exp(min(upper, 0)))
}

/// The logarithm of the prefactor xᵃ yᵇ / B(a, b).
private func logBetaPower(_ x: Double, _ y: Double, _ a: Double, _ b: Double) -> Double {
    let n = a + b
    let deviance = binomialDeviance(a, n * x) + binomialDeviance(b, n * y)
    let correction = stirlingError(n) - stirlingError(a) - stirlingError(b)
    return correction - deviance + 0.5 * ln(a * b / (2 * .pi * n))
}

/// The error of Stirling's approximation: ln Γ(z + 1) − (z + ½) ln z + z − ½ ln 2π.
private func stirlingError(_ z: Double) -> Double {
    if z < 16 {
        return cmath_lgamma(z + 1) - (z + 0.5) * ln(z) + z - 0.918_938_533_204_672_741_8
    }
    let w = 1 / (z * z)
    return (1 / 12.0 - (1 / 360.0 - (1 / 1260.0 - (1 / 1680.0 - w / 1188) * w) * w) * w) / z
}

/// Loader's deviance a ln(a/m) + m − a, without cancellation when a is near m.
private func binomialDeviance(_ a: Double, _ m: Double) -> Double {
    let difference = a - m
    guard abs(difference) < 0.1 * (a + m) else { return a * ln(a / m) + m - a }
    let v = difference / (a + m)
    var sum = difference * v
    var power = 2 * a * v
    let square = v * v
    for j in 1..<1000 {
        power *= square
        let next = sum + power / Double(2 * j + 1)
        if next == sum { break }
        sum = next
    }
    return sum
}

/// The continued fraction of I[x; a, b] · a · B(a, b) / (xᵃ(1 − x)ᵇ).
private func betaFraction(_ x: Double, _ a: Double, _ b: Double) -> Double {
    let tiny = 1e-300
    var c = 1.0
    var d = 1 - (a + b) * x / (a + 1)
    d = 1 / (abs(d) < tiny ? tiny : d)
    var h = d
    func step(_ term: Double) {
        d = 1 + term * d
        d = 1 / (abs(d) < tiny ? tiny : d)
        c = 1 + term / c
        if abs(c) < tiny { c = tiny }
        h *= d * c
    }
    // About √max(a, b) terms are needed; the bound only ends the loop for a NaN.
    for m in 1..<1_000_000 {
        let k = Double(m)
        step(k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k)))
        step(-(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1)))
        if abs(d * c - 1) < 1e-15 { break }
    }
    return h
}
