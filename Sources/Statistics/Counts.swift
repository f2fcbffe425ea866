/// A number of hits (errors, slow requests, wrong predictions) among a number of trials.
public struct Tally: Hashable, Codable, Sendable {
    public var hits: Int
    public var trials: Int

    /// - Precondition: 0 ≤ hits ≤ trials.
    public init(_ hits: Int = 0, of trials: Int = 0) {
        precondition(hits >= 0 && hits <= trials, "\(hits) hits of \(trials) trials")
        self.hits = hits
        self.trials = trials
    }

    public static func + (a: Tally, b: Tally) -> Tally { Tally(a.hits + b.hits, of: a.trials + b.trials) }
    public static func += (a: inout Tally, b: Tally) { a = a + b }

    /// The rate with half a hit and half a miss added, so that a few trials without a hit do not read as a rate of 0.
    public var smoothedRate: Double { (Double(hits) + 0.5) / (Double(trials) + 1) }

    /// The share of hits, 0 ... 1; nil without trials.
    public var rate: Double? { trials == 0 ? nil : Double(hits) / Double(trials) }
}

/// The tallies of both arms over one stratum: the requests that started in one tick or in one block of ticks.
public struct Stratum: Hashable, Sendable {
    public var candidate: Tally
    public var baseline: Tally

    public init(candidate: Tally = Tally(), baseline: Tally = Tally()) {
        self.candidate = candidate
        self.baseline = baseline
    }

    public static func += (a: inout Stratum, b: Stratum) {
        a.candidate += b.candidate
        a.baseline += b.baseline
    }

    /// True if both arms have requests and there is at least one hit and one miss. Given these totals, the hits may
    /// still be divided between the arms in more than one way; any other stratum says nothing about the odds ratio.
    public var isInformative: Bool {
        let hits = candidate.hits + baseline.hits
        return candidate.trials > 0 && baseline.trials > 0 && hits > 0 && hits < candidate.trials + baseline.trials
    }
}

// A judge has hundreds of strata, and most of what is stored of it are their numbers. So a stratum is stored as a list of
// four numbers instead of three objects: the candidate's hits and trials, and the baseline's. Earlier builds stored the
// objects.
extension Stratum: Codable {
    private enum CodingKeys: CodingKey { case candidate, baseline }

    /// - Throws: `DecodingError` also for more hits than trials.
    public init(from decoder: any Decoder) throws {
        guard var list = try? decoder.unkeyedContainer() else {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            candidate = try values.decode(Tally.self, forKey: .candidate)
            baseline = try values.decode(Tally.self, forKey: .baseline)
            return
        }
        func tally() throws -> Tally {
            let (hits, trials) = (try list.decode(Int.self), try list.decode(Int.self))
            guard hits >= 0, hits <= trials else {
                throw DecodingError.dataCorruptedError(in: list, debugDescription: "\(hits) hits of \(trials) trials")
            }
            return Tally(hits, of: trials)
        }
        candidate = try tally()
        baseline = try tally()
    }

    public func encode(to encoder: any Encoder) throws {
        var list = encoder.singleValueContainer()
        try list.encode([candidate.hits, candidate.trials, baseline.hits, baseline.trials])
    }
}

/// The alternatives that are bet on against a null that bounds an odds ratio, as multiples of the bound.
public enum Alternatives {
    /// A wide range, from 1.3 to 100 times the bound.
    public static let worse: [Double] = [1.3, 1.7, 2.2, 3.2, 5, 8, 14, 30, 100]
    /// The alternatives for error rates. They are dense from five to ten times the bound, where a few nats are a large
    /// part of the evidence that is needed; any of them detects a far larger regression after a handful of failures.
    public static let regressions: [Double] = [1.5, 5, 7, 10, 25]
    /// The alternatives for a proof that the candidate stays below the bound.
    public static let better: [Double] = [0.15, 0.3, 0.45, 0.6, 0.75, 0.9]
}
