import PolicyModel

/// What a failed measurement that counted rested on, so that the next one can tell what came after it.
struct CountedFailure {
    /// Requests that ended before this were seen: monotonic, in nanoseconds.
    var endedUpTo: Int64 = .min
    /// The latency of requests that began before this time has been counted already (monotonic nanoseconds).
    var startedUpTo: Int64 = .min
    /// The newest scrape of each of the candidate's servers.
    var scrapes: [Endpoint: Int64] = [:]
    /// The candidate's rows by measurement.
    var rows: [String: GroupCounts] = [:]

    /// The first whole second after `endedUpTo`. Requests are counted by the second in which they end; the one in which
    /// the failure was measured would count twice.
    var endedFrom: Int64 {
        let second = ObservationWindow.cohortLength
        return endedUpTo < .max - second && endedUpTo > .min + second
            ? (endedUpTo + second - 1) / second * second : endedUpTo
    }
}

extension ThresholdLook {
    /// Everything up to now.
    var position: CountedFailure {
        CountedFailure(endedUpTo: now, startedUpTo: now, scrapes: snapshot.series.newestScrapes(of: .candidate))
    }

    /// How far the candidate's data reach, if what came after a counted failure fails the same bound by itself; nil
    /// where it does not.
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

    /// The candidate's rows that these measurements rest on.
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
    /// What was added to `earlier`; all of it where that is no earlier state of these counts.
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
