import Analysis
import PolicyModel
import Statistics

/// What a service did between rollouts, played against itself: sub-shards of its requests are dealt to a candidate that
/// does not exist. Whatever is reverted is reverted falsely.
public struct BaselineHistory: Sendable {
    /// A pseudo-rollout gives the candidate 1, then 2, then 4 of the 8 sub-shards, for this many seconds each.
    public static let stepLength: Int64 = 600
    static let stepShards = [1, 2, 4]
    public static let rolloutLength = stepLength * Int64(stepShards.count)
    /// Seconds of history before the first pseudo-rollout, for the baseline to be known.
    public static let lead: Int64 = 600
    /// Seconds between the starts of two pseudo-rollouts.
    static let startSpacing: Int64 = 300
    /// Less history says nothing.
    public static let least = lead + rolloutLength
    /// A gap of more seconds divides the history: a rollout ran, or the agent did not.
    static let longestGap: Int64 = 120

    /// Stretches without a longer gap, oldest first; only those that are long enough.
    private let stretches: [[JudgedItem]]
    /// Traffic is dealt by key.
    public let isKeyed: Bool
    /// Seconds of history in all, and in stretches that are long enough.
    public let seconds: Int64
    public let usableSeconds: Int64
    /// Judged requests in all.
    public let requests: Int
    public let errors: Int
    /// Of the last, longest-known moment.
    public let profile: BaselineProfile

    /// - Parameter items: of a recording between rollouts; ticks of errors and latencies in the order recorded.
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
            // Latencies come later than the errors of their second; the clock begins anew when the machine does.
            if let last, second < last - Self.longestGap || second > last + Self.longestGap {
                all.append(open)
                open = []
            }
            last = max(second, open.isEmpty ? .min : last ?? .min)
            open.append(item)
            profile.observe(item)
            if case .errors(let tick) = item { sum += tick.tally(.baseline) }
        }
        all.append(open)
        func span(_ items: [JudgedItem]) -> Int64 {
            guard let first = items.first?.second, let last = items.last?.second else { return 0 }
            return max(0, last - first + 1)
        }
        stretches = all.filter { span($0) >= Self.least }
        seconds = all.reduce(0) { $0 + span($1) }
        usableSeconds = stretches.reduce(0) { $0 + span($1) }
        requests = sum.trials
        errors = sum.hits
        self.profile = profile
    }

    /// Half hours that do not overlap.
    public var disjointRollouts: Int {
        stretches.reduce(0) { sum, items in
            let span = (items.last?.second ?? 0) - (items.first?.second ?? 0) + 1 - Self.lead
            return sum + Int(span / Self.rolloutLength)
        }
    }

    /// Where pseudo-rollouts begin.
    fileprivate struct Start: Sendable {
        var stretch: Int
        /// Of the first item.
        var place: Int
        var profile: BaselineProfile
    }

    /// Ready to be played in any order and on any thread.
    public struct Prepared: Sendable {
        fileprivate let history: BaselineHistory
        fileprivate let policies: [Policy]
        fileprivate let risk: Risk
        fileprivate let starts: [Start]
        /// Start times.
        public var startCount: Int { starts.count }

        /// The same number always plays the same; at most one for each choice of sub-shards and start makes sense.
        public func play(_ number: Int, seed: UInt64) -> SimulatedRollout {
            let start = starts[number % starts.count]
            var random = SeededGenerator(seed: TrafficSplit.mix(seed &+ UInt64(number) &* 0x9e37_79b9_7f4a_7c15))
            let order = (0..<ErrorTick.shards).map { $0 }.shuffled(using: &random)
            return history.play(start, order, policies, risk)
        }
    }

    /// Nil where there is too little history.
    public func prepare(_ policies: [Policy], risk: Risk) -> Prepared? {
        var starts: [Start] = []
        for (number, items) in stretches.enumerated() {
            guard let first = items.first?.second, let last = items.last?.second else { continue }
            var profile = BaselineProfile()
            var next = first + Self.lead
            for (place, item) in items.enumerated() {
                guard let second = item.second else { continue }
                if second >= next, second + Self.rolloutLength <= last + 1 {
                    starts.append(Start(stretch: number, place: place, profile: profile))
                    next = second + Self.startSpacing
                }
                profile.observe(item)
            }
        }
        return starts.isEmpty
            ? nil : Prepared(history: self, policies: policies, risk: risk, starts: starts)
    }

    /// - Parameter order: of the sub-shards: the first is the candidate's from the beginning.
    private func play(_ start: Start, _ order: [Int], _ policies: [Policy], _ risk: Risk) -> SimulatedRollout {
        var judge = SequentialJudge(policies, risk: risk, isKeyed: isKeyed, profile: start.profile)
        let items = stretches[start.stretch]
        guard let begin = items[start.place].second else {
            return SimulatedRollout(end: .undecided, seconds: 0, requests: 0)
        }
        var requests = 0
        for item in items[start.place...] {
            guard let second = item.second, second - begin < Self.rolloutLength else { break }
            // Of latencies that came late, the first may be from before.
            let step = Int(max(0, second - begin) / Self.stepLength)
            var mask: UInt8 = 0
            for shard in order.prefix(Self.stepShards[step]) { mask |= 1 << UInt8(shard) }
            switch item {
            case .errors(let tick):
                let dealt = deal(tick, mask, UInt16(step + 1))
                requests += dealt.tally(.candidate).trials
                judge.take(.errors(dealt))
            case .latencies(let tick): judge.take(.latencies(deal(tick, mask, UInt16(step + 1))))
            case .rows: break
            }
            if let check = judge.standing.reverts {
                return SimulatedRollout(end: .reverted(by: check), seconds: second - begin + 1, requests: requests)
            }
        }
        return SimulatedRollout(end: .undecided, seconds: Self.rolloutLength, requests: requests)
    }

    private func deal(_ tick: ErrorTick, _ mask: UInt8, _ step: UInt16) -> ErrorTick {
        var dealt = ErrorTick(second: tick.second, step: step)
        func arm(_ shard: Int) -> Int { Int(mask >> UInt8(shard) & 1) }
        guard isKeyed else {
            for shard in 0..<ErrorTick.shards {
                let i = arm(shard) * ErrorTick.shards + shard
                dealt.trials[i] = tick.trials[shard]
                dealt.hits[i] = tick.hits[shard]
            }
            return dealt
        }
        // Of a request that was dealt by key the sub-shard is not recorded; any division by key does.
        for key in tick.keys {
            let shard = Int(TrafficSplit.mix(key >> 2) & UInt64(ErrorTick.shards - 1))
            dealt.add(arm(shard) == 0 ? .baseline : .candidate, shard: shard, isError: key & 1 == 1)
            dealt.keys.append(key & ~2 | UInt64(arm(shard)) << 1)
        }
        return dealt
    }

    private func deal(_ tick: LatencyTick, _ mask: UInt8, _ step: UInt16) -> LatencyTick {
        // Sub-shards are no exact shares: without a share nothing is said about the split.
        var dealt = LatencyTick(second: tick.second, step: step, share: .zero)
        dealt.entries.reserveCapacity(tick.entries.count)
        for entry in tick.entries {
            let isCandidate = mask >> UInt8(entry.shard) & 1 == 1
            dealt.assigned[isCandidate ? 1 : 0] += 1
            // The arm is the bit above the sub-shard's three.
            dealt.entries.append(isCandidate ? LatencyEntry(bits: entry.bits | 1 << 27) : entry)
        }
        return dealt
    }
}

extension JudgedItem {
    /// Nil for rows.
    var second: Int64? {
        switch self {
        case .errors(let tick): tick.second
        case .latencies(let tick): tick.second
        case .rows: nil
        }
    }
}
