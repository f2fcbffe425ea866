import Analysis
import PolicyModel
import RolloutEngine
import Statistics

/// One service as the controller keeps it: what the files say, what is in force, and what was seen.
final class ServiceRuntime {
    var service: Service
    var declaration: Declaration
    var state: ServiceState
    /// Of the current (service, rollout).
    var slot: UInt32
    var window: ObservationWindow
    var quality = QualityTable()
    var series: SeriesWindow
    /// What the scraped pages lack for the checks, as of the newest scrape.
    private(set) var scrapeProblems: [ScrapeProblem] = []
    private var hasNewScrapes = false
    var judge: Judge
    /// Requests on their way to the judge, by second.
    var feed: TickFeed
    /// What is known of the version that serves, while no judge keeps it.
    private var idleProfile = BaselineProfile()
    /// What the judge took in since it was last written down.
    var recorder = Recorder()
    var join: FeedbackJoin
    var evaluation: Evaluation?
    var totals: [String: VersionTotals] = [:]
    var health: [Arm: ArmHealth] = [:]
    var failures = FailureTally()
    /// Monotonic instants of the last evaluation and of the last time that state and evidence were written.
    var evaluatedAt: Int64
    var writtenAt: Int64
    /// When the judge itself was written last; in between, only what it took in.
    var evidenceWrittenAt: Int64 = .min / 2
    /// Nanoseconds, whole seconds below ten minutes: when within an interval it is this service's turn.
    private let offset: Int64
    /// State or evidence changed since.
    var isDirty = false
    /// Events of changes that are in force and not written yet.
    var unwritten: [Event] = []
    var isDurable: Bool { unwritten.isEmpty }
    /// The runtime directory holds a state of this service.
    var hasMarker = false
    /// Something is in force that is neither on disk nor marked, as it was told.
    var isUnmarked = false
    /// Why something went unseen since the last look.
    var blindness: String?
    /// The files changed and what follows could not be written yet: it is tried again at each tick.
    var owesDeclaration = false
    /// What the data plane could not open, so that it is told once.
    var prepareFailure: String?
    /// Servers whose names did not resolve at the last look, so that it is told once.
    var unresolved: [String] = []
    /// The last failure to write, so that it is told once.
    var writeFailure: String?

    init(service: Service, declaration: Declaration, state: ServiceState, slot: UInt32, now: Moment) {
        self.service = service
        self.declaration = declaration
        self.state = state
        self.slot = slot
        offset = Int64(TrafficSplit.hash(key: service.name) % 600) * 1_000_000_000
        let plan = state.rollout?.plan ?? declaration.plan
        idleProfile.learn(plan.policies)
        window = ObservationWindow(retention: Self.retention(plan), startedAt: now.monotonic)
        series = Self.series(plan, service)
        judge = Judge(plan.analysis, plan.policies, sticky: service.traffic.sticky)
        feed = TickFeed(now: now.monotonic, isKeyed: service.traffic.sticky != .none)
        join = FeedbackJoin()
        evaluatedAt = now.monotonic
        writtenAt = now.monotonic
    }

    /// Whether the service's turn came since `then`. The services' turns, a second wide, are spread over the interval by
    /// their names: each second has its share of what is written, and a second's share is one transaction.
    func isTurn(every interval: Duration, since then: Int64, now: Int64) -> Bool {
        (now + offset) / interval.nanoseconds > (then + offset) / interval.nanoseconds
    }

    var plan: RolloutPlan { state.rollout?.plan ?? declaration.plan }

    /// Whether a check reads labels: then request ids are remembered.
    var wantsFeedback: Bool {
        plan.policies.contains { policy in
            policy.checks.contains { if case .quality = $0.kind { true } else { false } }
        }
    }

    /// Who asks for the feedback that comes now.
    var audience: FeedbackJoin.Audience {
        guard let rollout = state.rollout, rollout.phase != .waiting else { return .noRollout }
        return wantsFeedback ? .rollout : .noCheck
    }

    /// Attributes that a quality check names; an empty string stands for the rows as a whole.
    private var attributesAndWhole: Set<String> {
        var names: Set<String> = []
        for policy in plan.policies {
            for check in policy.checks {
                if case .quality(let quality) = check.kind {
                    names.insert("")
                    for group in quality.groups { names.insert(group.attribute) }
                }
            }
        }
        return names
    }

    /// What is known of the version that serves.
    var profile: BaselineProfile { profile(under: state) }

    /// What is known of the version that serves next; nil where it is another than the two that were compared.
    func profile(from old: ServiceState, to new: ServiceState) -> BaselineProfile? {
        if new.serving == old.serving { return profile(under: old) }
        guard case .sequential(let judge) = judge, new.serving == old.rollout?.candidate else { return nil }
        return judge.promoted
    }

    func profile(under state: ServiceState) -> BaselineProfile {
        guard case .sequential(let judge) = judge, let rollout = state.rollout, rollout.phase != .waiting else {
            return idleProfile
        }
        return judge.profile
    }

    /// Starts seeing anew: another rollout, or none.
    /// - Parameter known: of the version that serves now; nil for one that did not serve before.
    func beginRollout(slot: UInt32, known: BaselineProfile?, now: Moment) {
        self.slot = slot
        idleProfile = known ?? BaselineProfile()
        idleProfile.learn(plan.policies)
        window = ObservationWindow(retention: Self.retention(plan), startedAt: now.monotonic)
        quality = QualityTable()
        series = Self.series(plan, service)
        scrapeProblems.removeAll { $0.arm == .candidate }
        judge = Judge(plan.analysis, plan.policies, sticky: service.traffic.sticky, profile: idleProfile)
        feed = TickFeed(now: now.monotonic, isKeyed: service.traffic.sticky != .none)
        recorder.begin(judge, rollout: nil)
        evaluation = nil
        health = [:]
        evaluatedAt = now.monotonic
    }

    /// - Parameter tail: what the judge took in after `evidence` was written.
    func restore(_ evidence: Evidence, tail: [JudgedItem]) {
        if evidence.serving == state.serving { idleProfile = evidence.profile }
        idleProfile.learn(plan.policies)
        guard let rollout = state.rollout, rollout.phase != .waiting else { return }
        guard evidence.rollout == rollout.id else { return beginAnewWithoutEvidence() }
        judge = evidence.judge
        quality = evidence.quality
        window.restore(sinceStart: evidence.sinceStart, sinceStep: evidence.sinceStep)
        judge.take(tail)
        if case .sequential(let judge) = judge {
            // A judge counts by key or by request to its end, whatever the file says by now.
            feed = TickFeed(now: evaluatedAt, isKeyed: judge.isKeyed)
            feed.resume(step: max(judge.step, evidence.step), share: state.split.candidate)
        }
        recorder.resume(rollout: rollout.id)
    }

    /// A rollout whose evidence is gone, or was not written yet: it goes on, and is counted and recorded from nothing.
    func beginAnewWithoutEvidence() {
        judge = Judge(plan.analysis, plan.policies, sticky: service.traffic.sticky, profile: idleProfile)
        feed.resume(step: 1, share: state.split.candidate)
        recorder.begin(judge, rollout: state.rollout?.id)
    }

    var evidence: Evidence {
        Evidence(
            // Between rollouts nobody asks for the judge, and it is most of what would be written.
            rollout: state.rollout?.id ?? "", serving: state.serving,
            judge: state.rollout == nil ? .threshold(ThresholdJudge()) : judge, profile: profile, quality: quality,
            sinceStart: window.sinceStart, sinceStep: window.sinceStep, step: feed.step)
    }

    /// Keeps events for when they can be written. Where that takes too long the oldest that decided nothing go first.
    func owe(_ events: [Event]) {
        unwritten += events
        while unwritten.count > Self.maximumUnwritten {
            unwritten.remove(at: unwritten.firstIndex { !$0.isDecision } ?? 0)
        }
    }

    /// A disk can be full for days; memory must not follow it.
    static let maximumUnwritten = 1_000

    // MARK: - Taking in

    /// A request of any slot of this service.
    func record(_ o: Observation) {
        totals[versionName(of: o.arm, slot: o.slot), default: VersionTotals()].record(o)
        guard o.flags.contains(.judged) else { return }
        // What began under an earlier rollout is known to the join, so that its labels count as late, not as unknown.
        // A rescued request's label is of another version's prediction.
        if !wantsFeedback {
            join.skip(o)
        } else if !o.flags.contains(.rescued) {
            join.record(o)
        }
        guard o.slot == slot else { return }
        window.record(o)
        feed.record(o)
    }

    /// What a request of this arm and slot is counted under.
    func versionName(of arm: Arm, slot: UInt32) -> String {
        guard slot == self.slot else { return "previous" }
        return arm == .baseline ? state.serving.name : state.rollout?.candidate.name ?? "previous-candidate"
    }

    func setOpen(_ requests: [Observation]) {
        window.setOpen(requests)
        feed.setOpen(requests)
    }

    /// Latencies count from then on.
    func judgeLatency(from instant: Int64) {
        window.judgeLatency(from: instant)
        feed.judgeLatency(from: instant)
    }

    /// - Parameter isFirst: the rollout only waited before.
    func beginStep(isFirst: Bool, now: Int64) {
        window.beginStep(at: now)
        if isFirst {
            judge = Judge(plan.analysis, plan.policies, sticky: service.traffic.sticky, profile: idleProfile)
            recorder.begin(judge, rollout: state.rollout?.id)
        } else {
            judge.stepBegan()
        }
        feed.beginStep(share: state.split.candidate, now: now)
    }

    /// Hands the judge what has ripened.
    func digest(now: Int64) {
        take(feed.mature(now: now, latencyMaturity: judge.latencyMaturity))
    }

    private func take(_ items: [JudgedItem]) {
        guard !items.isEmpty else { return }
        isDirty = true
        let first = judge.items
        if state.rollout == nil || state.rollout?.phase == .waiting {
            for item in items { idleProfile.observe(item) }
        } else {
            judge.take(items)
            if case .threshold = judge { for item in items { idleProfile.observe(item) } }
        }
        recorder.append(items, first: recorder.isOfRollout ? first : nil)
    }

    func settleFeedback(now: Int64) {
        guard join.counts.pending > 0 else { return }
        let attributes = attributesAndWhole
        let joined = join.settle(slot: slot, for: audience, now: now)
        guard !joined.isEmpty else { return }
        let scores = plan.policies.scoreRange
        for label in joined { quality.add(label.row, arm: label.arm, attributes: attributes, scores: scores) }
        take([.rows(joined.map { QualityRow($0, attributes: attributes, step: feed.step(at: $0.startedAt)) })])
    }

    func record(_ reading: MetricReading) {
        hasNewScrapes = true
        for arm in Arm.allCases where version(arm)?.name == reading.version {
            switch reading.outcome {
            case .sample(let sample): series.record(sample, of: reading.server, arm: arm)
            case .failure(let reason): series.recordFailure(reason, at: reading.at, of: reading.server, arm: arm)
            }
        }
    }

    /// Problems that the newest scrapes brought up.
    func newScrapeProblems() -> [ScrapeProblem] {
        guard hasNewScrapes else { return [] }
        hasNewScrapes = false
        let known = scrapeProblems
        let snapshot = WindowSnapshot(observations: window, series: series)
        scrapeProblems = snapshot.problems(of: plan.policies)
        return scrapeProblems.filter { problem in !known.contains { $0.isSame(as: problem) } }
    }

    /// What the checks of the plan ask of every scrape.
    var queries: Set<SeriesQuery> {
        Set(
            plan.policies.flatMap(\.checks).compactMap {
                if case .metric(let metric) = $0.kind { metric.query } else { nil }
            })
    }

    // MARK: - Looking

    /// Of a rollout; nil without one. While it waits to be started nothing is judged.
    func evaluate(now: Int64, blindness: String?) -> Evaluation? {
        guard let rollout = state.rollout else { return nil }
        window.expire(now: now)
        let snapshot = WindowSnapshot(observations: window, quality: quality, series: series)
        // A look that saw nothing is not a healthy one: after an unclean stop the candidate waits for a request.
        let since = rollout.isRecovering ? now - 2 * RolloutController.dataGap.nanoseconds : window.beganAt
        let lastSeen = max(window.newestStart ?? .min, since)
        var evaluation = Evaluation(
            results: rollout.phase == .waiting ? [] : judge.evaluate(rollout.plan.policies, snapshot, now: now),
            baseline: condition(.baseline, now: now), candidate: condition(.candidate, now: now),
            isDataFlowing: now - lastSeen <= RolloutController.dataGap.nanoseconds, blindness: blindness)
        evaluation.items = rollout.phase == .waiting ? nil : judge.items
        return evaluation
    }

    private func condition(_ arm: Arm, now: Int64) -> ArmCondition {
        let all = window.sinceStart[Int(arm.rawValue)]
        let recent = window.counts(arm, since: now - ArmCondition.recentSpan.nanoseconds)
        let servers = health[arm]?.servers ?? servers(of: arm)
        return ArmCondition(
            servers: servers, reachable: health[arm]?.reachable ?? servers,
            requests: all.judged, errors: all.errors, recentRequests: recent.judged, recentErrors: recent.errors)
    }

    func version(_ arm: Arm) -> Version? {
        let identity = arm == .baseline ? state.serving : state.rollout?.candidate
        return identity.flatMap { service.version(named: $0.name) }
    }

    /// Names without an address, with the reason.
    var unresolvedNow: [String] {
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

    func servers(of arm: Arm) -> Int { version(arm)?.servers.count ?? 0 }

    /// The longest look back of any check, and enough for the views.
    private static func retention(_ plan: RolloutPlan) -> Duration {
        let windows = plan.policies.flatMap(\.checks).map(\.limits.window)
        return max(windows.max() ?? .zero, .seconds(130))
    }

    /// Scrapes for as long, the one before the begin included, and three at the least.
    private static func series(_ plan: RolloutPlan, _ service: Service) -> SeriesWindow {
        let interval = service.versions.compactMap(\.metrics?.interval).max() ?? .zero
        return SeriesWindow(span: max(retention(plan) + .nanoseconds(SeriesWindow.startSlack), interval * 3))
    }
}

/// All requests that a version got since the agent started, judged or not: for the agent's own metrics.
struct VersionTotals {
    /// Upper bounds in seconds of the exported histogram.
    static let bounds: [Double] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    var outcomes = OutcomeCounts()
    /// Requests at or below each bound, not cumulated; the last is above all.
    var buckets = [UInt64](repeating: 0, count: bounds.count + 1)
    var seconds = 0.0
    var keyless: UInt64 = 0
    var matched: UInt64 = 0
    var rescued: UInt64 = 0

    mutating func record(_ o: Observation) {
        outcomes.add(o)
        if o.flags.contains(.keyless) { keyless += 1 }
        if o.flags.contains(.matched) { matched += 1 }
        if o.flags.contains(.rescued) { rescued += 1 }
        let duration = Double(o.total) / 1e6
        seconds += duration
        var place = 0
        while place < Self.bounds.count, duration > Self.bounds[place] { place += 1 }
        buckets[place] += 1
    }
}
