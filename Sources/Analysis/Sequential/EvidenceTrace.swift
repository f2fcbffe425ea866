/// The course of a check's evidence over a rollout, in at most `capacity` points; their spacing is doubled whenever
/// they are full. Each point is the largest value of its span, so that no peak is lost.
public struct EvidenceTrace: Hashable, Codable, Sendable {
    public static let capacity = 120

    /// The values of ln E, the oldest first.
    public private(set) var points: [Double] = []
    /// The number of seconds from one point to the next.
    public private(set) var spacing: Int64 = 1
    /// The monotonic second of the first point; nil without points.
    public private(set) var begin: Int64?

    public init() {}

    public mutating func record(_ evidence: Double, at second: Int64) {
        var first = begin ?? second
        // The monotonic clock restarts when the machine does; the trace is then continued without a gap.
        if (second - first) / spacing < Int64(points.count) - 1 { first = second - Int64(points.count) * spacing }
        begin = first
        while (second - first) / spacing >= Int64(Self.capacity) { halve() }
        let place = Int((second - first) / spacing)
        if place < points.count {
            points[place] = max(points[place], evidence)
        } else {
            points += [Double](repeating: points.last ?? evidence, count: place - points.count)
            points.append(evidence)
        }
    }

    private mutating func halve() {
        var halved: [Double] = []
        for i in stride(from: 0, to: points.count, by: 2) {
            halved.append(i + 1 < points.count ? max(points[i], points[i + 1]) : points[i])
        }
        points = halved
        spacing *= 2
    }
}
