import PolicyModel
import Statistics

/// What is known of the version that serves, before a rollout and while it runs: how fast it is, and how its failures
/// cluster. Kept over restarts; a new serving version begins a new one.
public struct BaselineProfile: Hashable, Codable, Sendable {
    /// Seconds after which how failures clustered before is forgotten.
    static let memory = 6 * 3600
    /// Fewer samples make no quantile to measure others by.
    public static let fewestSamples: UInt32 = 200

    /// One measure's clustering over the last `memory` to twice as long.
    private struct Clustering: Hashable, Codable, Sendable {
        var now = OverdispersionEstimator()
        var before: Double?
        /// The largest cluster that was possible in the hits of the time before.
        var possibleBefore: Double?
        var bursts = BurstCounter()
        var earlierBursts = 0
        var seconds = 0

        mutating func observe(_ shards: [Tally], gap: Int) {
            // Seconds without a request belong to the windows as well.
            for _ in 0..<min(gap - 1, OverdispersionEstimator.windows.last ?? 1) {
                now.observe([Tally](repeating: Tally(), count: shards.count))
            }
            now.observe(shards)
            bursts.observe(shards.reduce(Tally(), +))
            seconds += gap
            guard seconds >= BaselineProfile.memory else { return }
            before = now.estimate
            possibleBefore = now.largestPossibleCluster
            earlierBursts = bursts.bursts
            now = OverdispersionEstimator()
            bursts = BurstCounter()
            seconds = 0
        }

        var estimate: Double? {
            guard let estimate = now.estimate else { return before }
            return max(estimate, before ?? 1)
        }

        /// φ̂, or what it may be at most where it is not known.
        var assumed: Double {
            estimate ?? min(now.largestPossibleCluster, possibleBefore ?? CountingMode.clustered)
        }

        var hasBursts: Bool { bursts.bursts + earlierBursts >= BurstCounter.fewestUsual }
    }

    /// The clustering of requests that end in one of a set of ways.
    private struct Counted: Hashable, Codable, Sendable {
        var set: ResponseSet
        var clustering = Clustering()
    }

    /// Errors as they are by default, which are learned whatever the checks count.
    private static let usualErrors = ResponseSet.errors

    /// The clustering for `usualErrors`, then for each other set that a check counts.
    private var counted = [Counted(set: usualErrors)]
    /// The clustering of slow requests, at each of `slowQuantiles`.
    private var latency = slowQuantiles.map { _ in Clustering() }
    /// A batch, or a pause of a server, shows where few other requests are as slow.
    private static let slowQuantiles = [0.9, 0.99]
    public private(set) var total = LatencyProfile()
    public private(set) var firstByte = LatencyProfile()
    private var errorSecond: Int64?
    private var latencySecond: Int64?
    /// Where traffic is assigned by key, latencies are judged by a key's first request, and their clustering is that of
    /// first requests.
    private var firsts = FirstRequests()
    /// The buckets of `slowQuantiles` in earlier seconds.
    private var slow = [Int](repeating: .max, count: slowQuantiles.count)

    /// - Parameter policies: the policies whose checks say what is learned.
    public init(_ policies: [Policy] = []) { learn(policies) }

    /// Learns from now on what checks of these policies count; what was learned of other sets is forgotten.
    public mutating func learn(_ policies: [Policy]) {
        let sets = [Self.usualErrors] + Policy.counted(policies).filter { $0 != Self.usualErrors }
        guard sets != counted.map(\.set) else { return }
        counted = sets.map { set in counted.first { $0.set == set } ?? Counted(set: set) }
    }

    public subscript(measure: LatencyMeasure) -> LatencyProfile { measure == .total ? total : firstByte }

    public var errorMode: CountingMode { mode(of: Self.usualErrors) }
    /// Bursts are of errors: a tenth of the requests is slow by definition, so that a second with many says nothing.
    public var latencyMode: CountingMode {
        let assumed = latency.map(\.assumed).max()
        return clustering(of: Self.usualErrors).hasBursts ? .ticks : CountingMode(overdispersion: assumed)
    }

    func mode(of set: ResponseSet) -> CountingMode {
        let clustering = clustering(of: set)
        return clustering.hasBursts ? .ticks : CountingMode(overdispersion: clustering.assumed)
    }

    private func clustering(of set: ResponseSet) -> Clustering {
        counted.first { $0.set == set }?.clustering ?? Clustering()
    }

    /// φ̂; nil before it is known.
    public var errorOverdispersion: Double? { overdispersion(of: Self.usualErrors) }
    public var latencyOverdispersion: Double? { latency.compactMap(\.estimate).max() }
    func overdispersion(of set: ResponseSet) -> Double? { clustering(of: set).estimate }

    /// The baseline profile after a promotion: latencies as measured on the candidate, failure clustering carried over
    /// from the old baseline because it is a property of the traffic.
    func promoting(_ candidate: [LatencyProfile]) -> BaselineProfile {
        var next = self
        (next.total, next.firstByte) = (candidate[0], candidate[1])
        next.slow = Self.slowBuckets(candidate[0])
        return next
    }

    /// Without a rollout.
    public mutating func observe(_ item: JudgedItem) {
        switch item {
        case .errors(let tick): observe(tick)
        case .latencies(let tick): observe(tick)
        case .rows: break
        }
    }

    public mutating func observe(_ tick: ErrorTick) {
        let gap = max(1, tick.second - (errorSecond ?? tick.second - 1))
        errorSecond = tick.second
        for i in counted.indices {
            let shards = (0..<ErrorTick.shards).map { tick.tally(.baseline, shard: $0, counted[i].set) }
            counted[i].clustering.observe(shards, gap: Int(min(gap, 1 << 20)))
        }
    }

    public mutating func observe(_ tick: LatencyTick) {
        var shards = slow.map { _ in [Tally](repeating: Tally(), count: ErrorTick.shards) }
        firsts.begin(step: tick.step, second: tick.second)
        for (place, entry) in tick.entries.enumerated() where entry.arm == .baseline {
            let (bucket, isOutlived) = entry.bucket(.total)
            if !isOutlived {
                total.record(bucket)
                guard tick.keys.isEmpty || firsts.isFirst(tick.keys[place]) else { continue }
                for i in slow.indices { shards[i][entry.shard] += Tally(bucket >= slow[i] ? 1 : 0, of: 1) }
            }
            let (first, isFirstOutlived) = entry.bucket(.firstByte)
            if !isFirstOutlived { firstByte.record(first) }
        }
        let gap = max(1, tick.second - (latencySecond ?? tick.second - 1))
        latencySecond = tick.second
        if total.total >= Self.fewestSamples {
            for i in latency.indices { latency[i].observe(shards[i], gap: Int(min(gap, 1 << 20))) }
            // Of earlier seconds only, and not at each: it says where to look, any point is as valid.
            if slow[0] == .max || tick.second % 10 == 0 { slow = Self.slowBuckets(total) }
        }
    }

    private static func slowBuckets(_ profile: LatencyProfile) -> [Int] {
        slowQuantiles.map { profile.quantile($0) ?? .max }
    }
}
