import Vocabulary

/// The bucket that a bound lies in, where it lies on no edge: how many values are beyond the bound cannot be told, only
/// how many are beyond either edge.
public struct BucketSpan: Hashable, Sendable {
    /// Nil: the bound lies below the lowest edge.
    public var lower: Double?
    /// Nil: the bound lies above the highest finite edge.
    public var upper: Double?

    /// `between the bucket edges 100 ms and 250 ms`.
    public func words(_ unit: MeasureUnit) -> String {
        switch (lower.map { Measurement.format($0, unit) }, upper.map { Measurement.format($0, unit) }) {
        case (let lower?, let upper?): "between the bucket edges \(lower) and \(upper)"
        case (nil, let upper?): "below the lowest bucket edge, \(upper)"
        case (let lower?, nil): "above the highest bucket edge, \(lower)"
        case (nil, nil): "in a histogram without bucket edges"
        }
    }

    /// What to do about it.
    func advice(_ unit: MeasureUnit) -> String {
        let edges = [lower, upper].compactMap(\.self).map { Measurement.format($0, unit) }
        return "only an edge can be judged: write \(edges.joined(separator: " or ")) as the bound"
    }
}

extension CumulativeHistogram {
    /// Edges are often computed, `0.1 * 3`, and bounds are written.
    private static let tolerance = 1e-9

    /// Index of the first edge at or above a value; of +Inf where there is none.
    func edge(atOrAbove value: Double) -> Int {
        let slack = abs(value) * Self.tolerance
        return bounds.firstIndex { $0 >= value - slack } ?? max(bounds.count - 1, 0)
    }

    /// Nil where the bound is an edge.
    public func span(around bound: Double) -> BucketSpan? {
        guard bound.isFinite, !bounds.isEmpty else { return nil }
        let place = edge(atOrAbove: bound)
        if abs(bounds[place] - bound) <= abs(bound) * Self.tolerance { return nil }
        return BucketSpan(
            lower: place == 0 ? nil : bounds[place - 1], upper: bounds[place].isFinite ? bounds[place] : nil)
    }
}
