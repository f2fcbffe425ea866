/// A comparison of a value with a bound. The judge's measurements and those of the API are both of this form, so that
/// the agent and canaryctl name the same one as decisive.
public protocol BoundComparison {
    var verdict: Verdict { get }
    /// How far the value is beyond the bound, negative within it; nil without a value.
    var excess: Double? { get }
    /// True for a group with fewer rows than its check asks for, which is shown and decides nothing.
    var isTooSmall: Bool { get }
}

extension Array where Element: BoundComparison {
    /// The comparison that decides a verdict: of those that have it, the one that is furthest beyond its bound or nearest
    /// to it. Groups that are too small to judge are taken only if there is nothing else.
    public func decisive(for verdict: Verdict) -> Element? {
        let alike = filter { $0.verdict == verdict }
        let measured = alike.filter { $0.excess != nil }
        let judged = measured.filter { !$0.isTooSmall }
        return (judged.isEmpty ? measured : judged).max { $0.excess ?? 0 < $1.excess ?? 0 } ?? alike.first ?? first
    }
}
