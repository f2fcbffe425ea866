/// A rule for when a period ends. It looks at time and at the number of requests, never at outcomes, so that stopping
/// by it cannot select favorable data.
public struct BlockRule: Hashable, Codable, Sendable {
    public var seconds: Int
    /// The number of the candidate's requests that ends the period.
    public var requests: Int

    /// The period ends after `seconds` in which the candidate had at least one request, or as soon as the candidate had
    /// `requests`.
    public init(seconds: Int, requests: Int) {
        self.seconds = seconds
        self.requests = requests
    }

    func isDue(_ seconds: Int, _ requests: Int) -> Bool {
        requests > 0 && (seconds >= self.seconds || requests >= self.requests)
    }

    /// The time between two restarts of the bets.
    public static let restart = BlockRule(seconds: 300, requests: 1000)

    /// The length of a block of `UnionNullProcess`. The smaller of two bets loses about half a standard deviation of
    /// their difference in each block, so a small excess shows only in long blocks: each is as long as it takes to see
    /// 40 hits at the bound. Within an hour the null that holds is assumed to stay the same.
    public static func block(rateBound: Double) -> BlockRule {
        BlockRule(seconds: 3600, requests: max(1000, Int(min(40 / rateBound, 1e6))))
    }
}
