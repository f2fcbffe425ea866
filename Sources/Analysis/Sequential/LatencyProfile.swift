import PolicyModel
import Statistics

/// The recent latencies of an arm, counted by bucket of `LatencyBuckets`. Older counts fade.
public struct LatencyProfile: Hashable, Sendable {
    /// The number of requests at which all counts are halved: at 100 requests/s, first after ten minutes and then every
    /// five.
    static let fading: UInt32 = 60_000

    /// First the counts of each doubling of the latency, then those of each bucket, 64 to a doubling. Buckets are
    /// stored only from the first doubling that has requests to the last, as a service's latencies span only a few.
    private var counts = [UInt32](repeating: 0, count: doublings)
    /// The first doubling whose buckets are stored.
    private var first = 0
    private static let doublings = LatencyBuckets.count >> 6
    /// The number of errors, which count as slower than every bucket.
    public private(set) var failed: UInt32 = 0
    public private(set) var total: UInt32 = 0

    public init() {}

    /// Counts the requests of an arm whose latency is known.
    mutating func record(_ entries: [LatencyEntry], of arm: Arm, _ measure: LatencyMeasure) {
        switch measure {
        case .total: recordEach(entries, of: arm, .total)
        case .firstByte: recordEach(entries, of: arm, .firstByte)
        }
        while total >= Self.fading { fade() }
    }

    /// Counts the entries of one arm. The function is inlined into both calls, so that the compiler knows the measure in
    /// the loop over all requests.
    @inline(__always)
    private mutating func recordEach(_ entries: [LatencyEntry], of arm: Arm, _ measure: LatencyMeasure) {
        var next = 0
        var (recorded, errors): (UInt32, UInt32) = (0, 0)
        while next < entries.count {
            let (shift, end) = (place(of: 0), counts.count)
            counts.withUnsafeMutableBufferPointer { counts in
                while next < entries.count {
                    let (bucket, isCensored) = entries[next].bucket(measure)
                    if entries[next].arm == arm, !isCensored {
                        if bucket < LatencyBuckets.count {
                            // The buckets of the doubling have no place yet.
                            guard (Self.doublings..<end).contains(shift + bucket) else { break }
                            counts[shift + bucket] += 1
                            counts[bucket >> 6] += 1
                        } else {
                            errors += 1
                        }
                        recorded += 1
                    }
                    next += 1
                }
            }
            if next < entries.count { hold(entries[next].bucket(measure).bucket >> 6) }
        }
        failed += errors
        total += recorded
    }

    private mutating func fade() {
        let old = self
        self = LatencyProfile()
        failed = old.failed / 2
        total = failed
        for i in Self.doublings..<old.counts.count { add(old.counts[i] / 2, to: old.bucket(at: i)) }
    }

    private func bucket(at place: Int) -> Int { place - Self.doublings + first << 6 }
    private func place(of bucket: Int) -> Int { Self.doublings + bucket - first << 6 }

    private mutating func add(_ count: UInt32, to bucket: Int) {
        guard count > 0 else { return }
        hold(bucket >> 6)
        let place = place(of: bucket)
        counts.withUnsafeMutableBufferPointer {
            $0[place] += count
            $0[bucket >> 6] += count
        }
        total += count
    }

    /// Makes room for the buckets of a doubling.
    private mutating func hold(_ doubling: Int) {
        if (Self.doublings..<counts.count).contains(place(of: doubling << 6)) { return }
        if counts.count == Self.doublings { first = doubling }
        if doubling < first {
            let fresh = repeatElement(0 as UInt32, count: (first - doubling) << 6)
            counts.insert(contentsOf: fresh, at: Self.doublings)
            first = doubling
        }
        let missing = place(of: (doubling + 1) << 6) - counts.count
        if missing > 0 { counts += repeatElement(0, count: missing) }
    }

    /// The bucket of the p-quantile; nil without samples, and if so many requests failed that it is an error.
    public func quantile(_ p: Double) -> Int? { quantile(p, of: total) }

    /// The bucket of the p-quantile of the requests that did not fail; nil if there are none.
    func quantileOfSuccesses(_ p: Double) -> Int? { quantile(p, of: total - failed) }

    private func quantile(_ p: Double, of all: UInt32) -> Int? {
        guard all > 0 else { return nil }
        // Counts are whole numbers, so the limit may be rounded down.
        let limit = UInt32(saturating: ((1 - p) * Double(all)).rounded(.down))
        if all <= limit { return 0 }
        return counts.withUnsafeBufferPointer { counts in
            var slower = all
            // Nothing is in doublings before the first one.
            for doubling in first..<Self.doublings {
                guard slower - counts[doubling] <= limit else {
                    slower -= counts[doubling]
                    continue
                }
                for bucket in doubling << 6..<(doubling + 1) << 6 {
                    slower -= counts[place(of: bucket)]
                    if slower <= limit { return bucket }
                }
            }
            return nil
        }
    }

    var failedShare: Double { Double(failed) / Double(max(total, 1)) }

    /// The number of requests above the bucket of a latency in seconds, errors included.
    func slower(than seconds: Double) -> UInt32 {
        let bucket = LatencyBuckets.index(UInt32(saturating: (seconds * 1e6).rounded(.down)))
        return counts.dropFirst(max(place(of: bucket + 1), Self.doublings)).reduce(failed, +)
    }

    /// The p-quantile in seconds, as the middle of its bucket; infinite if it is an error, nil without samples.
    public func seconds(_ p: Double) -> Double? {
        guard total > 0 else { return nil }
        guard let bucket = quantile(p) else { return .infinity }
        return Double(LatencyBuckets.lowerBound(bucket) + LatencyBuckets.upperBound(bucket)) / 2e6
    }
}

// A profile is stored as the runs of buckets that are not empty, each by its first bucket and its length, and their
// counts. Earlier builds stored each bucket.
extension LatencyProfile: Codable {
    private enum CodingKeys: String, CodingKey { case failed, runs, buckets, counts }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        failed = min(try values.decode(UInt32.self, forKey: .failed), Self.fading)
        total = failed
        let stored = try values.decode([UInt32].self, forKey: .counts)
        let buckets: [Int]
        if let runs = try values.decodeIfPresent([Int].self, forKey: .runs) {
            buckets = Self.buckets(of: runs)
        } else {
            buckets = try values.decode([Int].self, forKey: .buckets)
        }
        for (bucket, count) in zip(buckets, stored)
        where (0..<LatencyBuckets.count).contains(bucket) && count < Self.fading && total < 2 * Self.fading {
            add(count, to: bucket)
        }
    }

    /// The buckets of runs; those that do not exist, and further ones after as many as exist, are left out.
    private static func buckets(of runs: [Int]) -> [Int] {
        var buckets: [Int] = []
        for place in stride(from: 0, to: runs.count - 1, by: 2) {
            let (begin, length) = (runs[place], runs[place + 1])
            guard (0..<LatencyBuckets.count).contains(begin), buckets.count < LatencyBuckets.count else { break }
            buckets += begin..<min(begin + min(max(length, 0), LatencyBuckets.count), LatencyBuckets.count)
        }
        return buckets
    }

    public func encode(to encoder: any Encoder) throws {
        let used = (Self.doublings..<counts.count).filter { counts[$0] > 0 }
        var runs: [Int] = []
        for place in used {
            if let begin = runs.dropLast().last, begin + runs[runs.count - 1] == bucket(at: place) {
                runs[runs.count - 1] += 1
            } else {
                runs += [bucket(at: place), 1]
            }
        }
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(failed, forKey: .failed)
        try values.encode(runs, forKey: .runs)
        try values.encode(used.map { counts[$0] }, forKey: .counts)
    }
}
