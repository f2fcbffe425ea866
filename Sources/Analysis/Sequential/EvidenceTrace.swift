/// How a check's evidence went over a rollout: at most `capacity` points, the spacing doubled whenever they are full.
/// Each point is the largest of its span, so that no peak is lost.
public struct EvidenceTrace: Hashable, Codable, Sendable {
    public static let capacity = 120

    /// ln E, oldest first.
    public private(set) var points: [Double] = []
    /// Seconds from one point to the next.
    public private(set) var spacing: Int64 = 1
    /// Monotonic second of the first point.
    public private(set) var begin: Int64?

    public init() {}

    public mutating func record(_ evidence: Double, at second: Int64) {
        guard let begin else {
            self.begin = second
            points = [evidence]
            return
        }
        // The clock begins anew when the machine does: the plot goes on where it was.
        if second < begin { self.begin = second - Int64(points.count) * spacing }
        extend(evidence, by: second - (self.begin ?? second))
    }

    private mutating func extend(_ evidence: Double, by elapsed: Int64) {
        while elapsed / spacing >= Int64(Self.capacity) { halve() }
        let place = Int(max(0, elapsed) / spacing)
        while points.count <= place { points.append(points.last ?? evidence) }
        if place == points.count - 1 {
            points[place] = isFresh(place) ? max(points[place], evidence) : evidence
            lastPlace = place
        }
    }

    /// The place that was written last: a new one begins with its own value, not with the one carried over.
    private var lastPlace = 0

    private func isFresh(_ place: Int) -> Bool { lastPlace == place }

    private mutating func halve() {
        var halved: [Double] = []
        for i in stride(from: 0, to: points.count, by: 2) {
            halved.append(i + 1 < points.count ? max(points[i], points[i + 1]) : points[i])
        }
        points = halved
        spacing *= 2
        lastPlace /= 2
    }
}
