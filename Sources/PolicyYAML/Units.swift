import Vocabulary

/// Parses values with units. The `InvalidValue` that a function throws says what is wrong and how to write the value instead; the
/// caller puts the value in front of that text.
enum Units {
    static let durationUnits: [(name: String, nanoseconds: Double)] = [
        ("d", 86_400e9), ("h", 3_600e9), ("m", 60e9), ("s", 1e9), ("ms", 1e6), ("us", 1e3),
    ]

    /// Parses a duration such as `250ms`, `1.5s`, `5m`, `1h30m` or `7d`. Each unit may appear once, the largest first.
    static func duration(_ text: String) throws(InvalidValue) -> Duration {
        if text.isEmpty { throw InvalidValue("is empty: write one such as 5m") }
        if let bare = number(Substring(text)) {
            // A number without a unit usually means milliseconds (a latency) or minutes (a time of a rollout).
            throw InvalidValue(
                bare < 100 ? "has no unit: write \(text)s or \(text)m" : "has no unit: write \(text)ms or \(text)s")
        }
        var rest = Substring(text)
        var total = 0.0
        var smallest = -1
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            let unit = rest.dropFirst(digits.count).prefix { $0.isASCII && $0.isLetter }
            guard let value = Double(digits), !unit.isEmpty else {
                throw InvalidValue("is no duration: write 250ms, 5m or 1h30m")
            }
            guard let index = durationUnits.firstIndex(where: { $0.name == unit }) else {
                throw InvalidValue("has an unknown unit '\(unit)': write d, h, m, s, ms or us")
            }
            guard index > smallest else {
                throw InvalidValue("names its units out of order: write 1h30m, large units first")
            }
            smallest = index
            total += value * durationUnits[index].nanoseconds
            rest = rest.dropFirst(digits.count + unit.count)
        }
        guard total <= 3650 * 86_400e9 else { throw InvalidValue("is longer than ten years") }
        return .nanoseconds(Int64(total.rounded()))
    }

    /// Parses a share such as `1%` or `0.01`. The caller checks the range.
    static func fraction(_ text: String) throws(InvalidValue) -> Double {
        if text.hasSuffix("pp") {
            throw InvalidValue("is in percentage points, which are for drops: write \(text.dropLast(2))%")
        }
        if text.hasSuffix("%") {
            guard let value = number(text.dropLast()) else { throw InvalidValue("is no share: write 1% or 0.01") }
            return value / 100
        }
        guard let value = number(Substring(text)) else { throw InvalidValue("is no share: write 1% or 0.01") }
        guard value <= 1 else { throw InvalidValue("has no unit: write \(text)%") }
        return value
    }

    /// Parses a difference of two shares such as `5pp` or `0.05`.
    static func points(_ text: String) throws(InvalidValue) -> Double {
        if text.hasSuffix("%") {
            throw InvalidValue(
                "is a relative change, and this is a difference: write \(text.dropLast())pp (percentage points)")
        }
        if text.hasSuffix("pp") {
            guard let value = number(text.dropLast(2)) else {
                throw InvalidValue("is no difference: write 5pp or 0.05")
            }
            return value / 100
        }
        guard let value = number(Substring(text)) else { throw InvalidValue("is no difference: write 5pp or 0.05") }
        guard value <= 1 else { throw InvalidValue("has no unit: write \(text)pp") }
        return value
    }

    static let quantiles: [(name: String, value: Double)] = [
        ("p50", 0.5), ("p75", 0.75), ("p80", 0.8), ("p90", 0.9), ("p95", 0.95), ("p98", 0.98), ("p99", 0.99),
        ("p99.5", 0.995), ("p99.9", 0.999), ("p99.99", 0.9999), ("p25", 0.25), ("p10", 0.1), ("p5", 0.05), ("p1", 0.01),
    ]

    /// Parses a quantile: one of the usual names such as `p95`, or any number such as `0.97`. Other names are refused,
    /// because `p59` is more likely a typing error.
    static func quantile(_ text: String) throws(InvalidValue) -> Double {
        if let known = quantiles.first(where: { $0.name == text.lowercased() }) { return known.value }
        if let value = number(Substring(text)) {
            guard value > 0, value < 1 else {
                throw InvalidValue("is out of range: write p95, or a number between 0 and 1")
            }
            return value
        }
        let hint = Suggestion.hint(for: text, among: quantiles.map(\.name))
        guard text.lowercased().hasPrefix("p"), let percent = number(text.dropFirst()), percent > 0, percent < 100
        else { throw InvalidValue("is no quantile: \(hint)") }
        throw InvalidValue("is no usual quantile: \(hint) Write \(decimal(percent / 100)) where it is meant")
    }

    static let sizes: [(suffix: String, factor: Double)] = [
        ("TiB", 1_099_511_627_776), ("GiB", 1_073_741_824), ("MiB", 1_048_576), ("KiB", 1024),
        ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1),
    ]

    /// Parses a size such as `64KiB`, `1.5MB` or `512B` into bytes.
    static func bytes(_ text: String) throws(InvalidValue) -> Int {
        if number(Substring(text)) != nil { throw InvalidValue("has no unit: write \(text)B or \(text)KiB") }
        guard let size = sizes.first(where: { text.hasSuffix($0.suffix) }),
            let value = number(text.dropLast(size.suffix.count)), value >= 0, value * size.factor < 1e15
        else { throw InvalidValue("is no size: write 64KiB, 1MiB or 512B") }
        return Int((value * size.factor).rounded())
    }

    /// Parses a quantity into a series' base unit: `70GiB` into bytes, `250ms` into seconds, `90%` into 0.9, or a number.
    static func quantity(_ text: String) throws(InvalidValue) -> Double { try measure(text).value }

    /// Parses a quantity, and returns its unit as well; nil for a number without one.
    static func measure(_ text: String) throws(InvalidValue) -> (value: Double, unit: MeasureUnit?) {
        if let value = number(Substring(text)) { return (value, nil) }
        if text.hasSuffix("%"), let value = number(text.dropLast()) { return (value / 100, .ratio) }
        for (suffix, factor) in sizes where text.hasSuffix(suffix) {
            if let value = number(text.dropLast(suffix.count)) { return (value * factor, .bytes) }
        }
        if let duration = try? duration(text) { return (duration.seconds, .seconds) }
        throw InvalidValue("is no quantity: write a number, alone or with a unit such as 70GiB, 250ms or 90%")
    }

    /// Parses a rate such as `20/s`, `1200/m` or `5/h` into a rate per second.
    static func rate(_ text: String) throws(InvalidValue) -> Double {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 1, number(parts[0]) != nil { throw InvalidValue("has no unit: write \(text)/s") }
        let seconds: [Substring: Double] = ["s": 1, "m": 60, "h": 3600]
        guard parts.count == 2, let count = number(parts[0]), count >= 0, let unit = seconds[parts[1]] else {
            throw InvalidValue("is no rate: write 20/s, 1200/m or 5/h")
        }
        return count / unit
    }

    static func integer(_ text: String) throws(InvalidValue) -> Int {
        guard let value = Int(text), !text.hasPrefix("+") else {
            throw InvalidValue("is no whole number: write it in digits")
        }
        return value
    }

    static func boolean(_ text: String) throws(InvalidValue) -> Bool {
        switch text {
        case "true": return true
        case "false": return false
        case "yes", "on", "Yes", "On", "True", "TRUE": throw InvalidValue("is read as text: write true")
        case "no", "off", "No", "Off", "False", "FALSE": throw InvalidValue("is read as text: write false")
        default: throw InvalidValue("is neither true nor false")
        }
    }

    /// Parses a decimal number with an optional sign, point and exponent; no hexadecimals, infinities or NaN.
    static func number(_ text: Substring) -> Double? {
        guard let first = text.first, first.isASCII, first.isNumber || first == "-" || first == ".",
            text.allSatisfy({ $0.isASCII && ($0.isNumber || ".-+eE".contains($0)) }),
            let value = Double(text), value.isFinite
        else { return nil }
        return value
    }

    /// The shortest text of a number, rounded to four decimals.
    static func decimal(_ value: Double) -> String {
        let rounded = (value * 10_000).rounded() / 10_000
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
    }

    /// The text of a share as in configuration files: `5%`, `0.2%`.
    static func percent(_ value: Double) -> String { decimal(value * 100) + "%" }
}
