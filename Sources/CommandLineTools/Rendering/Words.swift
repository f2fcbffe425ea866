import AdminTypes
import Analysis
import PolicyModel
import Vocabulary

/// Formats values in the same way in every command.
enum Words {
    static let nothing = "–"

    /// A number such as `4,000`.
    static func count(_ value: some BinaryInteger) -> String {
        let digits = Array("\(value)")
        var text = ""
        for (place, digit) in digits.enumerated() {
            if place > 0, (digits.count - place) % 3 == 0, digits[place - 1] != "-" { text += "," }
            text.append(digit)
        }
        return text
    }

    /// A number with its noun, such as `1 error` or `2,000 errors`; for nouns whose plural adds an s.
    static func count(_ value: some BinaryInteger, _ noun: String) -> String {
        "\(count(value)) \(noun)\(value == 1 ? "" : "s")"
    }

    /// A number with exactly one decimal.
    static func rate(_ value: Double) -> String {
        let text = Measurement.decimals(value, 1)
        return text.contains(".") || text.contains("e") ? text : text + ".0"
    }

    static func percent(_ ratio: Double?) -> String {
        ratio.map { Measurement.format($0, .ratio) } ?? nothing
    }

    static func seconds(_ figure: Figure?) -> String { value(figure, .seconds) }

    static func value(_ figure: Figure?, _ unit: MeasureUnit) -> String {
        figure.map { Measurement.format($0.value, unit) } ?? nothing
    }

    /// A time such as `1m42s`, in whole seconds rounded up.
    static func time(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds > 0 else { return "0s" }
        return Duration.seconds(Int64(min(seconds, 3e9).rounded(.up))).written
    }

    /// The bound of a measurement, such as `≤ 15 points`.
    static func bound(_ m: MeasurementStatus) -> String {
        (m.atMost ? "≤ " : "≥ ") + value(m.bound, m.unit)
    }

    /// The value and its bound, such as `17 points > 15 points`. A value beyond its bound need not have failed yet.
    static func comparison(_ m: MeasurementStatus) -> String {
        let sign = isBeyond(m) ? (m.atMost ? ">" : "<") : (m.atMost ? "≤" : "≥")
        return "\(Words.held(m)) \(sign) \(value(m.bound, m.unit))"
    }

    static func isBeyond(_ m: MeasurementStatus) -> Bool {
        guard let value = m.value?.value else { return false }
        return m.atMost ? value > m.bound.value : value < m.bound.value
    }

    /// The value that is compared with the bound.
    static func held(_ m: MeasurementStatus) -> String {
        guard let figure = m.value else { return nothing }
        guard m.unit.isDifference else { return value(figure, m.unit) }
        return figure.value >= 0
            ? "worse by " + value(figure, m.unit) : "better by " + value(Figure(-figure.value), m.unit)
    }

    /// The 95 % interval of candidate less baseline, such as `-0.05 to +0.12 points`; nil if it is not known.
    static func difference(_ m: MeasurementStatus) -> String? {
        guard let difference = m.difference else { return nil }
        let (low, high) = (difference.low.value, difference.high.value)
        let unit: MeasureUnit = m.unit == .ratio ? .points : m.unit
        // Both ends have the unit that suits the larger one.
        let (scale, places, name): (Double, Int, String) =
            switch unit {
            case .points, .ratio: (100, m.unit == .ratio ? 2 : 1, " points")
            case .seconds where max(abs(low), high.isFinite ? abs(high) : 0) < 1: (1_000, 1, " ms")
            case .seconds: (1, 2, " s")
            case .score, .bytes, .plain: (1, 3, "")
            }
        func signed(_ value: Double) -> String {
            if value.isInfinite { return "any" }
            let text = Measurement.decimals(value * scale, places)
            return value > 0 && text != "0" ? "+" + text : text
        }
        let quantile = difference.quantile.map { " at \(MeasurementNote.name(ofQuantile: $0))" } ?? ""
        return "\(signed(low)) to \(signed(high))\(name)\(quantile)"
    }

    static func phase(_ status: ServiceStatus) -> String {
        guard let rollout = status.rollout else { return status.phase.rawValue }
        let phase = rollout.step.map { "step \($0) of \(rollout.steps.count)" } ?? status.phase.rawValue
        if rollout.pause != nil { return phase + ", paused" }
        return status.freeze != nil ? phase + ", frozen" : phase
    }
}

extension CheckAction {
    /// A remark on what the check does when it fails; nil for a check that reverts, as most do.
    var note: String? {
        switch self {
        case .revert: nil
        case .pause: "pauses"
        case .notify: "notifies only"
        }
    }

    /// The verb for what happens when the check fails.
    var verb: String {
        switch self {
        case .revert: "reverts"
        case .pause: "pauses"
        case .notify: "notifies"
        }
    }
}

extension Verdict {
    /// The verdict as text, such as `no data`.
    var words: String {
        switch self {
        case .pass, .fail, .inconclusive, .error: rawValue
        case .noData: "no data"
        }
    }

    var style: Style {
        switch self {
        case .pass: .green
        case .fail: .red
        case .inconclusive, .error: .yellow
        case .noData: .dim
        }
    }

    var mark: String {
        switch self {
        case .pass: "✓"
        case .fail: "✗"
        case .inconclusive: "?"
        case .noData: "·"
        case .error: "!"
        }
    }
}
