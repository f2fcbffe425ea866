import Analysis
import PolicyModel
import Statistics

/// The recorded traffic of a service between rollouts, judged against itself: sub-shards of its requests are assigned
/// to an imaginary candidate. Every revert of such a pseudo-rollout is a false one.
public struct BaselineHistory: Sendable {
    /// The length of each step of a pseudo-rollout in seconds.
    public static let stepLength: Int64 = 600
    /// The number of sub-shards, of 8, that the candidate gets in each step.
    static let stepShards = [1, 2, 4]
    public static let rolloutLength = stepLength * Int64(stepShards.count)
    /// Seconds of history before the first pseudo-rollout, from which the baseline's profile is learned.
    public static let lead: Int64 = 600
    /// Seconds between the starts of two pseudo-rollouts.
    static let startSpacing: Int64 = 300
    /// The shortest usable history in seconds.
    public static let minimumSeconds = lead + rolloutLength
    /// The longest gap in seconds within one stretch of history. A longer one divides it: a rollout was under way, or
    /// the agent was not running.
    static let longestGap: Int64 = 120

    /// The stretches of history that are long enough, oldest first.
    private let stretches: [[JudgedItem]]
    /// True if requests are assigned by key.
    public let isKeyed: Bool
    /// Seconds of history in all.
    public let seconds: Int64
    /// Seconds of history in stretches that are long enough.
    public let usableSeconds: Int64
    /// Judged requests in all.
    public let requests: Int
    public let errors: Int
    /// The profile of the baseline at the end of the history.
    public let profile: BaselineProfile

    /// - Parameter items: a recording made between rollouts: ticks of errors and latencies in the order recorded.
    public init(_ items: [JudgedItem]) {
        var isKeyed = false
        for case .errors(let tick) in items where !tick.keys.isEmpty { isKeyed = true }
        self.isKeyed = isKeyed
        var open: [JudgedItem] = []
        var all: [[JudgedItem]] = []
        var last: Int64?
        var profile = BaselineProfile()
        var sum = Tally()
        for item in items {
            guard let second = item.second else { continue }
            // Latencies are recorded later than the errors of their second; the clock starts again with the machine.
            if let last, second < last - Self.longestGap || second > last + Self.longestGap {
                all.append(open)
                open = []
            }
            last = max(second, open.isEmpty ? .min : last ?? .min)
            open.append(item)
            profile.observe(item)
            if case .errors(let tick) = item { sum += tick.tally(.baseline, .errors) }
        }
        all.append(open)
        func span(_ items: [JudgedItem]) -> Int64 {
            guard let first = items.first?.second, let last = items.last?.second else { return 0 }
            return max(0, last - first + 1)
        }
        stretches = all.filter { span($0) >= Self.minimumSeconds }
        seconds = all.reduce(0) { $0 + span($1) }
        usableSeconds = stretches.reduce(0) { $0 + span($1) }
        requests = sum.trials
        errors = sum.hits
        self.profile = profile
    }

    /// The number of pseudo-rollouts that do not overlap.
    public var disjointRollouts: Int {
        stretches.reduce(0) { sum, items in
            let span = (items.last?.second ?? 0) - (items.first?.second ?? 0) + 1 - Self.lead
            return sum + Int(span / Self.rolloutLength)
        }
    }

    /// The beginning of a pseudo-rollout.
    fileprivate struct Start: Sendable {
        /// The index of the stretch.
        var stretch: Int
        /// The index of the first item within the stretch.
        var item: Int
        /// The profile of the baseline before the first item.
        var profile: BaselineProfile
    }

    /// Pseudo-rollouts that can be run in any order and on any thread.
    public struct Prepared: Sendable {
        fileprivate let history: BaselineHistory
        fileprivate let policies: [Policy]
        fileprivate let risk: Risk
        fileprivate let starts: [Start]
        /// The number of different start times.
        public var startCount: Int { starts.count }

        /// Runs the pseudo-rollout with this number, which is the same for the same seed. The number selects the start
        /// time and the order of the sub-shards.
        public func simulate(_ number: Int, seed: UInt64) -> SimulatedRollout {
            let start = starts[number % starts.count]
            var random = SeededGenerator(seed: TrafficSplit.mix(seed &+ UInt64(number) &* 0x9e37_79b9_7f4a_7c15))
            let order = (0..<ErrorTick.shards).map { $0 }.shuffled(using: &random)
            return history.simulate(start, order, policies, risk)
        }
    }

    /// Finds the starts of pseudo-rollouts; nil if there is too little history.
    public func prepare(_ policies: [Policy], risk: Risk) -> Prepared? {
        var starts: [Start] = []
        for (number, items) in stretches.enumerated() {
            guard let first = items.first?.second, let last = items.last?.second else { continue }
            var profile = BaselineProfile(policies)
            var next = first + Self.lead
            for (index, item) in items.enumerated() {
                guard let second = item.second else { continue }
                if second >= next, second + Self.rolloutLength <= last + 1 {
                    starts.append(Start(stretch: number, item: index, profile: profile))
                    next = second + Self.startSpacing
                }
                profile.observe(item)
            }
        }
        return starts.isEmpty
            ? nil : Prepared(history: self, policies: policies, risk: risk, starts: starts)
    }

    /// - Parameter order: the sub-shards in the order in which the candidate gets them.
    private func simulate(_ start: Start, _ order: [Int], _ policies: [Policy], _ risk: Risk) -> SimulatedRollout {
        var judge = SequentialJudge(policies, risk: risk, isKeyed: isKeyed, profile: start.profile)
        let items = stretches[start.stretch]
        guard let begin = items[start.item].second else {
            return SimulatedRollout(end: .undecided, seconds: 0, requests: 0)
        }
        var requests = 0
        for index in start.item..<items.count {
            let item = items[index]
            guard let second = item.second, second - begin < Self.rolloutLength else { break }
            // The first latencies may belong to a second before the start, since they are recorded later.
            let step = Int(max(0, second - begin) / Self.stepLength)
            var mask: UInt8 = 0
            for shard in order.prefix(Self.stepShards[step]) { mask |= 1 << UInt8(shard) }
            switch item {
            case .errors(let tick):
                let assigned = assign(tick, mask, UInt16(step + 1))
                requests += assigned.requests(.candidate)
                judge.take(.errors(assigned))
            case .latencies(let tick): judge.take(.latencies(assign(tick, mask, UInt16(step + 1))))
            case .rows: break
            }
            let isEvaluated = index + 1 == items.count || items[index + 1].beginsSecond
            if isEvaluated, let end = judge.requiredChecks.end {
                return SimulatedRollout(end: end, seconds: second - begin + 1, requests: requests)
            }
        }
        return SimulatedRollout(end: .undecided, seconds: Self.rolloutLength, requests: requests)
    }

    /// Assigns the sub-shards in `mask` to the candidate.
    private func assign(_ tick: ErrorTick, _ mask: UInt8, _ step: UInt16) -> ErrorTick {
        var assigned = ErrorTick(second: tick.second, step: step)
        func arm(_ shard: Int) -> Int { Int(mask >> UInt8(shard) & 1) }
        guard isKeyed else {
            for shard in 0..<ErrorTick.shards {
                let i = arm(shard) * ErrorTick.shards + shard
                assigned.trials[i] = tick.trials[shard]
                assigned.responses[i] = tick.responses[shard]
            }
            return assigned
        }
        // The sub-shard of a request that was assigned by key is not recorded; any other division by key serves as
        // well.
        for response in tick.keys {
            let shard = Int(TrafficSplit.mix(UInt64(response.key)) & UInt64(ErrorTick.shards - 1))
            let arm: Arm = arm(shard) == 0 ? .baseline : .candidate
            assigned.add(arm, shard: shard, response.code)
            assigned.keys.append(KeyedResponse(key: response.key, arm, response.code))
        }
        return assigned
    }

    /// Assigns the sub-shards in `mask` to the candidate.
    private func assign(_ tick: LatencyTick, _ mask: UInt8, _ step: UInt16) -> LatencyTick {
        // A sub-shard is not exactly one eighth of the traffic, so the split cannot be tested: the share stays zero.
        var assigned = LatencyTick(second: tick.second, step: step, share: .zero)
        assigned.entries.reserveCapacity(tick.entries.count)
        for entry in tick.entries {
            let isCandidate = mask >> UInt8(entry.shard) & 1 == 1
            assigned.assigned[isCandidate ? 1 : 0] += 1
            // The arm is the bit above the sub-shard's three.
            assigned.entries.append(isCandidate ? LatencyEntry(bits: entry.bits | 1 << 27) : entry)
        }
        return assigned
    }
}

extension JudgedItem {
    /// The second that a tick belongs to; nil for rows.
    var second: Int64? {
        switch self {
        case .errors(let tick): tick.second
        case .latencies(let tick): tick.second
        case .rows: nil
        }
    }
}
