import PolicyModel
import Statistics

/// Groups judged requests into ticks and emits each tick once, in order, when it cannot change any more.
///
/// A request belongs to the second in which it began, so that slow requests do not stay unseen while they last. A
/// second is final when none of its requests is open, or when so much time has passed that open ones can be judged:
/// they count as slower than every threshold, and not as errors. As the order of the ticks is fixed, the time at which
/// a tick becomes final has no influence on the evidence.
public struct TickFeed: Sendable {
    /// The number of seconds for which the errors of a second are waited for. A request that ends later counts in the
    /// second that lies this long before its end: thus a timeout after a minute is counted, but does not delay all
    /// other errors by a minute.
    public static let errorMaturity: Int64 = 5
    /// The longest time in seconds for which the latencies of a second are waited for.
    public static let longestMaturity: Int64 = 120
    /// The time in nanoseconds after the end of a second at which all of its requests have been handed over: the loops
    /// are polled one after another.
    static let settling: Int64 = 500_000_000

    /// True if traffic is assigned by key, so that each request's key is kept.
    private let isKeyed: Bool
    private var errors: [ErrorTick] = []
    private var latencies: [LatencyTick] = []
    /// The last seconds whose ticks have been emitted.
    private var errorsThrough: Int64
    private var latenciesThrough: Int64
    /// The newest steps, each with its first second, ascending.
    private var steps: [(from: Int64, step: UInt16, share: Weight)]
    private var latencyFrom: Int64 = .min
    private var open: [Observation] = []

    public init(now: Int64, isKeyed: Bool) {
        self.isKeyed = isKeyed
        errorsThrough = now / ObservationWindow.cohortLength - 1
        latenciesThrough = errorsThrough
        steps = [(.min, 0, .zero)]
    }

    public var step: UInt16 { steps.last?.step ?? 0 }

    /// Continues the numbering of steps where a recording ended.
    public mutating func resume(step: UInt16, share: Weight) { steps = [(.min, step, share)] }

    /// Begins a new step, to which requests belong that begin in a later second than `now`.
    public mutating func beginStep(share: Weight, now: Int64) { change(to: step &+ 1, share: share, now: now) }

    /// Changes the split within a step, for example because the candidate is taken out after a crash and put back in.
    public mutating func changeShare(_ share: Weight, now: Int64) { change(to: step, share: share, now: now) }

    private mutating func change(to next: UInt16, share: Weight, now: Int64) {
        let second = now / ObservationWindow.cohortLength
        // Requests of this second were assigned by two splits, so its share is unknown.
        steps.append((second, step, .zero))
        steps.append((second + 1, next, share))
        if steps.count > 64 { steps.removeFirst(2) }
        if let i = latencies.firstIndex(where: { $0.second == second }) { latencies[i].share = .zero }
    }

    /// Counts only the latencies of requests that begin at or after `instant`; `.max` for none.
    public mutating func judgeLatency(from instant: Int64) { latencyFrom = instant }

    /// The step of a request that began at a time in monotonic nanoseconds.
    public func step(at instant: Int64) -> UInt16 { place(instant / ObservationWindow.cohortLength).step }

    private func place(_ second: Int64) -> (from: Int64, step: UInt16, share: Weight) {
        steps.last { $0.from <= second } ?? steps[0]
    }

    /// Adds an ended, judged request.
    public mutating func record(_ o: Observation) {
        recordLatency(o)
        let began = o.startedAt / ObservationWindow.cohortLength
        guard o.outcome.isJudged else { return }
        let ended = (o.startedAt + Int64(o.total) * 1000) / ObservationWindow.cohortLength
        let second = max(ended - began > Self.errorMaturity ? ended - Self.errorMaturity : began, errorsThrough + 1)
        // A request that counts in a later second is left out if the split was another one then, however it ended.
        let (mine, theirs) = (place(began), place(second))
        guard second == began || (mine.step == theirs.step && mine.share == theirs.share) else { return }
        let i = errorTick(second)
        errors[i].add(o.arm, shard: Self.shard(o), o.code)
        // A request without a key is assigned by a number of its own, which is as good a key.
        if isKeyed { errors[i].keys.append(KeyedResponse(key: o.key, o.arm, o.code)) }
    }

    /// Replaces the list of open requests.
    public mutating func setOpen(_ requests: [Observation]) { open = requests }

    /// Emits the ticks that have become final, the oldest first.
    /// - Parameters:
    ///   - now: the time in monotonic nanoseconds.
    ///   - latencyMaturity: the number of seconds after which an open request counts as slow; longer than every
    ///     threshold.
    public mutating func mature(now: Int64, latencyMaturity: Int64) -> [JudgedItem] {
        let length = ObservationWindow.cohortLength
        let settled = (now - Self.settling) / length - 1
        let free = (open.map { $0.startedAt / length }.min() ?? .max) - 1
        let errorsRipe = max(min(settled, free), settled - Self.errorMaturity)
        let latenciesRipe = max(min(settled, free), settled - min(latencyMaturity, Self.longestMaturity))
        if latenciesRipe > latenciesThrough {
            for o in open where o.startedAt / length <= latenciesRipe { recordLatency(o) }
        }
        var items: [JudgedItem] = []
        let errorCount = errors.prefix { $0.second <= errorsRipe }.count
        for tick in errors[..<errorCount] { items.append(.errors(tick)) }
        errors.removeFirst(errorCount)
        errorsThrough = max(errorsThrough, errorsRipe)
        let latencyCount = latencies.prefix { $0.second <= latenciesRipe }.count
        for i in 0..<latencyCount {
            if isKeyed { latencies[i].order() }
            items.append(.latencies(latencies[i]))
        }
        latencies.removeFirst(latencyCount)
        latenciesThrough = max(latenciesThrough, latenciesRipe)
        return items
    }

    /// Records the latency of a request that ended, or that is still open when its second is emitted. A request whose
    /// second has been emitted is ignored.
    private mutating func recordLatency(_ o: Observation) {
        let began = o.startedAt / ObservationWindow.cohortLength
        guard began > latenciesThrough else { return }
        let i = latencyTick(began)
        latencies[i].assigned[Int(o.arm.rawValue)] += 1
        guard o.startedAt >= latencyFrom, let entry = Self.entry(o) else { return }
        latencies[i].entries.append(entry)
        if isKeyed { latencies[i].keys.append(o.key) }
    }

    /// The latency entry of a request; nil if the request says nothing about the server's speed.
    private static func entry(_ o: Observation) -> LatencyEntry? {
        let total = LatencyBuckets.index(o.total)
        let first = o.firstByte == .max ? total : LatencyBuckets.index(o.firstByte)
        let shard = shard(o)
        switch o.outcome {
        case .success: return LatencyEntry(o.arm, shard: shard, total: total, firstByte: first)
        case .clientClosed, .open:
            return LatencyEntry(
                o.arm, shard: shard, total: total, isCensored: true, firstByte: first,
                isFirstByteCensored: o.firstByte == .max)
        case .serverError, .connectFailure, .timeout, .truncated:
            return LatencyEntry(o.arm, shard: shard, total: LatencyEntry.slowest)
        case .clientError, .clientTimeout, .rejected: return nil
        }
    }

    /// The sub-shard of a request. Its place is hashed again, since each arm's places are consecutive.
    private static func shard(_ o: Observation) -> Int {
        Int(TrafficSplit.mix(UInt64(o.place) &+ 0x9e37_79b9_7f4a_7c15) & UInt64(ErrorTick.shards - 1))
    }

    /// The index of a second's tick, which is created if missing.
    private mutating func errorTick(_ second: Int64) -> Int {
        let (i, isThere) = Self.search(second, errors)
        if !isThere { errors.insert(ErrorTick(second: second, step: place(second).step), at: i) }
        return i
    }

    private mutating func latencyTick(_ second: Int64) -> Int {
        let (i, isThere) = Self.search(second, latencies)
        if !isThere {
            let place = place(second)
            latencies.insert(LatencyTick(second: second, step: place.step, share: place.share), at: i)
        }
        return i
    }

    /// The index of a second's tick, or that at which it belongs, and whether it exists. Searches from the end, where
    /// nearly all requests belong.
    private static func search(_ second: Int64, _ ticks: [some SecondKeyed]) -> (Int, Bool) {
        var i = ticks.count
        while i > 0, ticks[i - 1].second > second { i -= 1 }
        if i > 0, ticks[i - 1].second == second { return (i - 1, true) }
        return (i, false)
    }
}

protocol SecondKeyed { var second: Int64 { get } }
extension ErrorTick: SecondKeyed {}
extension LatencyTick: SecondKeyed {}
