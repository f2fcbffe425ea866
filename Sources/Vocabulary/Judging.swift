/// The verdict of a check, of one of its measurements, or of all checks together.
public enum Verdict: String, CaseIterable, Codable, Sendable {
    case pass
    case fail
    /// There are enough data, but they decide neither way.
    case inconclusive
    /// There are too few data to evaluate.
    case noData
    /// The measurement itself failed, for example because scrapes fail or a series is missing.
    case error
}

/// What happens when a check of a policy fails.
public enum CheckAction: String, CaseIterable, Codable, Sendable {
    /// The candidate is reverted.
    case revert
    /// The rollout is paused at its weight until a person resumes, promotes or reverts it.
    case pause
    /// An alarm is raised and the rollout goes on.
    case notify

    /// True if the check is required: it has a share of the risk, and a promotion needs its proof.
    public var isRequired: Bool { self != .notify }
}

/// The unit of a measured value and its bound.
public enum MeasureUnit: String, CaseIterable, Codable, Sendable {
    /// A fraction, 0 ... 1, shown as percent.
    case ratio
    /// A difference of fractions, shown as percentage points: 0.05 is 5 points.
    case points
    /// A difference of scores in their own unit.
    case score
    case seconds
    case bytes
    /// The unit in which the server exports the value.
    case plain

    /// The unit of the two arms' values: of a difference, the unit of what is subtracted; otherwise the unit itself.
    public var ofValues: MeasureUnit {
        switch self {
        case .points: .ratio
        case .score: .plain
        case .ratio, .seconds, .bytes, .plain: self
        }
    }

    /// True if the value is the difference of the two arms' values.
    public var isDifference: Bool { ofValues != self }
}

/// What a note on a measurement says. Programs branch on this; the words beside it are for people.
public enum NoteKind: String, CaseIterable, Codable, Sendable {
    /// An arm has fewer samples than the check asks for.
    case fewSamples
    /// A group has fewer rows than the check asks for; it is shown and decides nothing.
    case tooSmallToJudge
    /// No feedback row has this attribute yet.
    case unseenAttribute
    /// There are more groups than are judged.
    case tooManyGroups
    /// Scores outside the declared range are not counted.
    case scoresOutOfRange
    /// The value is beyond the bound by less than two standard errors.
    case withinError
    /// The baseline is beyond the bound too.
    case baselineBeyondBound
    /// This failure was counted at an earlier evaluation.
    case countedAlready
    /// The increase is largest at another quantile than the check's own.
    case strongestAtQuantile
    /// More requests of the candidate fail, and failed requests count as the slowest.
    case failsMore
    /// The evidence against the candidate has reached the threshold at which the check fails.
    case evidence
    /// The statuses that the counted responses have.
    case responseStatuses
    /// Too few responses can be timed.
    case untimedResponses
    /// The bound lies between two bucket edges.
    case boundBetweenEdges
    /// The baseline's quantile is an error, because that large a share of its requests fail.
    case baselineQuantileIsError
    /// The baseline is at 0, which nothing can be compared with.
    case baselineIsZero
    /// The servers have not shown the needed counters yet.
    case noCountersYet
    /// A counter grew by more than can be counted.
    case uncountable
    /// There are too few scrapes yet.
    case fewScrapes
    /// The version has no metrics in the service's file.
    case notScraped
    /// The scrapes fail.
    case scrapesFail
    /// No scrape shows the series that the check names.
    case missingSeries
    /// The series is shown, and its values cannot be measured.
    case unusableSeries
    /// Requests are not split as intended.
    case splitMismatch
    /// Labels come for one arm more often than for the other.
    case labelMismatch
    /// More labels came after the longest maturity of the quality checks than the check's bounds tolerate.
    case lateLabels
    /// The note of an evaluation from before notes had kinds.
    case other
}
