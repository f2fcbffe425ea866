import PolicyModel

/// The judged requests of one rollout, by cohorts of start time. Requests are counted in the second in which they
/// began, however late they end: a cohort that is still partly open says so, and slow requests cannot hide by lasting.
public struct ObservationWindow: Sendable {
    /// The length of a cohort, in nanoseconds.
    public static let cohortLength: Int64 = 1_000_000_000

    /// The requests that began in one second on one arm.
    public struct Cohort: Hashable, Sendable {
        /// The start of the second, divided by `cohortLength`.
        public var second: Int64
        /// Ended requests by `Outcome.rawValue`.
        public var outcomes = OutcomeCounts()
        /// The latencies of successes, to the end and to the first byte of the response.
        public var total = SparseHistogram()
        public var firstByte = SparseHistogram()
        /// The ages of requests at the moment when their clients left; each was at least that slow.
        public var abandoned = SparseHistogram()
    }

    /// The requests that ended in one second on one arm, whenever they began. Errors are counted by end, because a
    /// request that times out may have begun before a check's whole window.
    struct Ended: Hashable, Sendable {
        var second: Int64
        var outcomes = OutcomeCounts()
    }

    /// The time for which cohorts are kept. Observations that come for older ones are counted in `late`.
    public let retention: Duration
    /// The cohorts by arm, ascending by second.
    public private(set) var cohorts: [[Cohort]] = [[], []]
    /// The requests that ended, by arm, ascending by second.
    private var ended: [[Ended]] = [[], []]
    /// The start of latency measurement: latencies of requests that began before, in the warm-up, are left out.
    private(set) var latencyFrom: Int64 = .min
    /// The judged requests that were open at the last batch, by arm: start in monotonic nanoseconds, age in
    /// microseconds.
    public private(set) var open: [[(startedAt: Int64, age: UInt32)]] = [[], []]
    /// The requests of the rollout, and those that began in the current step, by arm.
    public private(set) var sinceStart: [OutcomeCounts] = [OutcomeCounts(), OutcomeCounts()]
    public private(set) var sinceStep: [OutcomeCounts] = [OutcomeCounts(), OutcomeCounts()]
    public private(set) var stepStartedAt: Int64
    /// When this window was opened.
    public let beganAt: Int64
    /// The number of judged observations whose cohort had expired.
    public private(set) var late: UInt64 = 0
    /// The start of the newest judged request, in monotonic nanoseconds; nil before the first.
    public private(set) var newestStart: Int64?

    public init(retention: Duration, startedAt: Int64) {
        self.retention = retention
        self.stepStartedAt = startedAt
        self.beganAt = startedAt
    }

    /// Restores counts that were stored before a restart. The requests behind them are not in the cohorts any more.
    public mutating func restore(sinceStart: [OutcomeCounts], sinceStep: [OutcomeCounts]) {
        guard sinceStart.count == 2, sinceStep.count == 2 else { return }
        self.sinceStart = sinceStart
        self.sinceStep = sinceStep
    }

    /// Restricts the latencies that count to those of requests that begin at or after `instant`; `.max` for none.
    /// Errors always count, or a crash loop would stay hidden in the warm-up.
    public mutating func judgeLatency(from instant: Int64) { latencyFrom = instant }

    /// Begins a step, to which the requests that begin at or after `instant` belong.
    public mutating func beginStep(at instant: Int64) {
        stepStartedAt = instant
        sinceStep = [OutcomeCounts(), OutcomeCounts()]
    }

    /// Adds an ended, judged request.
    public mutating func record(_ o: Observation) {
        let arm = Int(o.arm.rawValue)
        sinceStart[arm].add(o)
        if o.startedAt >= stepStartedAt { sinceStep[arm].add(o) }
        newestStart = max(newestStart ?? .min, o.startedAt)
        recordEnd(o, arm: arm)
        let second = o.startedAt / Self.cohortLength
        guard let index = place(of: second, arm: arm) else {
            late += 1
            return
        }
        cohorts[arm][index].outcomes.add(o)
        guard o.startedAt >= latencyFrom else { return }
        switch o.outcome {
        case .success:
            cohorts[arm][index].total.record(o.total)
            cohorts[arm][index].firstByte.record(o.firstByte == .max ? o.total : o.firstByte)
        case .clientClosed: cohorts[arm][index].abandoned.record(o.total)
        case .clientError, .clientTimeout, .serverError, .connectFailure, .timeout, .truncated, .rejected, .open: break
        }
    }

    /// Replaces the list of open requests.
    public mutating func setOpen(_ requests: [Observation]) {
        open = [[], []]
        for o in requests {
            open[Int(o.arm.rawValue)].append((o.startedAt, o.total))
            newestStart = max(newestStart ?? .min, o.startedAt)
        }
    }

    /// Forgets the requests that began before `now − retention`.
    public mutating func expire(now: Int64) {
        let oldest = (now - retention.nanoseconds) / Self.cohortLength
        for arm in 0..<2 {
            let keep = cohorts[arm].firstIndex { $0.second >= oldest } ?? cohorts[arm].count
            if keep > 0 { cohorts[arm].removeFirst(keep) }
            ended[arm].removeFirst(ended[arm].prefix { $0.second < oldest }.count)
        }
    }

    /// Sums up the requests that began in `since ..< until` (monotonic nanoseconds, rounded down to whole cohorts).
    public func summary(_ arm: Arm, since: Int64, until: Int64 = .max) -> ArmSummary {
        let first = since / Self.cohortLength
        var summary = ArmSummary()
        for cohort in cohorts[Int(arm.rawValue)]
        where cohort.second >= first && (until == .max || cohort.second < until / Self.cohortLength) {
            summary.outcomes.add(cohort.outcomes)
            cohort.total.add(to: &summary.total)
            cohort.firstByte.add(to: &summary.firstByte)
            cohort.abandoned.add(to: &summary.censored)
        }
        for request in open[Int(arm.rawValue)]
        where request.startedAt >= max(since, latencyFrom) && request.startedAt < until {
            summary.recordOpen(age: request.age)
        }
        return summary
    }

    /// Counts the requests that ended in `since ..< until`, whenever they began (monotonic nanoseconds, rounded down to
    /// whole seconds).
    public func counts(_ arm: Arm, since: Int64, until: Int64 = .max) -> OutcomeCounts {
        let first = since / Self.cohortLength
        let end = until / Self.cohortLength
        return ended[Int(arm.rawValue)].reversed().prefix { $0.second >= first }.reduce(into: OutcomeCounts()) {
            if until == .max || $1.second < end { $0.add($1.outcomes) }
        }
    }

    private mutating func recordEnd(_ o: Observation, arm: Int) {
        let second = (o.startedAt + Int64(o.total) * 1000) / Self.cohortLength
        // Batches come in order and their requests nearly so: the place is at or near the end.
        var place = ended[arm].count
        while place > 0, ended[arm][place - 1].second > second { place -= 1 }
        if place > 0, ended[arm][place - 1].second == second {
            ended[arm][place - 1].outcomes.add(o)
        } else if ended[arm].last.map({ $0.second - second <= retention.nanoseconds / Self.cohortLength }) ?? true {
            ended[arm].insert(Ended(second: second), at: place)
            ended[arm][place].outcomes.add(o)
        }
    }

    /// The index of a second's cohort, which is created if missing; nil if the second is before the retention.
    private mutating func place(of second: Int64, arm: Int) -> Int? {
        let list = cohorts[arm]
        if let last = list.last, last.second == second { return list.count - 1 }
        if list.last.map({ $0.second < second }) ?? true {
            cohorts[arm].append(Cohort(second: second))
            return cohorts[arm].count - 1
        }
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            if list[middle].second < second { low = middle + 1 } else { high = middle }
        }
        if list[low].second == second { return low }
        guard let newest = list.last?.second,
            newest - second <= retention.nanoseconds / Self.cohortLength
        else { return nil }
        cohorts[arm].insert(Cohort(second: second), at: low)
        return low
    }
}
