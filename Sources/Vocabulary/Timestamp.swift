/// An instant in UTC with a resolution of one millisecond. In JSON it is an RFC 3339 string: `2026-11-21T03:41:30.250Z`.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// The milliseconds since 1970, not counting leap seconds.
    public var milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

    private static let day: Int64 = 86_400_000
}

extension Timestamp: CustomStringConvertible {
    public var description: String {
        let (days, inDay) = Self.floorDivide(milliseconds, Self.day)
        let (year, month, date) = Self.civil(days)
        let seconds = inDay / 1000
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(date, 2))T\(clockTime(seconds)).\(pad(inDay % 1000, 3))Z"
    }

    /// The date and time for tables: `2026-11-21 03:41:30`.
    public var short: String {
        let (days, inDay) = Self.floorDivide(milliseconds, Self.day)
        let (year, month, date) = Self.civil(days)
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(date, 2)) \(clockTime(inDay / 1000))"
    }

    /// The time of day: `03:41:30`.
    public var clockTime: String { clockTime(Self.floorDivide(milliseconds, Self.day).rest / 1000) }

    private func clockTime(_ seconds: Int64) -> String {
        "\(pad(seconds / 3600, 2)):\(pad(seconds / 60 % 60, 2)):\(pad(seconds % 60, 2))"
    }

    private func pad(_ value: Int64, _ width: Int) -> String {
        let digits = "\(value)"
        return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }

    /// Parses the form that `description` writes; the fraction of a second is optional.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int64? {
            guard range.upperBound <= bytes.count else { return nil }
            var value: Int64 = 0
            for byte in bytes[range] {
                guard (0x30...0x39).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            return value
        }
        guard bytes.count >= 20, bytes[4] == 0x2d, bytes[7] == 0x2d, bytes[10] == 0x54, bytes[13] == 0x3a,
            bytes[16] == 0x3a, bytes.last == 0x5a,
            let year = number(0..<4), let month = number(5..<7), let date = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            (1...12).contains(month), (1...31).contains(date), hour < 24, minute < 60, second < 61
        else { return nil }
        var fraction: Int64 = 0
        if bytes.count > 20 {
            guard bytes[19] == 0x2e, bytes.count == 24, let value = number(20..<23) else { return nil }
            fraction = value
        }
        let days = Self.days(year: year, month: month, date: date)
        milliseconds = days * Self.day + ((hour * 60 + minute) * 60 + second) * 1000 + fraction
    }

    private static func floorDivide(_ value: Int64, _ by: Int64) -> (whole: Int64, rest: Int64) {
        let (whole, rest) = value.quotientAndRemainder(dividingBy: by)
        return rest < 0 ? (whole - 1, rest + by) : (whole, rest)
    }

    // The proleptic Gregorian calendar, counted in years that begin in March so that the leap day comes last.

    /// The date of a day in the proleptic Gregorian calendar.
    public static func civil(_ daysSince1970: Int64) -> (year: Int64, month: Int64, date: Int64) {
        let (era, dayOfEra) = floorDivide(daysSince1970 + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    private static func days(year: Int64, month: Int64, date: Int64) -> Int64 {
        let (era, yearOfEra) = floorDivide(month <= 2 ? year - 1 : year, 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + date - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension Timestamp: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Timestamp(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an RFC 3339 time: \(text)")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
