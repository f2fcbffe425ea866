import Statistics

/// The end of a simulated rollout.
struct Ending {
    enum Kind { case reverted, promoted, undecided }
    var kind: Kind
    /// The requests of the candidate until then.
    var requests: Int
    var seconds: Int
    /// The process that caused a revert.
    var cause = ""
}

/// The steps of a rollout: 10, 25 and 50 % for 10 minutes each, then 50 % until a decision.
enum Steps {
    static let weights = [0.1, 0.25, 0.5]
    static let seconds = 600
    static let end = 1800
    static let deadline = 7200
    static func weight(at second: Int) -> Double { weights[min(second / seconds, 2)] }
}

struct SequentialSettings {
    var falseRevert = 0.01
    var falsePromote = 0.05
    var bounds = RateBounds(ceiling: 0.01, factor: 1.5, floor: 0.002)
    var latencyFactor = 1.1
    var restarts = RestartWeights.standard
    /// The indices in `Baseline.quantiles` of the points at which latency is judged.
    var mixture = [0, 2, 4]
    /// The odds ratios that are bet on at each of these points.
    var odds = LatencyRatioProcess.odds
    /// The time for which the baseline was observed before the rollout.
    var historySeconds = 21_600
}

/// The modes that the agent has chosen from the baseline's history before the rollout.
struct History {
    var errors: CountingMode
    var latency: CountingMode

    /// Simulates hours of the baseline alone and chooses the modes by φ̂ between eight sub-shards and by bursts.
    init(_ scenario: Scenario, rate: Double, settings: SequentialSettings, random: inout Random) {
        var errors = OverdispersionEstimator()
        var latency = OverdispersionEstimator()
        var bursts = BurstCounter()
        let course = Course(scenario, seconds: settings.historySeconds, random: &random)
        var samplers = (0..<8).map { _ in ArmSampler(points: [Baseline.p95]) }
        var counts = ArmCounts(points: 1)
        let clusters = scenario == .clusters
        var failed = [Tally](repeating: Tally(), count: 8)
        var slow = failed
        for second in 0..<settings.historySeconds {
            let condition = course.condition(candidate: false, at: second, seen: .max)
            for shard in 0..<8 {
                samplers[shard].draw(condition, rate: rate / 8, clusters: clusters, into: &counts, random: &random)
                if scenario == .sticky && shard == Int(course.user * 8) {
                    let extra = random.poisson(Poisson(rate / Double(Course.users)))
                    counts.requests += extra
                    counts.errors += extra
                }
                failed[shard] = Tally(counts.errors, of: counts.requests)
                slow[shard] = Tally(counts.errors + counts.slower[0], of: counts.requests)
            }
            errors.observe(failed)
            latency.observe(slow)
            bursts.observe(failed.reduce(Tally(), +))
        }
        self.errors = bursts.areUsual ? .ticks : CountingMode(overdispersion: errors.estimate)
        self.latency = bursts.areUsual ? .ticks : CountingMode(overdispersion: latency.estimate)
    }
}

/// One rollout under the sequential judge, simulated tick by tick.
struct SequentialRollout {
    let scenario: Scenario
    let rate: Double
    let settings: SequentialSettings
    let history: History

    func run(random: inout Random) -> Ending {
        scenario == .sticky ? runSticky(random: &random) : runCounts(random: &random)
    }

    private func discount(_ mode: CountingMode) -> Double {
        if case .counts(let discount) = mode { discount } else { 0.1 }
    }

    private func runCounts(random: inout Random) -> Ending {
        let course = Course(scenario, seconds: Steps.deadline, random: &random)
        let points = Baseline.points
        var baselineSampler = ArmSampler(points: points)
        var candidateSampler = ArmSampler(points: points.map { $0 * settings.latencyFactor })
        var b = ArmCounts(points: points.count)
        var c = ArmCounts(points: points.count)
        let budget = RiskBudget(alpha: settings.falseRevert)
        let weights = budget.weights([(.errors, 1), (.latency, 1)])
        let errorsThreshold = budget.logThreshold(weight: weights[0])
        let latencyThreshold = budget.logThreshold(weight: weights[1])
        let proofThreshold = RiskBudget(alpha: settings.falsePromote).logThreshold(weight: 1)

        var errors = RateProcess(
            settings.bounds, mode: history.errors)
        var latency = LatencyRatioProcess(alternatives: settings.odds, restarts: settings.restarts)
        var latencyByTick = TickProcess(factor: 1, clip: 0.5, restarts: settings.restarts)
        // The index of P95, which the proof is about.
        let tail = 3
        var errorsProof = NonInferiorityProcess(
            margin: settings.bounds.factor, floor: settings.bounds.floor > 0 ? settings.bounds.floor : nil)
        var latencyProof = OddsRatioProcess(bound: 1, alternatives: Alternatives.better, restarts: .never, cap: nil)
        let errorsDiscount = discount(history.errors)
        let latencyDiscount = discount(history.latency)
        var slower = [Stratum](repeating: Stratum(), count: points.count)
        var proofBuilder = StratumBuilder(points: 2)
        var requests = 0
        var usedCold = 0
        let clusters = scenario == .clusters

        for second in 0..<Steps.deadline {
            let weight = Steps.weight(at: second)
            if second > 0 && weight != Steps.weight(at: second - 1) {
                errors.weightChanged()
                if case .counts = history.latency { latency.weightChanged() }
            }
            let cc = course.condition(candidate: true, at: second, seen: requests)
            let bc = course.condition(candidate: false, at: second, seen: .max)
            candidateSampler.draw(cc, rate: rate * weight, clusters: clusters, into: &c, random: &random)
            baselineSampler.draw(bc, rate: rate * (1 - weight), clusters: clusters, into: &b, random: &random)
            requests += c.requests
            let failed = Stratum(
                candidate: Tally(c.errors, of: c.requests), baseline: Tally(b.errors, of: b.requests))
            errors.observe(failed)
            if errors.logEvidence >= errorsThreshold {
                return Ending(
                    kind: .reverted, requests: requests, seconds: second, cause: errors.strongest.part.rawValue)
            }
            // Latency is not judged on the first requests of a rollout, which is a rule fixed in advance.
            usedCold += c.requests
            if usedCold > Course.cold {
                for i in points.indices {
                    slower[i] = Stratum(
                        candidate: Tally(c.errors + c.slower[i], of: c.requests),
                        baseline: Tally(b.errors + b.slower[i], of: b.requests))
                }
                switch history.latency {
                case .counts(let discount): latency.observe(settings.mixture.map { slower[$0] }, discount: discount)
                case .ticks: latencyByTick.observe(slower[tail])
                }
                if max(latency.logEvidence, latencyByTick.logEvidence) >= latencyThreshold {
                    return Ending(kind: .reverted, requests: requests, seconds: second, cause: "latency")
                }
            }
            if second >= Steps.end - Steps.seconds {
                if proofBuilder.add([failed, slower[tail]]) {
                    errorsProof.observe(proofBuilder.open[0], discount: errorsDiscount)
                    latencyProof.observe(proofBuilder.open[1], discount: latencyDiscount)
                    proofBuilder.clear()
                }
                if second >= Steps.end && errorsProof.logEvidence >= proofThreshold
                    && latencyProof.logEvidence >= proofThreshold
                {
                    return Ending(kind: .promoted, requests: requests, seconds: second)
                }
            }
        }
        return Ending(kind: .undecided, requests: requests, seconds: Steps.deadline)
    }

    /// Simulates users who keep their arm. Errors are judged by the users that failed for the first time.
    private func runSticky(random: inout Random) -> Ending {
        let course = Course(scenario, seconds: Steps.deadline, random: &random)
        let hashes = (0..<Course.users).map { $0 == 0 ? course.user : random.uniform() }
        let threshold = RiskBudget(alpha: settings.falseRevert).logThreshold(weight: 2.0 / 3)
        var counter = FirstFailures()
        var process = OddsRatioProcess(bound: settings.bounds.factor!, restarts: settings.restarts)
        let arrivals = Poisson(rate)
        var requests = 0
        for second in 0..<Steps.end {
            let weight = Steps.weight(at: second)
            for _ in 0..<random.poisson(arrivals) {
                let user = Int(random.uniform() * Double(Course.users))
                let isCandidate = hashes[user] < weight
                requests += isCandidate ? 1 : 0
                let fails = user == 0 || random.uniform() < Scenario.baseErrors
                counter.observe(key: UInt64(user), isCandidate: isCandidate, isHit: fails)
            }
            process.observe(counter.close())
            if process.logEvidence >= threshold {
                return Ending(kind: .reverted, requests: requests, seconds: second, cause: "errors by user")
            }
        }
        return Ending(kind: .undecided, requests: requests, seconds: Steps.end)
    }
}
