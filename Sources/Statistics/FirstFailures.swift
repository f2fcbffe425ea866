/// Counts keys instead of requests, for services whose keys (users) stay on one arm. Each stratum holds the keys that
/// were seen and had not failed before, and how many of them failed now. A key can fail once in a rollout and is not
/// counted afterwards, so one user whose requests always fail is a single hit.
///
/// The strata go into `OddsRatioProcess`, which makes this the safe log-rank test (ter Schure, Grünwald and others).
/// Its validity rests only on keys being assigned to arms by their hash. Under the null the arm has no effect on when a
/// key fails, so which of a stratum's failing keys belong to the candidate is a draw without replacement from the keys
/// at risk, however different the keys are.
///
/// Memory is bounded: once more than `capacity` keys have failed or are active, half of all keys are no longer counted.
/// The choice uses a hash that is independent of the one that assigns arms.
public struct FirstFailures: Hashable, Codable, Sendable {
    public static let capacity = 16_384

    /// The fate of a key within the open stratum.
    private enum Mark: UInt8, Codable {
        case fine
        case failed
        /// The key was seen on both arms, because the weights changed during the stratum; it is not counted.
        case moved
    }

    private struct Active: Hashable, Codable, Sendable {
        var isCandidate: Bool
        var mark: Mark
    }

    private var failed: Set<UInt64> = []
    private var active: [UInt64: Active] = [:]
    /// A key is counted if its `SplitMix64.hash` begins with at least this many zero bits.
    private var thinning = 0

    public init() {}

    /// Records one request.
    /// - Parameters:
    ///   - key: the hash of the request's key.
    ///   - isHit: whether the request failed.
    public mutating func observe(key: UInt64, isCandidate: Bool, isHit: Bool) {
        guard SplitMix64.hash(key).leadingZeroBitCount >= thinning, !failed.contains(key) else { return }
        let now = Active(isCandidate: isCandidate, mark: isHit ? .failed : .fine)
        switch active[key] {
        case nil:
            active[key] = now
            if active.count > Self.capacity { thin() }
        case .some(let before) where before.isCandidate != isCandidate:
            active[key] = Active(isCandidate: isCandidate, mark: .moved)
        case .some(let before) where before.mark == .fine && isHit: active[key] = now
        case .some: break
        }
    }

    /// Ends the stratum.
    /// - Returns: for each arm, the keys at risk as trials and the keys that failed for the first time as hits.
    public mutating func close() -> Stratum {
        var stratum = Stratum()
        for (key, seen) in active where seen.mark != .moved {
            let tally = Tally(seen.mark == .failed ? 1 : 0, of: 1)
            if seen.isCandidate { stratum.candidate += tally } else { stratum.baseline += tally }
            if seen.mark == .failed { failed.insert(key) }
        }
        active.removeAll(keepingCapacity: true)
        while failed.count > Self.capacity { thin() }
        return stratum
    }

    private mutating func thin() {
        thinning += 1
        failed = failed.filter { SplitMix64.hash($0).leadingZeroBitCount >= thinning }
        active = active.filter { SplitMix64.hash($0.key).leadingZeroBitCount >= thinning }
    }
}
