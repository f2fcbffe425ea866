import PolicyModel
import Statistics

/// The statistics of the serving version that a sequential judge needs, collected before a rollout and during it: its
/// latencies, and how its failures cluster. The profile is stored across restarts; a new serving version begins a new
/// one.
public struct BaselineProfile: Hashable, Codable, Sendable {
    /// The length of a window of clustering history, in seconds. History covers the last one to two windows.
    static let memory = 6 * 3600
    /// The fewest requests from which the baseline's quantiles are computed.
    public static let fewestSamples: UInt32 = 200

    /// The clustering of one kind of hits in the current window and in the one before.
    private struct Clustering: Hashable, Codable, Sendable {
        var now = OverdispersionEstimator()
        /// φ̂ of the window before; nil if unknown.
        var before: Double?
        /// The largest cluster that is possible in the hits of the window before.
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

        /// φ̂; if it is not known, its largest possible value.
        var assumed: Double {
            estimate ?? min(now.largestPossibleCluster, possibleBefore ?? CountingMode.clustered)
        }

        var hasBursts: Bool { bursts.bursts + earlierBursts >= BurstCounter.fewestUsual }
    }

    /// The clustering of requests whose response code is in a set.
    private struct Counted: Hashable, Codable, Sendable {
        var set: ResponseSet
        var clustering = Clustering()
    }

    /// The default set of errors, whose clustering is learned whatever the checks count.
    private static let usualErrors = ResponseSet.errors

    /// The clustering for `usualErrors`, then for each other set that a check counts.
    private var counted = [Counted(set: usualErrors)]
    /// The clustering of slow requests, at each of `slowQuantiles`.
    private var latency = slowQuantiles.map { _ in Clustering() }
    /// The quantiles beyond which requests count as slow for clustering. A server's batch or pause shows only where few
    /// other requests are as slow.
    private static let slowQuantiles = [0.9, 0.99]
    public private(set) var total = LatencyProfile()
    public private(set) var firstByte = LatencyProfile()
    private var errorSecond: Int64?
    private var latencySecond: Int64?
    /// The first requests of keys. If traffic is assigned by key, only these are judged for latency, so the clustering
    /// is theirs as well.
    private var firsts = FirstRequests()
    /// The buckets of `slowQuantiles`, computed from earlier seconds; `.max` before they are known.
    private var slow = [Int](repeating: .max, count: slowQuantiles.count)

    /// - Parameter policies: the policies whose checks determine the sets of statuses whose clustering is learned.
    public init(_ policies: [Policy] = []) { learn(policies) }

    /// Selects the statuses whose clustering is learned: those that the checks of these policies count. That of other
    /// sets is forgotten.
    public mutating func learn(_ policies: [Policy]) {
        let sets = [Self.usualErrors] + Policy.counted(policies).filter { $0 != Self.usualErrors }
        guard sets != counted.map(\.set) else { return }
        counted = sets.map { set in counted.first { $0.set == set } ?? Counted(set: set) }
    }

    public subscript(measure: LatencyMeasure) -> LatencyProfile { measure == .total ? total : firstByte }

    /// The mode in which errors are bet on.
    public var errorMode: CountingMode { mode(of: Self.usualErrors) }
    /// The mode in which latencies are bet on. Bursts are looked for among errors only: a tenth of the requests is slow
    /// by definition, so that a second with many slow ones does not show a burst.
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

    /// φ̂ of errors, and the largest φ̂ of slow requests; nil until known.
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

    /// Learns from an item while no rollout is running.
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
        firsts.begin(step: tick.step, second: tick.second)
        total.record(tick.entries, of: .baseline, .total)
        firstByte.record(tick.entries, of: .baseline, .firstByte)
        let counted =
            tick.keys.isEmpty
            ? tick.entries
            : zip(tick.entries, tick.keys).filter { entry, key in
                entry.arm == .baseline && !entry.bucket(.total).isCensored && firsts.isFirst(key)
            }.map(\.0)
        var shards = slow.map { _ in [Tally](repeating: Tally(), count: ErrorTick.shards) }
        for i in slow.indices {
            let limit = slow[i]
            shards[i].withUnsafeMutableBufferPointer { shards in
                for entry in counted where entry.arm == .baseline {
                    let (bucket, isCensored) = entry.bucket(.total)
                    if isCensored { continue }
                    shards[entry.shard].trials += 1
                    if bucket >= limit { shards[entry.shard].hits += 1 }
                }
            }
        }
        let gap = max(1, tick.second - (latencySecond ?? tick.second - 1))
        latencySecond = tick.second
        if total.total >= Self.fewestSamples {
            for i in latency.indices { latency[i].observe(shards[i], gap: Int(min(gap, 1 << 20))) }
            // The buckets only say where to look, and any bucket is valid that does not depend on this second; so they
            // need not be computed for every second.
            if slow[0] == .max || tick.second % 10 == 0 { slow = Self.slowBuckets(total) }
        }
    }

    private static func slowBuckets(_ profile: LatencyProfile) -> [Int] {
        slowQuantiles.map { profile.quantile($0) ?? .max }
    }
}
