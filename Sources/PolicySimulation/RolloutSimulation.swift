import Analysis
import PolicyModel

/// Simulates many independent rollouts of one kind, to show what a policy would decide, how often, and after how many
/// requests. Each second of traffic goes through the judge that the agent runs. Of the state machine, the parts that
/// advance a rollout without incidents are simulated: holds, the fewest requests of a step, proof, revert and pause.
/// Quality and scraped series are neither simulated nor waited for.
public struct RolloutSimulation: Sendable {
    public var policies: [Policy]
    public var risk = Risk()
    /// The weights and their holds; at least one.
    public var steps: [(weight: Weight, hold: Duration)]
    /// Requests per second of both arms together, which arrive as a Poisson process.
    public var rate: Double
    public var baseline: ArmTraffic
    public var candidate: ArmTraffic
    /// The time after which a rollout counts as undecided.
    public var maximumDuration: Duration = .seconds(7200)
    /// The time for which the baseline was observed before the rollout.
    public var baselineHistory: Duration = .seconds(7200)
    public var seed: UInt64 = 1

    /// The number of simulated baselines; rollouts use them in turn.
    public var baselines = 16
    /// The second in which a rollout begins.
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

    /// Rollouts of this plan that can be run in any order and on any thread.
    public struct Prepared: Sendable {
        fileprivate let plan: RolloutSimulation
        fileprivate let generator: TickGenerator
        /// The profiles of the simulated baselines.
        public fileprivate(set) var profiles: [BaselineProfile]

        /// Runs the rollout with this number, which is the same for the same seed.
        public func simulate(_ number: Int) -> SimulatedRollout {
            plan.simulate(number, generator, profiles[number % profiles.count])
        }
    }

    /// Simulates the baselines before the rollouts.
    /// - Parameter rollouts: the number of rollouts that will be run; at most as many baselines are simulated.
    public func prepare(rollouts: Int) -> Prepared {
        let generator = TickGenerator(self)
        let profiles = (0..<max(1, min(baselines, rollouts))).map { number in
            var random = randomNumbers(for: number, of: 1)
            var profile = BaselineProfile(policies)
            let seconds = Int64(baselineHistory.seconds)
            for second in 0..<seconds {
                let tick = generator.tick(second: Self.origin - seconds + second, step: 0, share: .zero, &random)
                profile.observe(tick.errors)
                if let latencies = tick.latencies { profile.observe(latencies) }
            }
            return profile
        }
        return Prepared(plan: self, generator: generator, profiles: profiles)
    }

    /// The random numbers of one baseline (kind 1) or rollout (kind 2).
    private func randomNumbers(for number: Int, of kind: UInt64) -> SeededGenerator {
        SeededGenerator(seed: TrafficSplit.mix(TrafficSplit.mix(seed ^ kind << 62) &+ UInt64(number)))
    }

    private func simulate(_ number: Int, _ generator: TickGenerator, _ profile: BaselineProfile) -> SimulatedRollout {
        var random = randomNumbers(for: number, of: 2)
        var judge = SequentialJudge(policies, risk: risk, isKeyed: false, profile: profile)
        var step = 0
        var held: Int64 = 0
        var requests = 0
        let seconds = Int64(maximumDuration.seconds)
        for second in 0..<seconds {
            let index = min(step, steps.count - 1)
            let tick = generator.tick(
                second: Self.origin + second, step: UInt16(index + 1), share: steps[index].weight, &random)
            requests += tick.errors.requests(.candidate)
            judge.take(.errors(tick.errors))
            if let latencies = tick.latencies { judge.take(.latencies(latencies)) }
            let required = judge.requiredChecks
            if let end = required.end { return SimulatedRollout(end: end, seconds: second + 1, requests: requests) }
            held += 1
            if step < steps.count, held >= Int64(steps[step].hold.seconds), required.isReady {
                step += 1
                // The proof is made at the last step's weight and continues with the evidence of that step.
                held = 0
            }
            if step == steps.count, required.isProven {
                return SimulatedRollout(end: .promoted, seconds: second + 1, requests: requests)
            }
        }
        return SimulatedRollout(end: .undecided, seconds: seconds, requests: requests)
    }
}

/// The end of a simulated rollout.
public struct SimulatedRollout: Hashable, Sendable {
    public enum End: Hashable, Sendable {
        /// The policy and check that decided: `standard/error-rate`.
        case reverted(by: String)
        /// A check with `action: pause` failed first, and the rollout waits for a person.
        case paused(by: String)
        case promoted
        case undecided
    }

    public var end: End
    /// The time from the beginning of the first step.
    public var seconds: Int64
    /// The requests of the candidate.
    public var requests: Int
}

extension RequiredChecksState {
    /// The end of a rollout whose required checks are in this state; nil if no check has failed.
    var end: SimulatedRollout.End? { reverts.map { .reverted(by: $0) } ?? pauses.map { .paused(by: $0) } }
}
