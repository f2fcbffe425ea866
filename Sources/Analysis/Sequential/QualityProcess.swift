import PolicyModel
import Statistics

/// The evidence about one bound on one group's quality, from labeled rows in the order in which they were joined.
///
/// A drop is a difference of means, judged block by block. All rows of a block are of requests of one step. Labels that
/// take longer the worse a prediction was come late for both arms alike; but after a change of the split the first
/// labels are of the new split and the late ones of the old, so blocks across steps would find a drop where there is
/// none.
struct QualityProcess: Hashable, Codable, Sendable {
    /// The number of rows of each arm that closes a block. The rule depends on numbers of rows and never on outcomes.
    /// If one arm has more rows, they are averaged. Larger blocks would limit how much evidence a large drop gives in
    /// one block, and would not find a small drop sooner.
    static let rows = 1

    let measure: QualityMeasure
    /// The range of scores; nil for 0 ... 1. Sums and the margin are in positions within it, 0 ... 1.
    let range: ScoreRange?
    /// The largest allowed drop or rise, 0 ... 1.
    let margin: Double
    /// True if a rise is bounded and not a drop.
    let isRise: Bool
    private var process: BoundedMeanProcess
    private var proof: BoundedMeanProcess
    private var step: UInt16?
    /// The open blocks of the newest steps, ascending.
    private var open: [Block] = []
    /// The interval of the mean drop, or of the mean rise if that is bounded.
    private var interval = MeanInterval()
    private(set) var sinceStart = Sums()
    private(set) var sinceStep = Sums()
    /// The number of scores outside the range, which are not judged. The agent accepts no such score, but a recording
    /// may be replayed with another policy.
    private(set) var outside = 0

    /// The rows of an open block.
    private struct Block: Hashable, Codable, Sendable {
        var step: UInt16
        var sums = Sums()
    }

    /// The largest number of steps with an open block. Rows of older steps are not judged.
    private static let openSteps = 16

    /// The sums of one arm.
    struct Sums: Hashable, Codable, Sendable {
        var sum = SIMD2<Double>()
        var rows = SIMD2<Int>()

        mutating func add(_ value: Double, _ arm: Arm) {
            sum[Int(arm.rawValue)] += value
            rows[Int(arm.rawValue)] += 1
        }
        func rows(_ arm: Arm) -> Int { rows[Int(arm.rawValue)] }
        func mean(_ arm: Arm) -> Double? {
            rows(arm) == 0 ? nil : sum[Int(arm.rawValue)] / Double(rows(arm))
        }
    }

    /// - Parameter margin: the largest allowed drop or rise, in the measure's own unit.
    init(_ measure: QualityMeasure, range: ScoreRange? = nil, margin: Double, isRise: Bool) {
        self.measure = measure
        self.range = range
        self.margin = min(max(margin / (range ?? .unit).width, 0), 0.99)
        self.isRise = isRise
        process = BoundedMeanProcess(margin: self.margin, restarts: .standard)
        proof = BoundedMeanProcess(margin: self.margin, null: .atLeast)
    }

    /// - Parameter current: the running step. Rows of earlier steps do not count for the proof.
    mutating func observe(_ row: QualityRow, current: UInt16) {
        guard let value = row.value(measure, scores: range ?? .unit) else {
            if measure == .score, row.score != nil { outside += 1 }
            return
        }
        if step != current {
            proof = BoundedMeanProcess(margin: margin, null: .atLeast)
            sinceStep = Sums()
            step = current
        }
        sinceStart.add(value, row.arm)
        if row.step == current { sinceStep.add(value, row.arm) }
        guard let i = block(of: row.step) else { return }
        open[i].sums.add(value, row.arm)
        guard let worse = close(&open[i].sums) else { return }
        process.observe(worse)
        interval.observe(worse)
        if row.step == current { proof.observe(worse) }
    }

    /// The index of a step's open block; nil if the step is too old.
    private mutating func block(of step: UInt16) -> Int? {
        if let i = open.lastIndex(where: { $0.step == step }) { return i }
        let i = open.firstIndex { $0.step > step } ?? open.count
        if open.count == Self.openSteps {
            guard i > 0 else { return nil }
            open.removeFirst()
            open.insert(Block(step: step), at: i - 1)
            return i - 1
        }
        open.insert(Block(step: step), at: i)
        return i
    }

    /// Starts the bets again, with another cohort of keys.
    mutating func beginCohort() {
        process = BoundedMeanProcess(margin: margin, restarts: .standard)
        open = []
    }

    /// Closes a block if it is full.
    /// - Returns: by how much the candidate was worse in it; nil if it is not full.
    private func close(_ block: inout Sums) -> Double? {
        guard block.rows(.baseline) >= Self.rows, block.rows(.candidate) >= Self.rows,
            let b = block.mean(.baseline), let c = block.mean(.candidate)
        else { return nil }
        block = Sums()
        return isRise ? c - b : b - c
    }

    /// The mean of an arm in the measure's own unit; nil without rows.
    func mean(_ arm: Arm) -> Double? { sinceStart.mean(arm).map { (range ?? .unit).score(at: $0) } }

    var evidence: Double { process.logEvidence }
    var proofEvidence: Double { proof.logEvidence }

    /// The interval of the candidate's mean less the baseline's, in the measure's own unit.
    var difference: DifferenceInterval? {
        interval.interval.map {
            let width = (range ?? .unit).width
            let (low, high) = isRise ? ($0.lowerBound, $0.upperBound) : (-$0.upperBound, -$0.lowerBound)
            return DifferenceInterval(low * width...high * width)
        }
    }

    /// The drop of the candidate against the baseline (or its rise, if that is bounded), in the measure's own unit; nil
    /// before both arms have rows.
    var drop: Double? {
        guard let b = mean(.baseline), let c = mean(.candidate) else { return nil }
        return isRise ? c - b : b - c
    }
}

/// One group of a check: its processes, one for each bound, and its share of the check's risk.
struct GroupProcess: Hashable, Codable, Sendable {
    /// The attribute and its value, such as `sex=Female`; empty for all rows.
    let name: String
    /// The group's share of the check's risk, 0 ... 1.
    let weight: Double
    var bounds: [QualityProcess]
    /// The name as it is shown.
    var label: String { name.isEmpty ? "all rows" : name }

    init(_ name: String, weight: Double, _ check: QualityCheck) {
        self.name = name
        self.weight = weight
        bounds = []
        func append(_ bound: Double, isRise: Bool) {
            bounds.append(QualityProcess(check.measure, range: check.range, margin: bound, isRise: isRise))
        }
        if let drop = check.maxDrop { append(drop, isRise: false) }
        if let rise = check.maxRise { append(rise, isRise: true) }
    }

    /// The difference in ln E between the threshold of one bound of this group and that of the whole check, ≥ 0.
    var penalty: Double { -ln(weight / Double(max(bounds.count, 1))) }
}

/// All groups of a check. The values of an attribute become groups when their first row comes; the g-th value has
/// 1/(g(g+1)) of the attribute's risk, so that all shares together stay within it, however many values there are.
struct GroupsProcess: Hashable, Codable, Sendable {
    /// The largest number of groups that are judged; rows of further values set `overflow`.
    static let maximumGroups = 64

    let check: QualityCheck
    /// True under sticky routing. Then a key counts once per group and step, with its first row there. Each step is a
    /// cohort with bets of its own, since its keys may be those of earlier steps; the g-th cohort has 1/(g(g + 1)) of
    /// the risk.
    let isKeyed: Bool
    private var keys = KeyFilter()
    /// The step that is the present cohort.
    private var cohort: UInt16?
    private var cohorts = 0
    private(set) var groups: [GroupProcess] = []
    private(set) var overflow = false
    /// The numbers of labels in time and late ones, for requests of the step `latenessStep`, which is the current one.
    private(set) var lateness = LabelLateness()
    private var latenessStep: UInt16?
    /// The number of values found so far for each of the check's selectors; 0 for those of a single value.
    private var found: [Int]

    init(_ check: QualityCheck, isKeyed: Bool = false) {
        self.check = check
        self.isKeyed = isKeyed
        found = [Int](repeating: 0, count: check.groups.count)
        if check.groups.isEmpty { groups = [GroupProcess("", weight: 1, check)] }
        for selector in check.groups where selector.value != nil {
            groups.append(GroupProcess(selector.description, weight: 1 / Double(check.groups.count), check))
        }
    }

    /// Takes rows, in time linear in the rows and their groups. Late rows are only counted.
    /// - Parameter current: the running step.
    mutating func observe(_ all: [QualityRow], current: UInt16) {
        count(all, current: current)
        let rows = all.filter { !$0.isLate }
        guard !check.groups.isEmpty else {
            for row in rows { observe(row, group: 0, current: current) }
            return
        }
        // The indices of the known groups; nil for those that are not judged.
        var places: [String: Int?] = [:]
        places.reserveCapacity(groups.count)
        for (i, group) in groups.enumerated() { places[group.name] = i }
        for row in rows {
            for name in row.groups {
                let place: Int?
                if let known = places[name] {
                    place = known
                } else {
                    place = discover(name)
                    places[name] = .some(place)
                }
                if let place { observe(row, group: place, current: current) }
            }
        }
    }

    /// Counts the rows of the current step in `lateness`.
    private mutating func count(_ rows: [QualityRow], current: UInt16) {
        if latenessStep != current { (latenessStep, lateness) = (current, LabelLateness()) }
        for row in rows where row.step == current && row.value(check.measure, scores: check.range ?? .unit) != nil {
            lateness.add(row.arm, isLate: row.isLate)
        }
    }

    private mutating func observe(_ row: QualityRow, group i: Int, current: UInt16) {
        guard !isKeyed || isFirst(row, group: i) else { return }
        for j in groups[i].bounds.indices { groups[i].bounds[j].observe(row, current: current) }
    }

    /// True for the first row of a key in a group and step that belongs to the measure's population.
    private mutating func isFirst(_ row: QualityRow, group: Int) -> Bool {
        if cohort.map({ row.step > $0 }) ?? true {
            cohort = row.step
            cohorts += 1
            keys = KeyFilter()
            for i in groups.indices { for j in groups[i].bounds.indices { groups[i].bounds[j].beginCohort() } }
        }
        guard row.step == cohort, row.value(check.measure, scores: check.range ?? .unit) != nil else { return false }
        return keys.insert(UInt64(row.key ?? 0) << 8 | UInt64(group & 0xff))
    }

    /// The logarithm of the present cohort's share of the risk, at most 0.
    private var cohortShare: Double {
        isKeyed && cohorts > 0 ? -ln(Double(cohorts) * Double(cohorts + 1)) : 0
    }

    /// Adds a group that was not seen before.
    /// - Returns: its index; nil if it is not judged.
    private mutating func discover(_ name: String) -> Int? {
        for (i, selector) in check.groups.enumerated()
        where selector.value == nil && name.hasPrefix(selector.attribute + "=") {
            guard groups.count < Self.maximumGroups else {
                overflow = true
                return nil
            }
            found[i] += 1
            let g = Double(found[i])
            groups.append(GroupProcess(name, weight: 1 / (g * (g + 1)) / Double(check.groups.count), check))
            return groups.count - 1
        }
        return nil
    }

    /// ln E for a revert, and the group with the most evidence. E = Σ w_g E_g + 1 − Σ w_g is the mean of the groups'
    /// evidence, weighted by their shares of the risk; the share that no group has yet is not bet. A single harmed
    /// group reverts as soon as it would by itself, and several revert sooner. A group's share is fixed when the group
    /// is found: a mean over the groups found so far would lose evidence whenever another one is found.
    var evidence: (value: Double, part: String) {
        var best: (value: Double, part: String) = (-.infinity, "")
        var sum = -Double.infinity
        var atStake = 0.0
        // The loops go by index, since a copy of a group would retain all its arrays.
        for i in groups.indices {
            for j in groups[i].bounds.indices {
                let value = evidence(of: groups[i].bounds[j], in: groups[i])
                sum = logAddExp(sum, value)
                atStake += groups[i].weight / Double(groups[i].bounds.count)
                if value > best.value { best = (value, groups[i].label) }
            }
        }
        if atStake < 1 - 1e-9 { sum = logAddExp(sum, ln(1 - atStake) + cohortShare) }
        return (sum == -.infinity ? 0 : sum, best.value > 0 ? best.part : "")
    }

    /// ln E of one bound of a group, reduced by the group's and the cohort's share of the risk.
    func evidence(of bound: QualityProcess, in group: GroupProcess) -> Double {
        bound.evidence - group.penalty + cohortShare
    }

    /// The attributes that the check names and no row had.
    var unseen: [String] {
        zip(check.groups, found).filter { $0.value == nil && $1 == 0 }.map { $0.0.attribute }
    }
}
