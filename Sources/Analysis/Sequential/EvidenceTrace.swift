import PolicyModel

/// The course of a check's evidence over a rollout, in at most `capacity` points; their spacing is doubled whenever
/// they are full. Each point is the largest value of its span, so that no peak is lost.
public struct EvidenceTrace: Hashable, Codable, Sendable {
    public static let capacity = 120

    /// The values of ln E, the oldest first, rounded to thousandths.
    public var points: [Double] { thousandths.map { Double($0) / Self.scale } }
    /// The values in thousandths, which take a third of the space where they are stored.
    private var thousandths: [Int] = []
    private static let scale = 1_000.0
    /// The number of seconds from one point to the next.
    public private(set) var spacing: Int64 = 1
    /// The monotonic second of the first point; nil without points.
    public private(set) var begin: Int64?

    public init() {}

    /// A value of ln E as a trace shows it.
    public static func rounded(_ evidence: Double) -> Double { Double(inThousandths(evidence)) / scale }

    private static func inThousandths(_ evidence: Double) -> Int { Int(saturating: (evidence * scale).rounded()) }

    public mutating func record(_ evidence: Double, at second: Int64) {
        let evidence = Self.inThousandths(evidence)
        var first = begin ?? second
        // The monotonic clock restarts when the machine does; the trace is then continued without a gap.
        if (second - first) / spacing < Int64(thousandths.count) - 1 {
            first = second - Int64(thousandths.count) * spacing
        }
        begin = first
        while (second - first) / spacing >= Int64(Self.capacity) { halve() }
        let place = Int((second - first) / spacing)
        if place < thousandths.count {
            thousandths[place] = max(thousandths[place], evidence)
        } else {
            thousandths += [Int](repeating: thousandths.last ?? evidence, count: place - thousandths.count)
            thousandths.append(evidence)
        }
    }

    private mutating func halve() {
        var halved: [Int] = []
        for i in stride(from: 0, to: thousandths.count, by: 2) {
            halved.append(i + 1 < thousandths.count ? max(thousandths[i], thousandths[i + 1]) : thousandths[i])
        }
        thousandths = halved
        spacing *= 2
    }
}

extension EvidenceTrace {
    private enum CodingKeys: CodingKey { case thousandths, points, spacing, begin }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        if let stored = try values.decodeIfPresent([Int].self, forKey: .thousandths) {
            thousandths = stored
        } else {
            // Earlier builds stored the values themselves.
            thousandths = try values.decode([Double].self, forKey: .points).map(Self.inThousandths)
        }
        spacing = try values.decode(Int64.self, forKey: .spacing)
        begin = try values.decodeIfPresent(Int64.self, forKey: .begin)
        // Within these limits the arithmetic of `record` does not overflow.
        guard thousandths.count <= Self.capacity, (1...Self.farthest).contains(spacing),
            begin?.magnitude ?? 0 <= Self.farthest.magnitude
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .spacing, in: values,
                debugDescription: "a trace of \(thousandths.count) points every \(spacing) s")
        }
    }

    /// The farthest second and the largest spacing that a stored trace may have, in seconds.
    private static let farthest: Int64 = 1 << 40

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(thousandths, forKey: .thousandths)
        try values.encode(spacing, forKey: .spacing)
        try values.encodeIfPresent(begin, forKey: .begin)
    }
}
