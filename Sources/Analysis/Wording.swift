import PolicyModel
import Vocabulary

extension Measurement {
    /// True for a measurement without a value, and for a group that is shown but too small to be judged.
    public var isTooSmall: Bool { value == nil || notes.contains { $0.kind == .tooSmallToJudge } }

    /// The notes as text; empty if there are none.
    public var note: String { notes.map(\.words).joined(separator: "; ") }

    /// True if so many requests failed that the latency quantile lies among them and is infinite.
    var hasNoEnd: Bool { unit == .seconds && value == .greatestFiniteMagnitude }

    /// The measurement as one line, such as
    /// `sex=Female: 17.3% against 53.9% on the baseline, worse by 36.6 points (at most 15 points)`.
    public var words: String {
        let note = note
        guard let value else { return note.isEmpty ? subject : "\(subject): \(note)" }
        let limit = "\(atMost ? "at most" : "at least") \(Self.format(bound, unit))"
        if hasNoEnd, notes.first?.kind == .failsMore { return "\(subject): \(note)" }
        var text = subject + ": "
        switch unit {
        case .points, .score:
            let mine = candidate.map { Self.format($0, unit.ofValues) } ?? "-"
            let theirs = baseline.map { Self.format($0, unit.ofValues) } ?? "-"
            let change = value >= 0 ? "worse by \(Self.format(value, unit))" : "better by \(Self.format(-value, unit))"
            text += "\(mine) against \(theirs) on the baseline, \(change) (\(limit))"
        case .ratio, .seconds, .bytes, .plain:
            text += "\(Self.format(value, unit)) (\(limit))"
            if let baseline { text += ", baseline \(Self.format(baseline, unit))" }
        }
        if candidateSamples > 0, baselineSamples > 0 || baseline != nil {
            text += ", \(candidateSamples) and \(baselineSamples) samples"
        }
        return note.isEmpty ? text : "\(text); \(note)"
    }

    /// A value in its unit, such as `1.25%`, `15 points`, `84.2 ms`, `70 GiB`, `12.5`.
    public static func format(_ value: Double, _ unit: MeasureUnit) -> String {
        if abs(value) >= .greatestFiniteMagnitude {
            return unit == .seconds ? "errors" : value > 0 ? "beyond measure" : "-beyond measure"
        }
        switch unit {
        case .ratio: return "\(decimals(value * 100, 2))%"
        case .points: return "\(decimals(value * 100, 1)) points"
        case .seconds:
            let size = abs(value)
            if size < 0.001 { return "\(decimals(value * 1e6, 0)) µs" }
            if size < 1 { return "\(decimals(value * 1e3, size < 0.1 ? 2 : 1)) ms" }
            return "\(decimals(value, 2)) s"
        case .bytes:
            var (scaled, unit) = (value, "B")
            for larger in ["KiB", "MiB", "GiB", "TiB"] where abs(scaled) >= 1_024 {
                (scaled, unit) = (scaled / 1_024, larger)
            }
            return "\(decimals(scaled, unit == "B" ? 0 : 2)) \(unit)"
        case .plain, .score: return abs(value) >= 1e15 ? "\(value)" : decimals(value, 3)
        }
    }

    /// A number rounded to at most `places` decimals, without trailing zeros.
    public static func decimals(_ value: Double, _ places: Int) -> String {
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        guard value.isFinite, abs(value * scale) < 9e18 else { return "\(value)" }
        let scaled = Int64((value * scale).rounded())
        let unit = Int64(scale)
        let magnitude = scaled.magnitude
        var text = "\(scaled < 0 ? "-" : "")\(magnitude / UInt64(unit))"
        var rest = magnitude % UInt64(unit)
        if rest > 0 {
            var digits = ""
            var place = UInt64(unit) / 10
            while rest > 0 {
                digits += "\(rest / place)"
                rest %= place
                place /= 10
            }
            text += "." + digits
        }
        return text
    }
}

extension CheckResult {
    /// The verdict and what it is based on, such as `fail: standard/error-rate: ceiling: 5% (at most 1%) …` or
    /// `no data: standard/error-rate: 3 of 20 requests …`.
    public var verdictWords: String {
        verdict == .noData && !missing.isEmpty
            ? "no data: \(path): \(missing)" : "\(verdict == .noData ? "no data" : verdict.rawValue): \(words)"
    }

    /// The decisive measurement with the check's path, such as `sensitive-groups/recall: sex=Female: 17.3% against …`.
    public var words: String {
        let counted =
            verdict == .fail && measured != .fail
            ? "\(failures) measurements failed, \(failureLimit) are tolerated; now " : ""
        return decisive.map { "\(path): \(counted)\($0.words)" } ?? "\(path): no measurement"
    }
}

extension Measurement {
    /// An upper bound on excess failures as text, such as `3 excess failures`.
    public static func failures(_ most: Double) -> String {
        let count = format(max(most.rounded(.up), 0), .plain)
        return "\(count) excess failure\(count == "1" ? "" : "s")"
    }
}
