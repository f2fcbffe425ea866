import PolicyModel

/// How one server's pages have shown one series that a check asks for.
struct SeriesTrack: Hashable, Sendable {
    /// The number of successful scrapes in a row without the series.
    private(set) var scrapesWithout = 0
    /// The number of scrapes that showed the series, or its family with the same label names.
    private(set) var scrapesOfFamily = 0
    private(set) var presence = SeriesPresence.shown
    private(set) var isRepeated = false
    private var type: String?
    /// The last change of the series' type.
    private(set) var typeChange: TypeChange?

    struct TypeChange: Hashable, Sendable {
        var from: String
        var to: String
    }

    mutating func record(_ reading: SeriesReading, _ details: SeriesDetails?) {
        let isShown: Bool
        switch reading {
        case .values(let values): isShown = !values.isEmpty
        case .histograms(let histograms): isShown = !histograms.isEmpty
        case .unavailable: isShown = true
        }
        presence = isShown ? .shown : details?.presence ?? .unknown(nearest: nil)
        scrapesWithout = isShown ? 0 : scrapesWithout + 1
        if presence == .shown || presence == .otherValues { scrapesOfFamily += 1 }
        isRepeated = details?.isRepeated ?? false
        if let old = type, let new = details?.type, old != new { typeChange = TypeChange(from: old, to: new) }
        type = details?.type ?? type
    }
}

/// A value that has not changed in a number of scrapes.
struct Unchanged<Value: Hashable & Sendable>: Hashable, Sendable {
    let value: Value
    /// The times of the first and the last of these scrapes, in monotonic nanoseconds.
    let since: Int64
    let until: Int64
    let scrapes: Int

    /// Continues the run of an equal value, or starts a new one; nil without a value.
    init?(_ value: Value?, at time: Int64, since last: Unchanged?) {
        guard let value else { return nil }
        let isSame = last?.value == value
        self.value = value
        since = isSame ? last!.since : time
        until = time
        scrapes = isSame ? last!.scrapes + 1 : 1
    }
}

/// A series that a check asks for and that an arm, or one of its servers, does not show.
struct MissingSeries {
    var selector: String
    /// The number of scrapes since the series was last shown, over all servers concerned.
    var scrapes: Int
    var presence: SeriesPresence
    /// The arm's name in messages.
    var version: String
    /// The only one of the arm's servers that lacks it; nil if all do.
    var server: String?

    /// The number of scrapes after which a series that was not shown counts as missing, or as 0 if its family is shown.
    static let scrapesUntilMissing = 3

    /// A sentence such as `no series vllm:num_request_waiting in 12 scrapes of new; did you mean
    /// vllm:num_requests_waiting?`
    var words: String {
        let place = server.map { "\($0) of \(version)" } ?? version
        return "no series \(selector) in \(scrapes) scrape\(scrapes == 1 ? "" : "s") of \(place)\(hint)"
    }

    private var hint: String {
        switch presence {
        case .shown: ""
        case .unknown(let nearest?): "; did you mean \(nearest)?"
        case .unknown(nil): ", and none of a similar name: correct the check's series"
        case .declared: ": its family is declared and has no sample; if that means 0, write absent: zero in the check"
        case .withoutLabel(let label): ": its samples have no label \(label); correct the check's series"
        case .otherValues:
            ": its samples have other label values; correct the check's series, or write absent: zero if it is at 0"
        }
    }
}

extension SeriesWindow {
    /// A series that no current server of an arm shows; nil if one does, or before the first scrape.
    func missing(_ query: SeriesQuery, of arm: Arm) -> MissingSeries? {
        let tracks = histories[arm]!.values.filter(\.isCurrent).compactMap { $0.tracks[query] }
        guard let first = tracks.first, tracks.allSatisfy({ $0.scrapesWithout > 0 }) else { return nil }
        return MissingSeries(
            selector: query.selector, scrapes: tracks.map(\.scrapesWithout).reduce(0, +), presence: first.presence,
            version: name(of: arm), server: nil)
    }

    /// The current servers that lack a series which others of their arm show.
    func partlyMissing(_ query: SeriesQuery, of arm: Arm) -> [(server: Endpoint, missing: MissingSeries)] {
        guard missing(query, of: arm) == nil else { return [] }
        return tracks(of: query, arm).filter { $0.track.scrapesWithout > 0 }.map { server, track in
            let missing = MissingSeries(
                selector: query.selector, scrapes: track.scrapesWithout, presence: track.presence,
                version: name(of: arm), server: server.description)
            return (server, missing)
        }
    }

    /// True if a counter that the arm does not show is known to be 0, because its family was shown with the same label
    /// names. Without label conditions, the page must still show or declare the family: otherwise the counter was
    /// renamed, or belongs to another server.
    func isKnownFamily(_ query: SeriesQuery, of arm: Arm) -> Bool {
        let tracks = histories[arm]!.values.filter(\.isCurrent).compactMap { $0.tracks[query] }
        guard query.hasLabelConditions || tracks.allSatisfy({ $0.presence == .shown || $0.presence == .declared })
        else {
            return false
        }
        return tracks.map(\.scrapesOfFamily).reduce(0, +) >= MissingSeries.scrapesUntilMissing
    }

    /// The number of scrapes in which a gauge was not a number, and the number of all scrapes, among those that are
    /// kept of the arm's current servers.
    func scrapesWithoutNumber(_ query: SeriesQuery, of arm: Arm, last: Int = .max, since: Int64 = .min) -> (Int, Int) {
        var (bad, all) = (0, 0)
        for history in histories[arm]!.values where history.isCurrent {
            for sample in history.samples.reversed().prefix(last) where sample.at >= since {
                all += 1
                if case .values(let values) = sample.series[query], values.values.contains(where: \.isNaN) { bad += 1 }
            }
        }
        return (bad, all)
    }
}
