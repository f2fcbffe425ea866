import CMath

/// Notices incidents of a service by the baseline alone: times of seconds to minutes in which it fails several times as
/// often as usual. Both arms share them, so what happens in one says little about the candidate.
///
/// The recent past is about the last ten seconds, or the last twenty requests if those took longer, and includes the
/// tick just observed. The rule uses the baseline only, so that its users never select by what the candidate did. What
/// that means for their validity is explained where they use it.
public struct IncidentWatch: Hashable, Codable, Sendable {
    /// The length of the recent past in seconds, and in requests if these are few.
    public static let seconds = 10.0
    public static let requests = 20.0
    /// In an incident the recent share of hits is at least this many times the usual one.
    public static let timesUsual = 3.0

    /// Hits and trials of the recent past, in which what is older fades.
    private var recentHits = 0.0
    private var recentTrials = 0.0
    /// The baseline's tally over all ticks before the recent one.
    private var usual = Tally()
    /// The number of hits that is usual for the recent trials.
    private var expected = 0.0

    public init() {}

    /// Records a tick of the baseline.
    /// - Parameter seconds: the time since the tick before, > 0.
    public mutating func observe(_ baseline: Tally, seconds: Int) {
        let age = min(Double(seconds) / Self.seconds, Double(baseline.trials) / Self.requests)
        let fading = exp(-age)
        recentHits = recentHits * fading + Double(baseline.hits)
        recentTrials = recentTrials * fading + Double(baseline.trials)
        expected = usual.smoothedRate * recentTrials
        usual += baseline
    }

    /// True if the recent past belongs to an incident.
    /// - Parameter hits: the fewest recent hits of one.
    public func isIncident(fewestHits hits: Double) -> Bool {
        recentHits >= hits && recentHits >= Self.timesUsual * expected
    }
}
