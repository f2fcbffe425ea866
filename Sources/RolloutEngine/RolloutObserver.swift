import Analysis
import PolicyModel

/// The judging pipeline of one service: it collects the requests, scrapes and labels that belong to the state in force,
/// hands each second to the judge once nothing in it can change any more, and evaluates the rollout when that is due.
/// The agent's controller and policy tests run the same observer; they differ in where traffic comes from and in what
/// happens to the transition that follows from an evaluation.
///
/// The observer knows no clock and does no I/O. The order of calls in a tick is: record what came in, `mature`,
/// `add` labels, `evaluate` if that is due, and `follow` the resulting state once it is in force.
public struct RolloutObserver: Sendable {
    /// Traffic without a judged request for this long counts as no traffic: the rollout holds, and no time passes for
    /// it.
    public static let dataGap: Duration = .seconds(60)
    /// An agent whose ticks are further apart than this could not see what happened between them.
    public static let blindAfter: Duration = .seconds(10)
    /// The time between two ticks. An analysis interval that is shorter has no effect.
    public static let tickInterval: Duration = .milliseconds(500)

    /// The settings of a service on which observation depends. A rollout keeps the plan that it was started with.
    public struct Settings: Hashable, Sendable {
        /// The plan of the next rollout, and of the time between rollouts.
        public var plan: RolloutPlan
        public var sticky: StickyKey
        /// The longest interval between two scrapes of a server; zero if no version is scraped.
        public var scrapeInterval: Duration

        public init(plan: RolloutPlan, sticky: StickyKey = .none, scrapeInterval: Duration = .zero) {
            self.plan = plan
            self.sticky = sticky
            self.scrapeInterval = scrapeInterval
        }

        var isKeyed: Bool { sticky != .none }
    }

    /// The state in force, which decides what is judged and under which plan.
    public private(set) var state: ServiceState
    public var settings: Settings {
        didSet { updateNeeds() }
    }
    /// The judged requests of the rollout, or of the time since the last one.
    public private(set) var window: ObservationWindow
    /// The labeled responses of the rollout.
    public private(set) var quality = QualityTable()
    public private(set) var series: SeriesWindow
    public private(set) var judge: Judge
    /// The newest evaluation; nil without a rollout and while it waits to be started.
    public private(set) var evaluation: Evaluation?
    /// True if a check of the plan asks for labels.
    public private(set) var wantsFeedback = false
    /// The attributes by which a check of the plan divides labels into groups.
    private var attributes: Set<String> = []
    /// Labels that wait for the longest maturity of a check, which is `labelMaturity`.
    private var waitingLabels = LabelQueue()
    private var labelMaturity: Duration = .zero
    /// Requests on their way to the judge, by second.
    private var feed: TickFeed
    /// The profile of the serving version while no judge keeps it.
    private var idleProfile: BaselineProfile
    /// The instant of the last evaluation.
    private var evaluatedAt: Int64
    /// The reason for which something went unseen since the last evaluation.
    private var blindness: String?

    /// - Parameter now: monotonic nanoseconds, as everywhere in the observer.
    public init(_ settings: Settings, state: ServiceState, now: Int64) {
        let plan = state.rollout?.plan ?? settings.plan
        self.settings = settings
        self.state = state
        idleProfile = BaselineProfile(plan.policies)
        window = Self.window(plan, now: now)
        series = Self.series(plan, settings)
        judge = Judge(plan.analysis, plan.policies, sticky: settings.sticky)
        feed = TickFeed(now: now, isKeyed: settings.isKeyed)
        evaluatedAt = now
        updateNeeds()
    }

    /// The plan that the rollout was started with; the declared one if there is no rollout.
    public var plan: RolloutPlan { state.rollout?.plan ?? settings.plan }

    /// The step of requests that begin now, as the judge counts steps.
    public var step: UInt16 { feed.step }

    private var isJudging: Bool { state.rollout.map { $0.phase != .waiting } ?? false }

    /// The metric series that the checks of the plan need from every scrape.
    public var queries: Set<SeriesQuery> {
        Set(
            plan.policies.flatMap(\.checks).compactMap {
                if case .metric(let metric) = $0.kind { metric.query } else { nil }
            })
    }

    /// Recipients of the labels that arrive now.
    public var audience: FeedbackJoin.Audience {
        isJudging ? wantsFeedback ? .rollout : .noCheck : .noRollout
    }

    private mutating func updateNeeds() {
        wantsFeedback = false
        attributes = []
        labelMaturity = .zero
        for check in plan.policies.flatMap(\.checks) {
            guard case .quality(let quality) = check.kind else { continue }
            wantsFeedback = true
            labelMaturity = max(labelMaturity, quality.maturity)
            for group in quality.groups { attributes.insert(group.attribute) }
        }
    }

    /// The longest window of a check, and enough for the status display.
    private static func retention(_ plan: RolloutPlan) -> Duration {
        let windows = plan.policies.flatMap(\.checks).map(\.limits.window)
        return max(windows.max() ?? .zero, .seconds(130))
    }

    private static func window(_ plan: RolloutPlan, now: Int64) -> ObservationWindow {
        ObservationWindow(retention: retention(plan), startedAt: now)
    }

    /// A window for the scrapes of the same time, the one before its beginning included, and for three at least.
    private static func series(_ plan: RolloutPlan, _ settings: Settings) -> SeriesWindow {
        SeriesWindow(
            span: max(retention(plan) + .nanoseconds(SeriesWindow.startSlack), settings.scrapeInterval * 3))
    }
}

// MARK: - Recording

extension RolloutObserver {
    /// Judged items that the judge took, for the recording.
    public struct TakenItems: Sendable {
        public var items: [JudgedItem] = []
        /// The number of items that the judge had taken before; nil if it does not count them.
        public var first: Int?
        /// The number of labels that came too late, or found no room to wait, and are not judged.
        public var lateLabels = 0
    }

    /// Records an ended, judged request.
    public mutating func record(_ o: Observation) {
        window.record(o)
        feed.record(o)
    }

    /// Replaces the list of open, judged requests.
    public mutating func setOpen(_ requests: [Observation]) {
        window.setOpen(requests)
        feed.setOpen(requests)
    }

    /// Sets the servers of an arm that are scraped, and the version's name for messages.
    public mutating func setServers(_ servers: [Endpoint], of arm: Arm, version: String) {
        series.setServers(servers, of: arm, version: version)
    }

    /// Records the outcome of one scrape that began at `instant`.
    public mutating func record(_ outcome: ScrapeOutcome, at instant: Int64, of server: Endpoint, arm: Arm) {
        switch outcome {
        case .sample(let sample): series.record(sample, of: server, arm: arm)
        case .failure(let reason): series.recordFailure(reason, at: instant, of: server, arm: arm)
        }
    }

    /// Records that something went unseen. The next evaluation says so, and does not let the rollout advance.
    public mutating func recordBlindness(_ reason: String) { blindness = reason }

    /// Hands the seconds in which nothing can change any more to the judge, or to the profile of the serving version if
    /// nothing is judged.
    public mutating func mature(now: Int64) -> TakenItems {
        let labels = waitingLabels.release(before: now - labelMaturity.nanoseconds)
        return take(feed.mature(now: now, latencyMaturity: judge.latencyMaturity) + judged(labels))
    }

    /// Adds labels that were joined with their requests. Labels that no check asks for are dropped. If a check declares
    /// a maturity, labels wait until their requests are that old, so that all labels of the same time are compared
    /// together; a label that comes later is counted as late. Waiting labels are not stored: a restarted agent does not
    /// know the requests of that time, so only their early labels would be compared.
    public mutating func add(_ labels: [JoinedFeedback], now: Int64) -> TakenItems {
        guard !labels.isEmpty, audience == .rollout else { return TakenItems() }
        guard labelMaturity > .zero else { return take(judged(labels)) }
        var taken = TakenItems()
        var late: [JoinedFeedback] = []
        for label in labels {
            let isInTime = now - label.startedAt <= labelMaturity.nanoseconds
            if !isInTime { late.append(label) }
            if !isInTime || !waitingLabels.insert(label) { taken.lateLabels += 1 }
            if isInTime, waitingLabels.count == LabelQueue.capacity {
                recordBlindness("\(LabelQueue.capacity) labels wait for their maturity, and more are not judged")
            }
        }
        let judged = take(judged(late, areLate: true))
        (taken.items, taken.first) = (judged.items, judged.first)
        return taken
    }

    /// Makes the agent blind if requests are remembered for a shorter time than labels are waited for, because the
    /// labels that come last are then lost.
    /// - Parameter memory: the time for which requests are remembered.
    public mutating func noteMemory(_ memory: Duration) {
        guard audience == .rollout, memory < labelMaturity else { return }
        recordBlindness(
            "requests are remembered for \(Int(memory.seconds)) s at this rate, and labels are waited for "
                + "\(Int(labelMaturity.seconds)) s: the last of them find no request")
    }

    /// The labels as an item for the judge; nothing without labels.
    private mutating func judged(_ labels: [JoinedFeedback], areLate: Bool = false) -> [JudgedItem] {
        guard !labels.isEmpty else { return [] }
        let scores = plan.policies.scoreRange
        for label in labels {
            if areLate {
                quality.addLate(label.row, arm: label.arm, scores: scores)
            } else {
                quality.add(label.row, arm: label.arm, attributes: attributes, scores: scores)
            }
        }
        return [
            .rows(
                labels.map {
                    QualityRow(
                        $0, attributes: attributes, step: feed.step(at: $0.startedAt), isKeyed: settings.isKeyed,
                        isLate: areLate)
                })
        ]
    }

    private mutating func take(_ items: [JudgedItem]) -> TakenItems {
        guard !items.isEmpty else { return TakenItems() }
        let first = judge.items
        if isJudging { judge.take(items) }
        if !isJudging || !judge.keepsProfile { for item in items { idleProfile.observe(item) } }
        return TakenItems(items: items, first: first)
    }
}

// MARK: - Evaluation

/// The servers of an arm, and how many of them can be given requests.
public struct ServerCounts: Hashable, Sendable {
    public var all: Int
    public var reachable: Int

    public init(all: Int, reachable: Int) {
        self.all = all
        self.reachable = reachable
    }
}

extension RolloutObserver {
    /// True if the rollout is to be evaluated in this tick: once per analysis interval, and in every tick while it
    /// waits to be started. False without a rollout.
    public func isEvaluationDue(now: Int64) -> Bool {
        guard let rollout = state.rollout else { return false }
        return rollout.phase == .waiting
            || Duration.nanoseconds(now - evaluatedAt) >= rollout.plan.analysis.interval
    }

    /// Evaluates the rollout. While it waits to be started, no check is judged.
    /// - Returns: the evaluation, and the time since the last one that may count for the rollout. Both are the input of
    ///   the state machine.
    public mutating func evaluate(
        baseline: ServerCounts, candidate: ServerCounts, now: Int64
    ) -> (evaluation: Evaluation, elapsed: Duration) {
        guard let rollout = state.rollout else { preconditionFailure("there is no rollout to evaluate") }
        let isWaiting = rollout.phase == .waiting
        let elapsed = min(.nanoseconds(now - evaluatedAt), rollout.plan.analysis.interval + Self.blindAfter)
        evaluatedAt = now
        window.expire(now: now)
        var new = Evaluation(
            results: isWaiting ? [] : judge.evaluate(rollout.plan.policies, snapshot, now: now),
            baseline: condition(.baseline, baseline, now: now), candidate: condition(.candidate, candidate, now: now),
            isDataFlowing: isDataFlowing(rollout, now: now), blindness: blindness)
        new.items = isWaiting ? nil : judge.items
        if !isWaiting { new.recordArguments(of: rollout.plan.policies) }
        blindness = nil
        evaluation = isWaiting ? nil : new
        return (new, elapsed)
    }

    /// The problems of the scraped series for the checks of the plan.
    public var scrapeProblems: [ScrapeProblem] { snapshot.problems(of: plan.policies) }

    private var snapshot: WindowSnapshot { WindowSnapshot(observations: window, quality: quality, series: series) }

    private func isDataFlowing(_ rollout: Rollout, now: Int64) -> Bool {
        // After an unclean stop the candidate waits for a request: that nothing was seen yet is no sign of health.
        let since = rollout.isRecovering ? now - 2 * Self.dataGap.nanoseconds : window.beganAt
        return now - max(window.newestStart ?? .min, since) <= Self.dataGap.nanoseconds
    }

    private func condition(_ arm: Arm, _ servers: ServerCounts, now: Int64) -> ArmCondition {
        let all = window.sinceStart[Int(arm.rawValue)]
        let recent = window.counts(arm, since: now - ArmCondition.recentSpan.nanoseconds)
        return ArmCondition(
            servers: servers.all, reachable: servers.reachable, requests: all.judged, errors: all.errors,
            recentRequests: recent.judged, recentErrors: recent.errors)
    }
}

// MARK: - Transitions

extension RolloutObserver {
    /// The beginning of a recording: a judge that has taken nothing yet.
    public struct RecordingStart: Sendable {
        public var judge: Judge
        /// The id of the rollout that the judge judges; nil if none is judged.
        public var rollout: String?
    }

    /// Adapts observation to a state that is in force from `now` on: a new rollout, or the end of one, starts
    /// observation anew; the first step starts the judge; a later step and a change of the candidate's share are noted
    /// for the requests that follow.
    /// - Returns: the recordings that begin.
    public mutating func follow(_ new: ServiceState, now: Int64) -> [RecordingStart] {
        let old = state
        var starts: [RecordingStart] = []
        if restartsObservation(from: old, to: new) {
            let profile = profile(after: new)
            state = new
            restart(profile, now: now)
            starts.append(RecordingStart(judge: judge))
        } else {
            state = new
        }
        if let rollout = new.rollout, rollout.phase != .waiting, beginsStep(from: old, to: new) {
            window.beginStep(at: now)
            if beginsRollout(from: old, to: new) {
                startJudge()
                starts.append(RecordingStart(judge: judge, rollout: rollout.id))
            } else {
                judge.stepBegan()
            }
            feed.beginStep(share: new.split.candidate, now: now)
        } else if new.rollout?.id == old.rollout?.id, new.split.candidate != old.split.candidate {
            feed.changeShare(new.split.candidate, now: now)
        }
        if new.rollout?.phase != old.rollout?.phase {
            if new.rollout?.phase == .warmup { judgeLatency(from: .max) }
            if old.rollout?.phase == .warmup { judgeLatency(from: now) }
        }
        return starts
    }

    /// True if another rollout, or none, is observed, or other versions, or a waiting rollout has got another plan.
    private func restartsObservation(from old: ServiceState, to new: ServiceState) -> Bool {
        new.rollout?.id != old.rollout?.id || new.serving != old.serving
            || (new.rollout?.phase == .waiting && new.rollout?.plan != old.rollout?.plan)
    }

    /// True if a rollout is judged from now on that was not judged before, or the reverse.
    private func beginsRollout(from old: ServiceState, to new: ServiceState) -> Bool {
        new.rollout?.id != old.rollout?.id || old.rollout?.phase == .waiting
    }

    private func beginsStep(from old: ServiceState, to new: ServiceState) -> Bool {
        new.rollout?.committedWeight != old.rollout?.committedWeight
            || (new.rollout?.phase != old.rollout?.phase && old.rollout?.phase == .warmup)
    }

    /// - Parameter profile: the profile of the version that serves now; nil if nothing is known about it.
    private mutating func restart(_ profile: BaselineProfile?, now: Int64) {
        idleProfile = profile ?? BaselineProfile()
        idleProfile.learn(plan.policies)
        window = Self.window(plan, now: now)
        quality = QualityTable()
        waitingLabels = LabelQueue()
        series = Self.series(plan, settings)
        feed = TickFeed(now: now, isKeyed: settings.isKeyed)
        evaluation = nil
        evaluatedAt = now
        blindness = nil
        updateNeeds()
        startJudge()
    }

    private mutating func startJudge() {
        judge = Judge(plan.analysis, plan.policies, sticky: settings.sticky, profile: idleProfile)
    }

    private mutating func judgeLatency(from instant: Int64) {
        window.judgeLatency(from: instant)
        feed.judgeLatency(from: instant)
    }

    /// The profile of the serving version.
    private var profile: BaselineProfile { isJudging ? judge.profile ?? idleProfile : idleProfile }

    /// The profile of the version that serves in `new`: that of the candidate if it was promoted; nil if that version
    /// is neither of the two that were compared.
    private func profile(after new: ServiceState) -> BaselineProfile? {
        if new.serving == state.serving { return profile }
        guard new.serving == state.rollout?.candidate else { return nil }
        return judge.promotedProfile
    }
}

// MARK: - Restarts of the agent

extension RolloutObserver {
    /// The result of a restoration.
    public enum Restoration: Sendable {
        /// Nothing is judged, so only the profile was restored.
        case idle
        /// The judge of this rollout continues where it was.
        case continued(rollout: String)
        /// The evidence belongs to something else, so the rollout is judged from the beginning.
        case restarted(RecordingStart)
    }

    /// The evidence to be stored together with `next`, which is the state in force or the one that will be next.
    public func evidence(storedWith next: ServiceState) -> Evidence {
        var evidence = Evidence(
            // A rollout that begins gets another judge, which is stored later.
            rollout: beginsRollout(from: state, to: next) ? "" : next.rollout?.id ?? "", serving: next.serving,
            // The judge is most of what is stored, and nobody asks for it between rollouts.
            judge: state.rollout == nil ? .threshold(ThresholdJudge()) : judge,
            profile: profile(after: next) ?? BaselineProfile(), quality: quality, sinceStart: window.sinceStart,
            sinceStep: window.sinceStep, step: feed.step)
        if beginsStep(from: state, to: next) {
            evidence.sinceStep = [OutcomeCounts(), OutcomeCounts()]
            evidence.step &+= 1
        }
        return evidence
    }

    /// Continues from stored evidence.
    /// - Parameter tail: the items that the judge took after the evidence was stored.
    public mutating func restore(_ evidence: Evidence, tail: [JudgedItem]) -> Restoration {
        if evidence.serving == state.serving { idleProfile = evidence.profile }
        idleProfile.learn(plan.policies)
        guard let rollout = state.rollout, isJudging else { return .idle }
        guard evidence.rollout == rollout.id else { return restoreWithoutEvidence() }
        judge = evidence.judge
        quality = evidence.quality
        window.restore(sinceStart: evidence.sinceStart, sinceStep: evidence.sinceStep)
        judge.take(tail)
        if case .sequential(let judge) = judge {
            // A judge counts by key or by request until the end of its rollout, whatever the file says by now.
            feed = TickFeed(now: evaluatedAt, isKeyed: judge.isKeyed)
            feed.resume(step: max(judge.step, evidence.step), share: state.split.candidate)
        }
        return .continued(rollout: rollout.id)
    }

    /// Continues a rollout whose evidence is lost, or was not stored yet: it is judged from the beginning.
    public mutating func restoreWithoutEvidence() -> Restoration {
        guard let rollout = state.rollout, isJudging else { return .idle }
        startJudge()
        feed.resume(step: 1, share: state.split.candidate)
        return .restarted(RecordingStart(judge: judge, rollout: rollout.id))
    }

    /// Ends a restoration after the state machine has handled the restart. The requests that follow are assigned by the
    /// split in force, which gives the candidate nothing after an unclean stop.
    public mutating func completeRestoration() {
        feed.resume(step: feed.step, share: state.split.candidate)
        if state.rollout?.phase == .warmup { judgeLatency(from: .max) }
    }
}
