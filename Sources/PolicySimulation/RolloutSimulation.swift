import Analysis
import PolicyModel

/// Many rollouts of one kind, each dealt anew: what a policy would do, how often, and after how many requests. Second by
/// second through the judge that the agent runs; of the state machine, what moves a rollout without accidents: holds,
/// the fewest requests of a step, proof, revert. Quality and scraped series are not dealt and not waited for.
public struct RolloutSimulation: Sendable {
    public var policies: [Policy]
    public var risk = Risk()
    /// Weights and their holds, at least one.
    public var steps: [(weight: Weight, hold: Duration)]
    /// Requests per second of both arms together, a Poisson process.
    public var rate: Double
    public var baseline: ArmTraffic
    public var candidate: ArmTraffic
    /// After this a rollout counts as undecided.
    public var longest: Duration = .seconds(7200)
    /// For how long the baseline was watched before.
    public var watched: Duration = .seconds(7200)
    public var seed: UInt64 = 1

    /// Baselines that are watched; rollouts take turns with them.
    public var baselines = 16
    /// Second in which a rollout begins.
    private static let origin: Int64 = 1_000_000

    public init(
        policies: [Policy], steps: [(weight: Weight, hold: Duration)], rate: Double, baseline: ArmTraffic,
        candidate: ArmTraffic
    ) {
        self.policies = policies
        self.steps = steps
        self.rate = rate
        self.baseline = baseline
        self.candidate = candidate
    }

    /// Rollouts of this plan, ready to be played in any order and on any thread.
    public struct Prepared: Sendable {
        fileprivate let plan: RolloutSimulation
        fileprivate let dealer: TickDealer
        public fileprivate(set) var profiles: [BaselineProfile]

        /// The same number always plays the same.
        public func play(_ number: Int) -> SimulatedRollout {
            plan.play(number, dealer, profiles[number % profiles.count])
        }
    }

    /// - Parameter rollouts: how many will be played: no more baselines are watched.
    public func prepare(rollouts: Int) -> Prepared {
        let dealer = TickDealer(self)
        let profiles = (0..<max(1, min(baselines, rollouts))).map { number in
            var random = generator(number, of: 1)
            var profile = BaselineProfile()
            let seconds = Int64(watched.seconds)
            for second in 0..<seconds {
                let tick = dealer.deal(second: Self.origin - seconds + second, step: 0, share: .zero, &random)
                profile.observe(tick.errors)
                if let latencies = tick.latencies { profile.observe(latencies) }
            }
            return profile
        }
        return Prepared(plan: self, dealer: dealer, profiles: profiles)
    }

    private func generator(_ number: Int, of kind: UInt64) -> SeededGenerator {
        SeededGenerator(seed: TrafficSplit.mix(TrafficSplit.mix(seed ^ kind << 62) &+ UInt64(number)))
    }

    private func play(_ number: Int, _ dealer: TickDealer, _ profile: BaselineProfile) -> SimulatedRollout {
        var random = generator(number, of: 2)
        var judge = SequentialJudge(policies, risk: risk, isKeyed: false, profile: profile)
        var step = 0
        var held: Int64 = 0
        var requests = 0
        let seconds = Int64(longest.seconds)
        for second in 0..<seconds {
            let place = min(step, steps.count - 1)
            let tick = dealer.deal(
                second: Self.origin + second, step: UInt16(place + 1), share: steps[place].weight, &random)
            requests += tick.errors.tally(.candidate).trials
            judge.take(.errors(tick.errors))
            if let latencies = tick.latencies { judge.take(.latencies(latencies)) }
            let standing = judge.standing
            if let check = standing.reverts {
                return SimulatedRollout(end: .reverted(by: check), seconds: second + 1, requests: requests)
            }
            held += 1
            if step < steps.count, held >= Int64(steps[step].hold.seconds), standing.isReady {
                step += 1
                // The proof is made at the last step's weight and goes on with what that has gathered.
                held = 0
            }
            if step == steps.count, standing.isProven {
                return SimulatedRollout(end: .promoted, seconds: second + 1, requests: requests)
            }
        }
        return SimulatedRollout(end: .undecided, seconds: seconds, requests: requests)
    }
}

/// How a simulated rollout ended.
public struct SimulatedRollout: Hashable, Sendable {
    public enum End: Hashable, Sendable {
        /// The policy and check that decided: `standard/error-rate`.
        case reverted(by: String)
        case promoted
        case undecided
    }

    public var end: End
    /// Since the first step began.
    public var seconds: Int64
    /// That the candidate got.
    public var requests: Int
}
