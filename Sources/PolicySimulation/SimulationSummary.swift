import Statistics

/// A proportion with its exact 95 % interval (Clopper and Pearson 1934).
public struct EstimatedShare: Hashable, Sendable {
    public var value: Double
    public var low: Double
    public var high: Double

    /// - Parameters:
    ///   - hits: the number of hits. It need not be an integer, since overlapping observations count for less than one.
    ///   - trials: the number of trials, > 0.
    public init(hits: Double, of trials: Double) {
        value = hits / trials
        low = hits <= 0 ? 0 : Self.solve { regularizedBeta($0, hits, trials - hits + 1) >= 0.025 }
        high = hits >= trials ? 1 : Self.solve { regularizedBeta($0, hits + 1, trials - hits) >= 0.975 }
    }

    /// The smallest x in 0 ... 1 from which on a condition holds.
    private static func solve(_ holds: (Double) -> Bool) -> Double {
        var (low, high) = (0.0, 1.0)
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if holds(middle) { high = middle } else { low = middle }
        }
        return high
    }
}

/// The results of many simulated rollouts.
public struct SimulationSummary: Sendable {
    public var rollouts: Int
    public var reverted: EstimatedShare
    public var paused: EstimatedShare
    public var promoted: EstimatedShare
    public var undecided: EstimatedShare
    /// The number of rollouts that each check reverted or paused, the largest first.
    public var checks: [(check: String, rollouts: Int)]
    /// The requests of the candidate until a revert; nil if no rollout was reverted.
    public var revertRequests: Spread?
    public var revertSeconds: Spread?
    /// The requests of the candidate until a pause; nil if no rollout was paused.
    public var pauseRequests: Spread?
    public var pauseSeconds: Spread?
    /// The requests of the candidate until a promotion; nil if no rollout was promoted.
    public var promotionRequests: Spread?
    public var promotionSeconds: Spread?

    /// The median and the 90th percentile of a number of values.
    public struct Spread: Hashable, Sendable {
        public var median: Int
        public var p90: Int

        init?(_ values: [Int]) {
            guard !values.isEmpty else { return nil }
            let sorted = values.sorted()
            median = sorted[(sorted.count - 1) / 2]
            p90 = sorted[(sorted.count - 1) * 9 / 10]
        }
    }

    /// - Parameter all: the rollouts; at least one.
    public init(_ all: [SimulatedRollout]) {
        rollouts = all.count
        var byCheck: [String: Int] = [:]
        var reverts: [SimulatedRollout] = []
        var pauses: [SimulatedRollout] = []
        for rollout in all {
            switch rollout.end {
            case .reverted(let check):
                byCheck[check, default: 0] += 1
                reverts.append(rollout)
            case .paused(let check):
                byCheck[check, default: 0] += 1
                pauses.append(rollout)
            case .promoted, .undecided: break
            }
        }
        let promotions = all.filter { $0.end == .promoted }
        func share(_ count: Int) -> EstimatedShare { EstimatedShare(hits: Double(count), of: Double(all.count)) }
        reverted = share(reverts.count)
        paused = share(pauses.count)
        promoted = share(promotions.count)
        undecided = share(all.count - reverts.count - pauses.count - promotions.count)
        checks = byCheck.map { (check: $0.key, rollouts: $0.value) }.sorted {
            ($1.rollouts, $0.check) < ($0.rollouts, $1.check)
        }
        revertRequests = Spread(reverts.map(\.requests))
        revertSeconds = Spread(reverts.map { Int($0.seconds) })
        pauseRequests = Spread(pauses.map(\.requests))
        pauseSeconds = Spread(pauses.map { Int($0.seconds) })
        promotionRequests = Spread(promotions.map(\.requests))
        promotionSeconds = Spread(promotions.map { Int($0.seconds) })
    }
}
