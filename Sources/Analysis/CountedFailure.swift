import PolicyModel

/// The data on which the last counted failure of a check was based. The next measurement counts as a failure only if
/// the data that came after it fail as well.
struct CountedFailure {
    /// Requests that ended before this time were measured (monotonic nanoseconds).
    var endedUpTo: Int64 = .min
    /// The latency of requests that began before this time has been counted already (monotonic nanoseconds).
    var startedUpTo: Int64 = .min
    /// The time of the newest scrape of each of the candidate's servers.
    var scrapes: [Endpoint: Int64] = [:]
    /// The candidate's labeled rows, by the subject of the measurement.
    var rows: [String: GroupCounts] = [:]

    /// The start of the first whole second at or after `endedUpTo`. Requests are counted by the second in which they
    /// end, so those of the second in which the failure was measured would otherwise count twice.
    var endedFrom: Int64 {
        let second = ObservationWindow.cohortLength
        return endedUpTo < .max - second && endedUpTo > .min + second
            ? (endedUpTo + second - 1) / second * second : endedUpTo
    }
}

extension ThresholdMeasurement {
    /// The data that this measurement has seen: everything up to now.
    var position: CountedFailure {
        CountedFailure(endedUpTo: now, startedUpTo: now, scrapes: snapshot.series.newestScrapes(of: .candidate))
    }

    /// Measures only the data that came after a counted failure.
    /// - Returns: the position of the new data if they fail the same bound by themselves; otherwise nil.
    func repeated(_ failure: Measurement, after last: CountedFailure) -> CountedFailure? {
        var look = self
        look.after = last
        if case .latency = check.kind, let bound = Int64(exactly: (failure.bound * 1e9).rounded(.up)) {
            look.age = min(max(bound, 0), check.limits.window.nanoseconds)
        }
        guard look.measure().contains(where: { $0.subject == failure.subject && $0.verdict == .fail }) else {
            return nil
        }
        var position = position
        position.startedUpTo = now - look.age
        return position
    }

    /// The candidate's labeled rows behind these measurements, by subject; empty for checks other than quality.
    func rows(of measurements: [Measurement]) -> [String: GroupCounts] {
        guard case .quality(let quality) = check.kind else { return [:] }
        let table = snapshot.quality
        let groups = quality.groups.flatMap(table.select) + [(Self.allRows, table.whole)]
        let subjects = Set(measurements.map(\.subject))
        return groups.reduce(into: [:]) { rows, group in
            if subjects.contains(group.name) { rows[group.name] = group.counts[Int(Arm.candidate.rawValue)] }
        }
    }
}

extension GroupCounts {
    /// The counts that were added since `earlier`; all of them if `earlier` is no earlier state of these counts.
    func since(_ earlier: GroupCounts) -> GroupCounts {
        var rest = self
        for count in [
            \GroupCounts.truePositives, \.falsePositives, \.trueNegatives, \.falseNegatives, \.predictions, \.selected,
            \.scores,
        ] {
            guard self[keyPath: count] >= earlier[keyPath: count] else { return self }
            rest[keyPath: count] -= earlier[keyPath: count]
        }
        rest.scoreSum -= earlier.scoreSum
        rest.scoreSquares -= earlier.scoreSquares
        return rest
    }
}
