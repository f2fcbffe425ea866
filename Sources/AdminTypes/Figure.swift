/// A measured number. In JSON it is a number, or one of the strings `+Inf` and `-Inf`, because JSON has no infinity.
/// For example, a P95 that falls among the errors is infinite.
public struct Figure: Hashable, Sendable {
    /// The number, which is never NaN.
    public var value: Double

    /// Creates a figure. The greatest finite magnitude, which the journal stores for infinity, becomes infinite; NaN
    /// becomes 0.
    public init(_ value: Double) {
        if value.isNaN {
            self.value = 0
        } else if abs(value) >= .greatestFiniteMagnitude {
            self.value = value > 0 ? .infinity : -.infinity
        } else {
            self.value = value
        }
    }
}

extension Figure: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
    public init(floatLiteral value: Double) { self.init(value) }
    public init(integerLiteral value: Int) { self.init(Double(value)) }
}

extension Figure: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Double.self) {
            self.init(number)
            return
        }
        switch try container.decode(String.self) {
        case "+Inf": self.init(.infinity)
        case "-Inf": self.init(-.infinity)
        case let other:
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a number, +Inf or -Inf: \(other)")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if value.isFinite { try container.encode(value) } else { try container.encode(value > 0 ? "+Inf" : "-Inf") }
    }
}

/// A share of traffic.
public struct Share: Hashable, Codable, Sendable {
    /// The share in percent, 0 ... 100, in steps of 0.01.
    public var percent: Double
    /// The same share in basis points, 0 ... 10,000.
    public var basisPoints: Int

    public init(basisPoints: Int) {
        self.basisPoints = basisPoints
        percent = Double(basisPoints) / 100
    }

    /// The share as text, such as `25%` or `0.5%`.
    public var words: String {
        basisPoints % 100 == 0 ? "\(basisPoints / 100)%" : "\(percent)%"
    }
}
