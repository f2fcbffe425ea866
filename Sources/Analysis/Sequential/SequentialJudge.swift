import PolicyModel
import Statistics

/// The judge whose evidence, for a revert and for a promotion, is valid however often it is evaluated. It is a fold
/// over `JudgedItem`s: the same items in the same order give the same evidence, bit for bit.
public struct SequentialJudge: Hashable, Codable, Sendable {
    /// The number of the candidate's requests that a step needs before it may end. It is a precaution and proves
    /// nothing.
    public static let fewestInStep = 20
    /// The number of the candidate's requests in a step before a proof is reported to be out of reach, since a few slow
    /// requests among the first hundred may be chance.
    static let fewestForNoEnd = 1000
    /// The number of seconds between two updates of the counting modes and of the estimates of what is still needed.
    static let updateInterval: Int64 = 10
    /// The level at which a sample ratio mismatch is reported. A mismatch blocks a promotion and never reverts.
    static let mismatchAlpha = 0.001

    public let risk: Risk
    /// The number of items taken so far, up to which a recording has to be replayed for the same evidence.
    public private(set) var items = 0
    var states: [CheckState]
    /// The kinds of latency that checks measure.
    private let measures: [LatencyMeasure]
    /// The baseline's profile, which is updated during the rollout as well.
    public private(set) var profile: BaselineProfile
    /// The candidate's latencies, by `LatencyMeasure`.
    var candidate = [LatencyProfile(), LatencyProfile()]
    /// How the candidate's requests of the current step ended.
    struct CandidateInStep: Hashable, Codable, Sendable {
        var step: UInt16
        var requests: UInt64 = 0
        var responses = ResponseCounts()
    }
    private(set) var inStep = CandidateInStep(step: 0)
    /// How the candidate's requests ended since the rollout began.
    private(set) var inStart = ResponseCounts()
    /// Evidence that requests, or labels, are divided between the arms otherwise than the split says.
    private var sampleRatio = SampleRatioProcess()
    private var labelRatio = SampleRatioProcess()
    /// The candidate's share in each of the newest steps, ascending.
    private var shares: [ShareOfStep] = []
    private struct ShareOfStep: Hashable, Codable, Sendable {
        var step: UInt16
        var share: Weight
    }
    /// True under sticky routing, where keys are counted instead of requests.
    public let isKeyed: Bool
    public private(set) var step: UInt16 = 0
    /// The cohorts of keys for latencies, and the keys of this step for the proofs of errors and of latencies.
    private var cohorts = FirstRequests()
    private var keysInStep = KeysInStep()
    private struct KeysInStep: Hashable, Codable, Sendable {
        var step: UInt16?
        var all = KeyFilter()
        /// The step of `timed`, which changes later than `step` because latencies wait for slow requests.
        var timedStep: UInt16?
        var timed = KeyFilter()
    }
    /// The second of the last update of modes and estimates.
    private var lookedAt: Int64?
    /// The judge of the checks on scraped data, which have no share of the risk.
    var bounds = ThresholdJudge()
    /// The count of excess failures; nil if the service limits no harm.
    private(set) var harm: HarmProcess?
    /// The number of seconds after which an open request counts as slow.
    public private(set) var latencyMaturity: Int64 = 2

    public init(_ policies: [Policy], risk: Risk, isKeyed: Bool, profile: BaselineProfile = BaselineProfile()) {
        self.risk = risk
        self.isKeyed = isKeyed
        var profile = profile
        profile.learn(policies)
        self.profile = profile
        var checks: [(path: String, check: Check)] = []
        for policy in policies { for check in policy.checks { checks.append(("\(policy.name)/\(check.name)", check)) } }
        let required = checks.filter(\.check.action.isRequired).compactMap { entry in
            Self.source(entry.check).map { (path: entry.path, source: $0, share: entry.check.share) }
        }
        let weights = RiskBudget(alpha: risk.falseRevert).weights(required.map { ($0.source, $0.share) })
        let weightByPath = Dictionary(zip(required.map(\.path), weights), uniquingKeysWith: { $1 })
        let sets = ClientErrorSets(policies)
        let states = checks.compactMap { path, check in
            // A check with `action: notify` takes no share of the risk. It fails as if it were the only one.
            CheckProcess(check, profile: profile, sets: sets, isKeyed: isKeyed).map {
                CheckState(path, check, weight: weightByPath[path] ?? 1, $0)
            }
        }
        self.states = states
        harm = risk.limitsHarm ? HarmProcess(isKeyed: isKeyed) : nil
        measures = LatencyMeasure.allCases.filter { measure in states.contains { $0.measure == measure } }
        updateMaturity()
    }

    /// The source of the risk budget that a check belongs to if its action is `revert` or `pause`; nil for checks on
    /// scraped data, which `bounds` judges.
    static func source(_ check: Check) -> RiskBudget.Source? {
        switch check.kind {
        case .errors(let errors): errors.from == .proxy ? .errors : nil
        case .clientErrors: .clientErrors
        case .latency(let latency): latency.from == .proxy ? .latency : nil
        case .quality: .quality
        case .metric: nil
        }
    }

    /// The profile of the serving version once the candidate is promoted.
    public var promoted: BaselineProfile { profile.promoting(candidate) }

    // MARK: - Taking in

    public mutating func take(_ item: JudgedItem) {
        items += 1
        switch item {
        case .errors(let tick):
            step = max(step, tick.step)
            if isKeyed, keysInStep.step != tick.step { (keysInStep.step, keysInStep.all) = (tick.step, KeyFilter()) }
            profile.observe(tick)
            observeCandidate(tick)
            harm?.observe(tick)
            let firsts = isKeyed ? tick.firsts { keysInStep.all.insert(UInt64($0)) } : nil
            for i in states.indices where states[i].process.takesErrors {
                states[i].process.observe(tick, firsts: firsts)
                states[i].trace(at: tick.second)
            }
        case .latencies(let tick):
            step = max(step, tick.step)
            observeLatencies(tick)
            harm?.observe(tick)
            profile.observe(tick)
            for (i, measure) in LatencyMeasure.allCases.enumerated() {
                candidate[i].record(tick.entries, of: .candidate, measure)
            }
            if tick.share > .zero { noteShare(tick.share, of: tick.step) }
            if !isKeyed, tick.share > .zero {
                sampleRatio.observe(
                    candidate: Int(tick.assigned[1]), of: Int(tick.assigned[0]) + Int(tick.assigned[1]),
                    share: tick.share.fraction)
            }
            for i in states.indices where !states[i].process.takesErrors { states[i].trace(at: tick.second) }
            updateModes(at: tick.second)
        case .rows(let rows):
            for i in states.indices { states[i].process.observe(rows, current: step) }
            observeLabelRatio(rows)
        }
    }

    private mutating func observeLatencies(_ tick: LatencyTick) {
        var (counted, proving) = (tick, tick)
        if isKeyed, !tick.keys.isEmpty {
            if cohorts.begin(step: tick.step, second: tick.second) {
                for i in states.indices { states[i].process.beginCohort(shareOfRisk: cohorts.shareOfRisk) }
            }
            if keysInStep.timedStep != tick.step {
                (keysInStep.timedStep, keysInStep.timed) = (tick.step, KeyFilter())
            }
            counted = tick.firsts { cohorts.isFirst($0) }
            proving = tick.firsts { keysInStep.timed.insert(UInt64($0)) }
        }
        for measure in measures {
            let counts = LatencyCounts(counted, measure)
            let proof = isKeyed ? LatencyCounts(proving, measure) : counts
            for i in states.indices where states[i].measure == measure {
                states[i].process.observe(tick, counts, proof: proof, profile)
            }
        }
    }

    private mutating func observeCandidate(_ tick: ErrorTick) {
        if inStep.step != tick.step { inStep = CandidateInStep(step: tick.step) }
        inStep.requests += UInt64(tick.requests(.candidate))
        for responses in tick.responses.dropFirst(ErrorTick.shards) {
            inStep.responses.add(responses)
            inStart.add(responses)
        }
    }

    private mutating func noteShare(_ share: Weight, of step: UInt16) {
        if let last = shares.last, last.step == step {
            if last.share != share { shares[shares.count - 1].share = share }
            return
        }
        shares.append(ShareOfStep(step: step, share: share))
        if shares.count > Self.rememberedSteps { shares.removeFirst() }
    }

    /// The number of steps whose share is remembered for labels that come late.
    private static let rememberedSteps = 16

    /// Compares the arms' numbers of labels with the split, step by step. If one arm's responses are labeled less
    /// often, the arms' quality cannot be compared.
    private mutating func observeLabelRatio(_ rows: [QualityRow]) {
        guard !isKeyed else { return }
        for known in shares where known.step > 0 {
            let ofStep = rows.filter { $0.step == known.step && !$0.isLate }
            guard !ofStep.isEmpty else { continue }
            labelRatio.observe(
                candidate: ofStep.count { $0.arm == .candidate }, of: ofStep.count, share: known.share.fraction)
        }
    }

    /// Updates the counting modes and the estimates of what is still needed, every `updateInterval` seconds.
    private mutating func updateModes(at second: Int64) {
        // The monotonic clock restarts when the machine does.
        guard lookedAt.map({ second < $0 || second - $0 >= Self.updateInterval }) ?? true else { return }
        lookedAt = second
        let promoteAt = proofThreshold
        for i in states.indices {
            states[i].process.adapt(profile)
            states[i].estimate(logThreshold: promoteAt)
        }
        updateMaturity()
    }

    private mutating func updateMaturity() {
        let longest = states.compactMap { $0.process.latency?.longestThreshold }.max() ?? 0
        latencyMaturity = Int64(saturating: min(longest.rounded(.up) + 1, Double(TickFeed.longestMaturity)))
    }

    // MARK: - Results

    /// The value of ln E that every check needs for a promotion. Since all of them need it, the risk of a false
    /// promotion is not divided among the checks.
    public var proofThreshold: Double { RiskBudget(alpha: risk.falsePromote).logThreshold(weight: 1) }

    func threshold(_ state: CheckState) -> Double {
        RiskBudget(alpha: risk.falseRevert).logThreshold(weight: state.weight)
    }

    public mutating func evaluate(_ policies: [Policy], _ snapshot: WindowSnapshot, now: Int64) -> [CheckResult] {
        let others = policies.filter { $0.checks.contains { Self.source($0) == nil } }.map { policy in
            var policy = policy
            policy.checks.removeAll { Self.source($0) != nil }
            return policy
        }
        return results(policies, others.isEmpty ? [] : bounds.evaluate(others, snapshot, now: now))
    }

    private func results(_ policies: [Policy], _ bounded: [CheckResult]) -> [CheckResult] {
        var results: [CheckResult] = []
        results.reserveCapacity(states.count + bounded.count)
        for policy in policies {
            for check in policy.checks {
                if let i = states.firstIndex(where: { $0.isOf(policy, check) }) {
                    results.append(result(of: states[i], policy: policy.name))
                } else if let result = bounded.first(where: { $0.policy == policy.name && $0.check == check.name }) {
                    results.append(result)
                }
            }
        }
        if let harmResult { results.append(harmResult) }
        results += mismatches
        return results
    }

    /// Inconclusive results that hold the rollout because the arms cannot be compared: requests are not split as
    /// intended, or one arm's responses are labeled less often.
    private var mismatches: [CheckResult] {
        let bound = -ln(Self.mismatchAlpha)
        let found = (requests: sampleRatio.logEvidence, labels: labelRatio.logEvidence)
        guard found.requests >= bound || found.labels >= bound else { return [] }
        func mismatch(_ check: String, _ evidence: Double, _ subject: String, _ note: MeasurementNote) -> CheckResult? {
            guard evidence >= bound else { return nil }
            let m = Measurement(
                subject: subject, unit: .plain, bound: bound, value: evidence, verdict: .inconclusive, notes: [note])
            return CheckResult(
                policy: "canaryd", check: check, action: .revert, verdict: .inconclusive, measured: .inconclusive,
                measurements: [m], missing: note.words)
        }
        return [
            mismatch(
                "sample-ratio", found.requests, "evidence that requests are not split as intended", .splitMismatch),
            mismatch(
                "label-ratio", found.labels, "evidence that one arm's responses are labeled less often", .labelMismatch),
        ].compactMap(\.self)
    }
}
