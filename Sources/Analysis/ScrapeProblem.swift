import PolicyModel
import Vocabulary

/// A problem with the scraped pages of an arm that an operator has to know about, because a check does not measure what
/// its author meant.
public struct ScrapeProblem: Hashable, Sendable {
    /// The identity of a problem. It has no numbers that change, so that the same problem a scrape later is equal.
    public enum Kind: Hashable, Sendable {
        /// No server shows the series, or one server does not that others do.
        case missing(SeriesQuery, Endpoint?)
        case notANumber(SeriesQuery)
        case unavailable(SeriesQuery)
        /// The page has the same series twice.
        case repeated(SeriesQuery)
        case repeatedPresetSeries
        case typeChanged(SeriesQuery)
        case stalledPage
        /// No counter of the page changes although requests are served.
        case countersStandStill
        /// The page has no request counter although requests are served.
        case withoutRequests
        /// What the reader of the page remarked: an unknown model, or counters that the page does not have.
        case remark
        /// The bound of a check is not a bucket edge, which is known before any verdict depends on it.
        case boundBetweenEdges(check: String)
    }

    public var arm: Arm
    public var kind: Kind
    /// The problem as one line of text.
    public var text: String

    /// True if the problem raises an alarm when it is found; false if it is only listed.
    public var isAlarm: Bool {
        switch kind {
        case .boundBetweenEdges: false
        case .missing, .notANumber, .unavailable, .repeated, .repeatedPresetSeries, .typeChanged, .stalledPage,
            .countersStandStill, .withoutRequests, .remark:
            true
        }
    }

    /// True if the other is the same problem of the same arm.
    public func isSame(as other: ScrapeProblem) -> Bool { arm == other.arm && kind == other.kind }
}

/// A page whose numbers do not describe the present.
enum StalledPage {
    /// The page's explicit timestamps have not advanced for a number of seconds.
    case timestamps(server: String, seconds: Int)
    /// The page's newest explicit timestamp is too old, by its age in seconds.
    case old(server: String, seconds: Int)
    /// The page's newest explicit timestamp is in the future, by a number of seconds.
    case ahead(server: String, seconds: Int)
    /// The preset's request counter did not change while the arm served requests.
    case requests(version: String, answered: UInt64, scrapes: Int)

    var words: String {
        switch self {
        case .timestamps(let server, let seconds):
            "the metrics page of \(server) stands still: its newest timestamp has been the same for \(seconds) s"
        case .old(let server, let seconds):
            "the metrics page of \(server) is out of date: its newest timestamp is \(seconds) s old"
        case .ahead(let server, let seconds):
            "the metrics page of \(server) is of another time: its newest timestamp is \(seconds) s ahead of this "
                + "machine's clock"
        case .requests(let version, let answered, let scrapes):
            "the metrics page of \(version) stands still: it answered \(answered) requests and its request counter did "
                + "not move in \(scrapes) scrapes; is it another server's page?"
        }
    }
}

extension WindowSnapshot {
    /// The time without a newer timestamp, in nanoseconds, after which a page counts as stalled.
    private static let longestStill: Int64 = 60_000_000_000
    /// The age of a page's newest timestamp, in seconds, above which it is out of date. Prometheus' staleness limit is
    /// the same.
    private static let oldest = 300.0
    /// The number of seconds that a server's clock may be ahead. Prometheus refuses samples that are further in the
    /// future.
    private static let farthestAhead = 600.0
    /// The number of completed requests after which a request counter has to move.
    private static let tellingRequests: UInt64 = 20

    /// A page of the arm that has stalled; nil if none is known to have.
    func stalledPage(of arm: Arm) -> StalledPage? {
        let current = series.currentHistories(of: arm)
        for (server, history) in current {
            if let still = history.timestamp, still.scrapes >= MissingSeries.scrapesUntilMissing,
                still.until - still.since >= Self.longestStill
            {
                return .timestamps(
                    server: server.description, seconds: Int((still.until - still.since) / 1_000_000_000))
            }
            if let age = history.samples.last?.page.age, age > Self.oldest {
                return .old(server: server.description, seconds: Int(min(age, 1e12)))
            }
            if let age = history.samples.last?.page.age, -age > Self.farthestAhead {
                return .ahead(server: server.description, seconds: Int(min(-age, 1e12)))
            }
        }
        guard let (answered, scrapes) = answered(arm, while: current.map(\.history.requests)) else { return nil }
        return .requests(version: series.name(of: arm), answered: answered, scrapes: scrapes)
    }

    /// The reason why an arm's request counter is missing although it served requests; nil if one is shown, or if it is
    /// too early to tell.
    func pageWithoutRequests(of arm: Arm) -> String? {
        let current = series.currentHistories(of: arm)
        guard let (answered, scrapes) = answered(arm, while: current.map(\.history.withoutRequests)) else { return nil }
        return "\(series.name(of: arm)) answered \(answered) requests, and \(scrapes) scrapes of it showed none of its "
            + "preset's request counters: is metrics: {preset, model, port, path} right?"
    }

    /// The number of requests that an arm served while no server's value changed, and the number of scrapes in that
    /// time; nil if either is too small to conclude anything.
    private func answered<Value>(_ arm: Arm, while spans: [Unchanged<Value>?]) -> (UInt64, Int)? {
        let known = spans.compactMap(\.self)
        guard !known.isEmpty, known.count == spans.count, let since = known.map(\.since).max(),
            let until = known.map(\.until).min(), let scrapes = known.map(\.scrapes).min(),
            scrapes >= MissingSeries.scrapesUntilMissing
        else { return nil }
        // Requests count from the second after the first of these scrapes, so that those which it already showed do
        // not.
        let second = ObservationWindow.cohortLength
        let answered = observations.counts(arm, since: since + 2 * second, until: until).success
        return answered >= Self.tellingRequests ? (answered, scrapes) : nil
    }

    /// The problems of both arms' pages for the checks of these policies, whether required or not.
    public func problems(of policies: [Policy]) -> [ScrapeProblem] {
        Arm.allCases.flatMap { arm -> [ScrapeProblem] in
            guard !series.currentHistories(of: arm).isEmpty else { return [] }
            let checks = policies.flatMap { policy in
                policy.checks.map { (path: "\(policy.name)/\($0.name)", check: $0) }
            }
            var problems = pageProblems(arm, checks.map(\.check))
            for (path, check) in checks {
                switch check.kind {
                case .metric(let metric): problems += self.problems(of: metric, path, arm)
                case .latency(let latency) where latency.from == .scrape:
                    if let max = latency.max?.seconds, let span = series.latencySpan(around: max, of: arm) {
                        problems.append(between(path, max, span, .seconds, arm))
                    }
                case .errors, .clientErrors, .latency, .quality: break
                }
            }
            return problems.reduce(into: []) { all, problem in
                // Two checks that read the same series in two ways may report the same problem.
                if !all.contains(where: { $0.isSame(as: problem) || $0.text == problem.text }) { all.append(problem) }
            }
        }
    }

    private func pageProblems(_ arm: Arm, _ checks: [Check]) -> [ScrapeProblem] {
        var problems: [ScrapeProblem] = []
        if let stalled = stalledPage(of: arm) {
            problems.append(ScrapeProblem(arm: arm, kind: .stalledPage, text: stalled.words))
        } else if let (answered, scrapes) = answered(
            arm, while: series.currentHistories(of: arm).map(\.history.counters))
        {
            problems.append(
                ScrapeProblem(
                    arm: arm, kind: .countersStandStill,
                    text:
                        "no counter on the metrics page of \(series.name(of: arm)) moved in \(scrapes) scrapes, in which "
                        + "it answered \(answered) requests: the page may stand still, or be another server's"))
        }
        let usesPreset = checks.contains { check in
            switch check.kind {
            case .errors(let errors): errors.from == .scrape
            case .latency(let latency): latency.from == .scrape
            case .clientErrors, .quality, .metric: false
            }
        }
        if usesPreset, let why = pageWithoutRequests(of: arm) {
            problems.append(ScrapeProblem(arm: arm, kind: .withoutRequests, text: why))
        }
        for (server, history) in series.currentHistories(of: arm) {
            guard let repeated = history.samples.last?.repeatedSeries else { continue }
            problems.append(
                ScrapeProblem(
                    arm: arm, kind: .repeatedPresetSeries,
                    text: "\(repeated) stands twice with the same labels on the page of \(server) of "
                        + "\(series.name(of: arm)); the first counts"))
        }
        if let (server, remark) = series.remark(of: arm) {
            problems.append(
                ScrapeProblem(
                    arm: arm, kind: .remark,
                    text: "\(server) of \(series.name(of: arm)): \(remark)"))
        }
        return problems
    }

    private func problems(of metric: MetricCheck, _ path: String, _ arm: Arm) -> [ScrapeProblem] {
        let query = metric.query
        var problems: [ScrapeProblem] = []
        func add(_ kind: ScrapeProblem.Kind, _ text: String) {
            problems.append(ScrapeProblem(arm: arm, kind: kind, text: text))
        }
        let isZero = metric.absent == .zero || (query.kind == .counter && series.isKnownFamily(query, of: arm))
        if !isZero {
            if let missing = series.missing(query, of: arm) {
                if missing.scrapes >= MissingSeries.scrapesUntilMissing { add(.missing(query, nil), missing.words) }
            }
            for (server, missing) in series.partlyMissing(query, of: arm)
            where missing.scrapes >= MissingSeries.scrapesUntilMissing {
                add(.missing(query, server), missing.words)
            }
        }
        if query.kind == .gauge {
            let (bad, all) = series.scrapesWithoutNumber(query, of: arm)
            if bad > 0 {
                add(
                    .notANumber(query),
                    "\(query.selector) is not a number (NaN) in \(bad) of the last \(all) scrapes of \(series.name(of: arm))"
                )
            }
        }
        if let why = series.unavailable(query, of: arm) { add(.unavailable(query), "\(series.name(of: arm)): \(why)") }
        for (server, track) in series.tracks(of: query, arm) {
            let place = "\(server) of \(series.name(of: arm))"
            if track.isRepeated {
                add(
                    .repeated(query),
                    "\(query.selector) stands twice with the same labels on the page of \(place); the first counts")
            }
            if let change = track.typeChange {
                add(
                    .typeChanged(query),
                    "\(query.selector) of \(place) was declared a \(change.from) and then a \(change.to): what it counts has "
                        + "changed, or two servers share an address")
            }
        }
        if query.kind == .histogram {
            for bound in [metric.max, metric.min].compactMap(\.self) {
                guard let span = series.span(around: bound, query, of: arm) else { continue }
                problems.append(between(path, bound, span, metric.unit ?? .plain, arm))
            }
        }
        return problems
    }

    private func between(_ path: String, _ bound: Double, _ span: BucketSpan, _ unit: MeasureUnit, _ arm: Arm)
        -> ScrapeProblem
    {
        ScrapeProblem(
            arm: arm, kind: .boundBetweenEdges(check: path),
            text: "\(path): the bound of \(Measurement.format(bound, unit)) lies \(span.words(unit)) of "
                + "\(series.name(of: arm)): \(span.advice(unit))")
    }
}

extension SeriesWindow {
    /// The histories of the arm's current servers that were scraped, in the order of their names.
    func currentHistories(of arm: Arm) -> [(server: Endpoint, history: ServerHistory)] {
        histories[arm]!.filter { $0.value.isCurrent && !$0.value.samples.isEmpty }
            .map { (server: $0.key, history: $0.value) }
            .sorted { $0.server.description < $1.server.description }
    }

    func tracks(of query: SeriesQuery, _ arm: Arm) -> [(server: Endpoint, track: SeriesTrack)] {
        currentHistories(of: arm).compactMap { server, history in history.tracks[query].map { (server, $0) } }
    }

    func remark(of arm: Arm) -> (server: Endpoint, text: String)? {
        currentHistories(of: arm).lazy.compactMap { server, history in
            history.samples.last?.remark.map { (server, $0) }
        }.first
    }

    /// The bucket around a bound in the newest latency histogram of an arm; nil if the bound is an edge, or without a
    /// histogram.
    func latencySpan(around bound: Double, of arm: Arm) -> BucketSpan? {
        currentHistories(of: arm).lazy.compactMap { _, history -> BucketSpan? in
            guard case .histogram(let histogram) = history.samples.last?.latency else { return nil }
            return histogram.span(around: bound)
        }.first
    }

    func span(around bound: Double, _ query: SeriesQuery, of arm: Arm) -> BucketSpan? {
        currentHistories(of: arm).lazy.compactMap { _, history -> BucketSpan? in
            guard case .histograms(let histograms) = history.samples.last?.series[query] else { return nil }
            return histograms.values.lazy.compactMap { $0.span(around: bound) }.first
        }.first
    }
}
