import PolicyModel
import RolloutEngine

/// Records which changes of one service are not on disk yet, and decides when they are written.
///
/// State and evidence that change without an event are written at intervals. Each service has its turn in one second of
/// the interval, which is derived from its name. So the writes are spread over the seconds, and one transaction serves
/// all services that have their turn in the same second.
struct WriteLedger {
    /// The interval at which state and evidence are written that changed without an event, and so the longest time
    /// whose evidence a crash can lose.
    static let stateInterval: Duration = .seconds(5)
    /// The interval at which the judge itself is written during a rollout. Items that it took later are replayed after
    /// a crash.
    static let judgeInterval: Duration = .seconds(120)
    /// The interval at which the judge is written between rollouts, when only the profile of the serving version
    /// changes, and that over hours.
    static let profileInterval: Duration = .seconds(600)
    /// The maximum number of deferred events. A disk can be full for days, and memory must not grow for that long.
    static let maximumDeferred = 1_000

    /// The events of changes that are in force and not written yet, oldest first.
    private(set) var deferredEvents: [Event] = []
    /// The error of the last write, as text; nil if it succeeded.
    private(set) var failure: String?
    /// True if a failure was reported while something was in force that is neither on disk nor marked.
    private(set) var isUnmarked = false
    /// True if the runtime directory holds a marker with this service's state.
    private(set) var hasMarker: Bool
    /// True if something has changed since the last write.
    private var isDirty = false
    /// The times of the last writes, in monotonic nanoseconds; nil if the next write must not wait for its turn.
    private var stateWrittenAt: Int64?
    private var judgeWrittenAt: Int64?
    /// The shift of the service's turns, in nanoseconds: whole seconds below ten minutes.
    private let offset: Int64

    /// - Parameter now: the current time in monotonic nanoseconds. Before the service's first turn after it, only the
    ///   judge is due.
    init(service: String, hasMarker: Bool, now: Int64) {
        offset = Int64(TrafficSplit.hash(key: service) % 600) * 1_000_000_000
        self.hasMarker = hasMarker
        stateWrittenAt = now
    }

    /// True if every change that is in force is on disk.
    var isDurable: Bool { deferredEvents.isEmpty }
    /// True if the state that is in force survives a crash.
    var survivesCrash: Bool { isDurable || hasMarker }

    // MARK: - Changes

    /// Records a change that is written at the service's next turn.
    mutating func recordChange() { isDirty = true }

    /// Makes everything that changed due now, the judge included.
    mutating func requireWrite() { (stateWrittenAt, judgeWrittenAt) = (nil, nil) }

    /// Queues the events of a change that is in force; they are written with the next successful commit. If there are
    /// too many, the oldest that are no decisions are dropped first.
    mutating func deferWrite(of events: [Event]) {
        deferredEvents += events
        while deferredEvents.count > Self.maximumDeferred {
            deferredEvents.remove(at: deferredEvents.firstIndex { !$0.isDecision } ?? 0)
        }
    }

    /// Records whether the state was kept as a marker in the runtime directory.
    mutating func recordMarker(isKept: Bool) { hasMarker = isKept }

    // MARK: - Due writes

    /// True if the state has to be written in this tick.
    func isStateDue(now: Int64) -> Bool {
        !deferredEvents.isEmpty || (isDirty && isTurn(every: Self.stateInterval, since: stateWrittenAt, now: now))
    }

    /// True if the judge has to be written with the next write of the state.
    func isJudgeDue(inRollout: Bool, now: Int64) -> Bool {
        !deferredEvents.isEmpty
            || isTurn(
                every: inRollout ? Self.judgeInterval : Self.profileInterval, since: judgeWrittenAt, now: now)
    }

    /// True if a turn of the service has begun since the last write.
    private func isTurn(every interval: Duration, since last: Int64?, now: Int64) -> Bool {
        guard let last else { return true }
        return (now + offset) / interval.nanoseconds > (last + offset) / interval.nanoseconds
    }

    // MARK: - Results

    /// Records a successful commit.
    /// - Returns: true if there is a marker, which the commit has made obsolete.
    mutating func recordCommit(withJudge: Bool, now: Int64) -> Bool {
        defer { hasMarker = false }
        deferredEvents = []
        failure = nil
        isUnmarked = false
        isDirty = false
        stateWrittenAt = now
        if withJudge { judgeWrittenAt = now }
        return hasMarker
    }

    /// Records a failed commit. Call it after the attempt to keep the state in the runtime directory.
    /// - Returns: true if the failure has to be reported, because its reason is new, or because it has changed whether
    ///   the state would survive a crash. A disk may be full long before a split is lowered.
    mutating func recordFailure(_ reason: String) -> Bool {
        let old = (failure, isUnmarked)
        (failure, isUnmarked) = (reason, !survivesCrash)
        return old != (failure, isUnmarked)
    }

    /// Lets a failed periodic write wait for the service's next turn.
    mutating func postponeWrite(now: Int64) { stateWrittenAt = now }
}
