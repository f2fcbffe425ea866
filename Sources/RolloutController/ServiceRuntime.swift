import Analysis
import PolicyModel
import RolloutEngine
import Vocabulary

/// A service as the controller runs it: its file, the observer of its rollouts, what has to be written, and what the
/// data plane and the scrapes report about it.
final class ServiceRuntime {
    private(set) var service: Service
    private(set) var declaration: Declaration
    /// Identifies the current rollout, or the time since the last one, in observations; a new rollout gets a new slot.
    private(set) var slot: UInt32
    private(set) var observer: RolloutObserver
    /// The items that the judge took since they were last written.
    private(set) var recorder = Recorder()
    var ledger: WriteLedger
    private(set) var join = FeedbackJoin()
    /// The totals by version name.
    private(set) var totals: [String: VersionTotals] = [:]
    /// The number of events by kind since the agent started.
    private(set) var eventCounts: [EventKind: UInt64] = [:]
    private(set) var health: [Arm: ArmHealth] = [:]
    private(set) var failures = FailureTally()
    /// The problems of the scraped series as of the newest scrape.
    private(set) var scrapeProblems: [ScrapeProblem] = []
    private var hasNewScrapes = false
    /// True if the files changed and the resulting transition could not be written yet; every tick tries it again.
    private(set) var hasPendingDeclaration = false
    /// The error with which the data plane refused the service's listeners, so that it is reported once.
    private var prepareFailure: String?
    /// Descriptions of the servers whose names did not resolve, so that each is reported once.
    private var unresolved: Set<String> = []

    init(
        service: Service, declaration: Declaration, state: ServiceState, slot: UInt32, hasMarker: Bool, now: Moment
    ) {
        self.service = service
        self.declaration = declaration
        self.slot = slot
        observer = RolloutObserver(Self.settings(service, declaration), state: state, now: now.monotonic)
        ledger = WriteLedger(service: service.name, hasMarker: hasMarker, now: now.monotonic)
    }

    private static func settings(_ service: Service, _ declaration: Declaration) -> RolloutObserver.Settings {
        RolloutObserver.Settings(
            plan: declaration.plan, sticky: service.traffic.sticky,
            scrapeInterval: service.versions.compactMap(\.metrics?.interval).max() ?? .zero)
    }

    // MARK: - State

    /// The state in force.
    var state: ServiceState { observer.state }

    /// Replaces the content of the service's file.
    func replace(_ service: Service, _ declaration: Declaration) {
        self.service = service
        self.declaration = declaration
        observer.settings = Self.settings(service, declaration)
    }

    /// Records whether the transition for the newest files still has to be written.
    func setPendingDeclaration(_ isPending: Bool) { hasPendingDeclaration = isPending }

    /// Follows a state that is in force from `now` on, in monotonic nanoseconds.
    /// - Parameter newSlot: assigns a slot; it is called if the state needs a new one.
    /// - Returns: true if the state starts a new judge.
    @discardableResult
    func follow(_ new: ServiceState, now: Int64, newSlot: () -> UInt32) -> Bool {
        let old = (rollout: state.rollout?.id, serving: state.serving)
        if (new.rollout?.id, new.serving) != old { slot = newSlot() }
        let starts = observer.follow(new, now: now)
        for start in starts {
            recorder.begin(start.judge, rollout: start.rollout)
            guard start.rollout == nil else { continue }
            scrapeProblems.removeAll { $0.arm == .candidate }
            health = [:]
        }
        return !starts.isEmpty
    }

    /// Continues from the stored evidence; without it, a rollout starts with none.
    func restore(_ stored: StoredService?) {
        let restoration =
            if let stored, let evidence = stored.evidence {
                observer.restore(evidence, tail: stored.tail)
            } else {
                observer.restoreWithoutEvidence()
            }
        switch restoration {
        case .idle: break
        case .continued(let rollout): recorder.resume(rollout: rollout)
        case .restarted(let start): recorder.begin(start.judge, rollout: start.rollout)
        }
    }

    func completeRestoration() { observer.completeRestoration() }

    /// The change to commit for a state that is in force or will be. It contains the items that the judge took; the
    /// judge itself is part of it only with an event and at intervals.
    func change(to new: ServiceState, _ events: [Event], now: Moment) -> StateChange {
        let isRolloutWithoutRecording = new.rollout != nil && observer.judge.items == nil
        let hasJudge =
            !events.isEmpty || isRolloutWithoutRecording
            || ledger.isJudgeDue(inRollout: new.rollout != nil, now: now.monotonic)
        return StateChange(
            state: new, evidence: hasJudge ? observer.evidence(storedWith: new) : nil,
            events: ledger.deferredEvents + events, recording: recorder.unwritten, at: now.wall)
    }

    /// Records that a change was committed.
    /// - Returns: true if there is a marker, which the commit has made obsolete.
    func recordCommit(of change: StateChange, now: Moment) -> Bool {
        recorder.written()
        return ledger.recordCommit(withJudge: change.evidence != nil, now: now.monotonic)
    }

    // MARK: - Observations

    /// Records an ended request that the service got under this slot or an earlier one.
    func record(_ o: Observation) {
        totals[versionName(of: o.arm, slot: o.slot), default: VersionTotals()].record(o)
        guard o.flags.contains(.judged) else { return }
        // The join records requests of earlier rollouts too, so that their labels count as late and not as unmatched. A
        // rescued request is left out, since its label belongs to the prediction of the baseline.
        if !observer.wantsFeedback {
            join.skip(o)
        } else if !o.flags.contains(.rescued) {
            join.record(o)
        }
        if o.slot == slot { observer.record(o) }
    }

    /// The version name under which requests of this arm and slot are counted.
    func versionName(of arm: Arm, slot: UInt32) -> String {
        guard slot == self.slot else { return "previous" }
        return arm == .baseline
            ? observer.state.serving.name : observer.state.rollout?.candidate.name ?? "previous-candidate"
    }

    /// Replaces the list of open, judged requests.
    func setOpen(_ requests: [Observation]) { observer.setOpen(requests) }

    /// Records failed requests.
    /// - Returns: the report to log now; nil if the reason was reported recently.
    func record(_ count: FailureCount, now: Moment) -> FailureReport? {
        failures.record(count, version: versionName(of: count.arm, slot: count.slot), now: now)
    }

    /// Records the health of an arm's servers.
    /// - Returns: the servers whose names do not resolve and that were not reported yet, with the reason.
    func record(_ health: ArmHealth) -> [String] {
        guard health.slot == slot else { return [] }
        self.health[health.arm] = health
        let current = unresolvedServers
        defer { unresolved = Set(current) }
        return current.filter { !unresolved.contains($0) }
    }

    /// The servers whose names do not resolve, each with the reason, as text.
    private var unresolvedServers: [String] {
        Arm.allCases.flatMap { arm -> [String] in
            guard let states = health[arm]?.states,
                states.contains(where: { if case .unresolved = $0 { true } else { false } }), let version = version(arm)
            else { return [] }
            return zip(version.servers, states).compactMap { server, state in
                guard case .unresolved(let reason) = state else { return nil }
                return "\(server) of \(version.name) does not resolve: \(reason)"
            }
        }
    }

    /// Records a scrape for each arm that serves its version.
    func record(_ reading: MetricReading) {
        hasNewScrapes = true
        for arm in Arm.allCases where version(arm)?.name == reading.version {
            observer.record(reading.outcome, at: reading.at, of: reading.server, arm: arm)
        }
    }

    /// Sets the servers of an arm that are scraped.
    func setServers(_ servers: [Endpoint], of arm: Arm, version: String) {
        observer.setServers(servers, of: arm, version: version)
    }

    func recordBlindness(_ reason: String) { observer.recordBlindness(reason) }

    /// Records the result of preparing the data plane for this service.
    /// - Parameter failure: the error; nil if the preparation succeeded.
    /// - Returns: true if it failed, and not for the same reason as the last time.
    func recordPreparation(failure: String?) -> Bool {
        defer { prepareFailure = failure }
        return failure != nil && prepareFailure != failure
    }

    /// Updates `scrapeProblems` after new scrapes.
    /// - Returns: the problems that were not known before.
    func newScrapeProblems() -> [ScrapeProblem] {
        guard hasNewScrapes else { return [] }
        hasNewScrapes = false
        let known = scrapeProblems
        scrapeProblems = observer.scrapeProblems
        return scrapeProblems.filter { problem in !known.contains { $0.isSame(as: problem) } }
    }

    // MARK: - Judging

    /// Accepts feedback that is joined with its request at the next tick.
    /// - Returns: the indices, from 0, of the rows that were rejected because too many are waiting.
    func submit(_ rows: [Feedback], now: Int64) -> [Int] {
        let audience = observer.audience
        return rows.indices.filter { !join.submit(rows[$0], for: audience, now: now) }
    }

    /// Hands the judge everything that is complete by now, in monotonic nanoseconds.
    func advance(now: Int64) {
        if let memory = join.memory(now: now) { observer.noteMemory(memory) }
        keep(observer.mature(now: now))
        guard join.counts.pending > 0 else { return }
        let taken = observer.add(join.takeJoined(slot: slot, for: observer.audience, now: now), now: now)
        join.countLate(taken.lateLabels)
        keep(taken)
    }

    /// Adds the items that the judge took to the recording.
    private func keep(_ taken: RolloutObserver.TakenItems) {
        guard !taken.items.isEmpty else { return }
        ledger.recordChange()
        recorder.append(taken.items, first: recorder.isOfRollout ? taken.first : nil)
    }

    /// Evaluates the rollout.
    /// - Returns: the evaluation, and the time since the previous one, with an upper limit.
    func evaluate(now: Int64) -> (evaluation: Evaluation, elapsed: Duration) {
        let result = observer.evaluate(
            baseline: serverCounts(.baseline), candidate: serverCounts(.candidate), now: now)
        // Counts and evidence change even if the state does not.
        if observer.evaluation != nil { ledger.recordChange() }
        return result
    }

    func count(_ event: Event) { eventCounts[event.kind, default: 0] += 1 }

    // MARK: - Versions

    /// The names of the versions that have counters, sorted: those of the file, so that each counter starts at 0 before
    /// its first request, and those that were counted under another name.
    var countedVersions: [String] { Set(service.versions.map(\.name)).union(totals.keys).sorted() }

    /// The version of an arm; nil for the candidate if there is no rollout, and if the file no longer declares the
    /// version.
    func version(_ arm: Arm) -> Version? {
        let identity = arm == .baseline ? observer.state.serving : observer.state.rollout?.candidate
        return identity.flatMap { service.version(named: $0.name) }
    }

    /// The servers of an arm as the data plane reports them; those of the file before it has reported any.
    func serverCounts(_ arm: Arm) -> ServerCounts {
        let declared = version(arm)?.servers.count ?? 0
        return ServerCounts(all: health[arm]?.servers ?? declared, reachable: health[arm]?.reachable ?? declared)
    }
}
