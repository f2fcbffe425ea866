/// Counts keys instead of requests, where a key (a user) stays on its arm: in each stratum, the keys that were seen and
/// never failed before, and how many of them failed now. A key fails once in a rollout and then leaves, so one user
/// who always fails is one hit, for ever.
///
/// The strata go into `OddsRatioProcess`: the safe log-rank test (ter Schure, Grünwald and others). It rests on the
/// assignment of keys by their hash alone. Under the null the arm changes nothing of when a key fails, so which of a
/// stratum's failing keys are the candidate's is a draw without replacement from the keys at risk, however unlike the
/// keys are.
///
/// Memory is bounded: when more than `capacity` keys have failed or are active, half of all keys are left out from
/// then on, by another hash than the one that assigns arms.
public struct FirstFailures: Hashable, Codable, Sendable {
    public static let capacity = 16_384

    private enum Mark: UInt8, Codable { case fine, failed, moved }

    private struct Active: Hashable, Codable, Sendable {
        var isCandidate: Bool
        var mark: Mark
    }

    private var failed: Set<UInt64> = []
    private var active: [UInt64: Active] = [:]
    /// Keys count whose mixed hash begins with this many zero bits.
    private var thinning = 0

    public init() {}

    /// One request.
    /// - Parameter key: a hash of the key.
    public mutating func observe(key: UInt64, isCandidate: Bool, isHit: Bool) {
        guard Self.mix(key).leadingZeroBitCount >= thinning, !failed.contains(key) else { return }
        let now = Active(isCandidate: isCandidate, mark: isHit ? .failed : .fine)
        switch active[key] {
        case nil:
            active[key] = now
            if active.count > Self.capacity { thin() }
        case .some(let before) where before.isCandidate != isCandidate:
            // The weights changed in mid-stratum: it belongs to neither.
            active[key] = Active(isCandidate: isCandidate, mark: .moved)
        case .some(let before) where before.mark == .fine && isHit: active[key] = now
        case .some: break
        }
    }

    /// Ends the stratum: keys at risk, and those that failed for the first time, by arm.
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
        failed = failed.filter { Self.mix($0).leadingZeroBitCount >= thinning }
        active = active.filter { Self.mix($0.key).leadingZeroBitCount >= thinning }
    }

    /// The finaliser of SplitMix64: every bit depends on every bit.
    private static func mix(_ key: UInt64) -> UInt64 {
        var z = key &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
