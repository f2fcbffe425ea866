extension Duration {
    /// The duration in seconds, rounded to a double.
    @inlinable public var seconds: Double {
        let (whole, attoseconds) = components
        return Double(whole) + Double(attoseconds) * 1e-18
    }

    /// Whole nanoseconds; clamped to Int64, which holds 292 years.
    @inlinable public var nanoseconds: Int64 {
        let (whole, attoseconds) = components
        let (scaled, overflow) = whole.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? (whole < 0 ? .min : .max) : scaled &+ attoseconds / 1_000_000_000
    }

    /// The duration as policies write it: `250ms`, `1.5s`, `5m`, `1h30m`, `24h`.
    public var written: String {
        let nanos = nanoseconds
        if nanos == 0 { return "0s" }
        if nanos < 0 { return "-" + (.zero - self).written }
        if nanos < 1_000_000_000 {
            if nanos % 1_000_000 == 0 { return "\(nanos / 1_000_000)ms" }
            return "\(trimmed(Double(nanos) / 1e6))ms"
        }
        if nanos < 60_000_000_000 { return "\(trimmed(Double(nanos) / 1e9))s" }
        var rest = nanos / 1_000_000_000
        var text = ""
        for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] as [(String, Int64)]
        where rest >= size && !(unit == "d" && rest % 86_400 != 0) {
            text += "\(rest / size)\(unit)"
            rest %= size
        }
        return text
    }
}

/// A number with at most three decimals, without trailing zeros.
private func trimmed(_ value: Double) -> String {
    let thousandths = Int64((value * 1000).rounded())
    var text = "\(thousandths / 1000)"
    var rest = thousandths % 1000
    if rest != 0 {
        var digits = ""
        for divisor in [Int64(100), 10, 1] where rest != 0 {
            digits += "\(rest / divisor)"
            rest %= divisor
        }
        text += ".\(digits)"
    }
    return text
}
