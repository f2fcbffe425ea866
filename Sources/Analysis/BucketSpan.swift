import Vocabulary

/// The histogram bucket around a bound that is not a bucket edge. Such a histogram does not show how many values are
/// beyond the bound, only how many are beyond either edge.
public struct BucketSpan: Hashable, Sendable {
    /// The edge below the bound; nil if the bound lies below the lowest edge.
    public var lower: Double?
    /// The edge above the bound; nil if the bound lies above the highest finite edge.
    public var upper: Double?

    /// The span as text, such as `between the bucket edges 100 ms and 250 ms`.
    public func words(_ unit: MeasureUnit) -> String {
        switch (lower.map { Measurement.format($0, unit) }, upper.map { Measurement.format($0, unit) }) {
        case (let lower?, let upper?): "between the bucket edges \(lower) and \(upper)"
        case (nil, let upper?): "below the lowest bucket edge, \(upper)"
        case (let lower?, nil): "above the highest bucket edge, \(lower)"
        case (nil, nil): "in a histogram without bucket edges"
        }
    }

    /// Advice for the author of the check: which bound to write instead.
    func advice(_ unit: MeasureUnit) -> String {
        // A rounded number of MiB would be no edge.
        let unit = unit == .bytes ? .plain : unit
        let edges = [lower, upper].compactMap(\.self).map { Measurement.format($0, unit) }
        return "only an edge can be judged: write \(edges.joined(separator: " or ")) as the bound"
    }
}

extension CumulativeHistogram {
    /// The relative difference up to which a bound counts as equal to an edge: servers compute edges in floating point,
    /// such as `0.1 * 3`, while bounds are written as decimals.
    private static let tolerance = 1e-9

    /// The index of the first edge at or above a value; that of the last edge, +Inf, if no finite one is.
    func edge(atOrAbove value: Double) -> Int {
        let slack = abs(value) * Self.tolerance
        return bounds.firstIndex { $0 >= value - slack } ?? max(bounds.count - 1, 0)
    }

    /// The bucket around a bound; nil if the bound is an edge.
    public func span(around bound: Double) -> BucketSpan? {
        guard bound.isFinite, !bounds.isEmpty else { return nil }
        let place = edge(atOrAbove: bound)
        if abs(bounds[place] - bound) <= abs(bound) * Self.tolerance { return nil }
        return BucketSpan(
            lower: place == 0 ? nil : bounds[place - 1], upper: bounds[place].isFinite ? bounds[place] : nil)
    }
}
