import PolicyModel

/// The judged requests of one rollout, by cohorts of start time. Requests are counted in the second in which they
/// began, however late they end: a cohort that is still partly open says so, and slow requests cannot hide by lasting.
public struct ObservationWindow: Sendable {
    /// One cohort lasts this long, in nanoseconds.
    public static let cohortLength: Int64 = 1_000_000_000

    /// What began in one second on one arm.
    public struct Cohort: Hashable, Sendable {
        /// Start divided by `cohortLength`.
        public var second: Int64
        /// Ended requests by `Outcome.rawValue`.
        public var outcomes = OutcomeCounts()
        /// Latency of successes, from the start to the end and to the first byte.
        public var total = SparseHistogram()
        public var firstByte = SparseHistogram()
        /// Ages at which clients left: the request was at least that slow.
        public var abandoned = SparseHistogram()
    }

    /// What ended in one second on one arm, whenever it began: errors are counted here, because a request that timed
    /// out is older than most windows when it ends.
    struct Ended: Hashable, Sendable {
        var second: Int64
        var outcomes = OutcomeCounts()
    }

    /// How much is kept. Older cohorts go; observations that come later for them are counted in `late`.
    public let retention: Duration
    /// The counts by arm, ascending by second.
    public private(set) var cohorts: [[Cohort]] = [[], []]
    /// The requests that ended, by arm, ascending by second.
    private var ended: [[Ended]] = [[], []]
    /// Latencies of requests that began before this are left out: the warm-up's.
    private(set) var latencyFrom: Int64 = .min
    /// Open judged requests at the last batch, by arm: age in microseconds and start.
    public private(set) var open: [[(startedAt: Int64, age: UInt32)]] = [[], []]
    /// Counts since the rollout and since the step began, by arm; of requests that began then.
    public private(set) var sinceStart: [OutcomeCounts] = [OutcomeCounts(), OutcomeCounts()]
    public private(set) var sinceStep: [OutcomeCounts] = [OutcomeCounts(), OutcomeCounts()]
    public private(set) var stepStartedAt: Int64
    /// When this window was opened.
    public let beganAt: Int64
    /// Judged observations whose cohort was gone.
    public private(set) var late: UInt64 = 0
    /// Start of the newest judged request seen, in monotonic nanoseconds; nil before the first.
    public private(set) var newestStart: Int64?

    public init(retention: Duration, startedAt: Int64) {
        self.retention = retention
        self.stepStartedAt = startedAt
        self.beganAt = startedAt
    }

    /// Takes up counts that were kept over a restart. What they count is not in the cohorts any more.
    public mutating func restore(sinceStart: [OutcomeCounts], sinceStep: [OutcomeCounts]) {
        guard sinceStart.count == 2, sinceStep.count == 2 else { return }
        self.sinceStart = sinceStart
        self.sinceStep = sinceStep
    }

    /// Lets latencies count from now on when their request began at or after `instant`; `.max`: none does. Errors
    /// always count, or a crash loop would hide in its warm-up.
    public mutating func judgeLatency(from instant: Int64) { latencyFrom = instant }

    /// What follows counts as the new step's when it began at or after `instant`.
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

    /// Forgets what began before `now − retention`.
    public mutating func expire(now: Int64) {
        let oldest = (now - retention.nanoseconds) / Self.cohortLength
        for arm in 0..<2 {
            let keep = cohorts[arm].firstIndex { $0.second >= oldest } ?? cohorts[arm].count
            if keep > 0 { cohorts[arm].removeFirst(keep) }
            ended[arm].removeFirst(ended[arm].prefix { $0.second < oldest }.count)
        }
    }

    /// Sums of what began in `since ..< until` (monotonic nanoseconds, widened to whole cohorts).
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

    /// Outcomes alone of what ended at or after `since` and before `until`, whenever it began; in whole seconds.
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

    /// The index of a second's cohort, made where it is missing; nil where it was expired already.
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
