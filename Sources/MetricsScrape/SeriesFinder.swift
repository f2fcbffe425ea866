import Analysis
import PolicyModel
import PrometheusText

/// Finds a series on a page and, if the page does not have it, the most similar series.
struct SeriesFinder {
    let exposition: Exposition
    /// The maximum number of names that are compared letter by letter, since a page may have tens of thousands; and the
    /// maximum length of a name for which that is done, in bytes.
    private static let mostComparisons = 1_000
    private static let longestName = 128

    init(exposition: Exposition) { self.exposition = exposition }

    /// Details about a series for messages: whether the page has it, its type, and whether it is repeated.
    func details(of selector: SeriesSelector, _ kind: SeriesQuery.Kind, _ reading: SeriesReading) -> SeriesDetails {
        let samples = kind == .histogram ? selector.buckets : selector
        let isShown: Bool
        switch reading {
        case .values(let values): isShown = !values.isEmpty
        case .histograms(let histograms): isShown = !histograms.isEmpty
        case .unavailable: isShown = true
        }
        return SeriesDetails(
            presence: isShown ? .shown : presence(of: selector, samples, kind),
            type: exposition.type(of: samples.name)?.rawValue, isRepeated: exposition.repeats(samples))
    }

    /// The reason why a selector matches none of the samples with its name.
    private func presence(_ selector: SeriesSelector, _ family: [Sample]) -> SeriesPresence {
        for matcher in selector.matchers {
            guard case .equals(let value) = matcher.condition, !value.isEmpty else { continue }
            let isLabel = family.contains { sample in
                sample.labels.contains { Bytewise($0.name) == Bytewise(matcher.label) }
            }
            if !isLabel { return .withoutLabel(matcher.label) }
        }
        return .otherValues
    }

    private func presence(of selector: SeriesSelector, _ samples: SeriesSelector, _ kind: SeriesQuery.Kind)
        -> SeriesPresence
    {
        let family = exposition.samples(named: samples.name)
        if !family.isEmpty { return presence(selector, family) }
        if exposition.family(named: selector.name) != nil { return .declared }
        if kind == .counter, selector.name.hasSuffix("_total"),
            exposition.family(named: String(selector.name.dropLast(6)))?.kind == .counter
        {
            return .declared
        }
        return .unknown(nearest: nearest(to: selector.name, kind))
    }

    /// The family name on the page that is most similar to a missing one; nil if none is similar.
    private func nearest(to name: String, _ kind: SeriesQuery.Kind) -> String? {
        if kind == .counter, !exposition.samples(named: name + "_total").isEmpty { return name + "_total" }
        let wanted = Array(name.utf8)
        guard wanted.count <= Self.longestName else { return nil }
        var limit = max(1, min(wanted.count / 4, 8))
        var comparisons = 0
        var best: String?
        for family in exposition.families {
            guard abs(family.name.utf8.count - wanted.count) <= limit + 6 else { continue }
            let shown =
                family.kind == .counter && !family.name.hasSuffix("_total")
                    && exposition.samples(named: family.name).isEmpty
                ? family.name + "_total" : family.name
            comparisons += 1
            guard comparisons <= Self.mostComparisons else { break }
            guard let distance = EditDistance.between(wanted, Array(shown.utf8), atMost: limit) else { continue }
            best = shown
            if distance <= 1 { break }
            limit = distance - 1
        }
        return best
    }
}
