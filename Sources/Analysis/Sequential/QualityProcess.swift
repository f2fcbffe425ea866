import PolicyModel
import Statistics

/// The evidence about one bound on one group's quality, from labeled rows in the order in which they were joined.
///
/// A drop is a difference of means, judged block by block. All rows of a block are of requests of one step. Labels that
/// take longer the worse a prediction was come late for both arms alike; but after a change of the split the first labels
/// are of the new split and the late ones of the old, so blocks across steps would find a drop where there is none.
struct QualityProcess: Hashable, Codable, Sendable {
    /// Rows of either arm that close a block: numbers, never outcomes. The larger arm's are averaged; larger blocks
    /// would bound what a large drop can win in one, and gain nothing for a small one.
    static let rows = 1

    let measure: QualityMeasure
    /// The range of scores; nil: 0 ... 1. Sums and the margin are of positions in it.
    let range: ScoreRange?
    /// The most that the candidate may be worse by, 0 ... 1.
    let margin: Double
    /// True: more is worse.
    let isRise: Bool
    private var process: BoundedMeanProcess
    private var proof: BoundedMeanProcess
    private var step: UInt16?
    /// The open blocks of the newest steps, ascending.
    private var open: [Block] = []
    private var interval = MeanInterval()
    private(set) var sinceStart = Sums()
    private(set) var sinceStep = Sums()
    /// Scores outside the range, which are not counted: none of those that the agent takes in, but a recording may be
    /// replayed with another policy.
    private(set) var outside = 0

    /// The rows of an open block.
    private struct Block: Hashable, Codable, Sendable {
        var step: UInt16
        var sums = Sums()
    }

    /// Steps whose labels are waited for: rows of older ones are not judged.
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

    /// - Parameter margin: in the measure's own unit.
    init(_ measure: QualityMeasure, range: ScoreRange? = nil, margin: Double, isRise: Bool) {
        self.measure = measure
        self.range = range
        self.margin = min(max(margin / (range ?? .unit).width, 0), 0.99)
        self.isRise = isRise
        process = BoundedMeanProcess(margin: self.margin, restarts: .standard)
        proof = BoundedMeanProcess(margin: self.margin, null: .atLeast)
    }

    /// - Parameter current: the step that runs now; rows of earlier ones prove nothing.
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

    /// The place of the open block of a step; nil for a step that is too old.
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

    /// Begins anew with another cohort of keys.
    mutating func beginCohort() {
        process = BoundedMeanProcess(margin: margin, restarts: .standard)
        open = []
    }

    /// Returns by how much the candidate was worse in a block, where it is full.
    private func close(_ block: inout Sums) -> Double? {
        guard block.rows(.baseline) >= Self.rows, block.rows(.candidate) >= Self.rows,
            let b = block.mean(.baseline), let c = block.mean(.candidate)
        else { return nil }
        block = Sums()
        return isRise ? c - b : b - c
    }

    /// The mean of an arm in the measure's own unit.
    func mean(_ arm: Arm) -> Double? { sinceStart.mean(arm).map { (range ?? .unit).score(at: $0) } }

    var evidence: Double { process.logEvidence }
    var proofEvidence: Double { proof.logEvidence }

    /// The candidate's mean less the baseline's, in the measure's own unit.
    var difference: DifferenceInterval? {
        interval.interval.map {
            let width = (range ?? .unit).width
            let (low, high) = isRise ? ($0.lowerBound, $0.upperBound) : (-$0.upperBound, -$0.lowerBound)
            return DifferenceInterval(low * width...high * width)
        }
    }

    /// Returns by how much the candidate is worse, in the measure's own unit; nil before both arms have rows.
    var drop: Double? {
        guard let b = mean(.baseline), let c = mean(.candidate) else { return nil }
        return isRise ? c - b : b - c
    }
}

/// One group of a check: its processes, one for each bound, and its share of the check's risk.
struct GroupProcess: Hashable, Codable, Sendable {
    /// `sex=Female`; empty: all rows.
    let name: String
    let weight: Double
    var bounds: [QualityProcess]
    /// The name, for people.
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

    /// ln of what reverts is larger than for the whole check by this.
    var penalty: Double { -ln(weight / Double(max(bounds.count, 1))) }
}

/// All groups of a check. Values of an attribute are found as they come; the g-th found has 1/(g(g+1)) of the risk, so
/// that however many come the sum stays within it.
struct GroupsProcess: Hashable, Codable, Sendable {
    /// More values of a check's attributes are counted, not judged.
    static let maximumGroups = 64

    let check: QualityCheck
    /// Under sticky routing a key counts once a group and step: its first row there. The rows of each step are judged by
    /// bets of their own, with 1/(g(g + 1)) of the risk for the g-th, since their keys are the same.
    let isKeyed: Bool
    private var keys = KeyFilter()
    private var cohort: UInt16?
    private var cohorts = 0
    private(set) var groups: [GroupProcess] = []
    private(set) var overflow = false
    /// The labels of the current step's requests.
    private(set) var lateness = LabelLateness()
    private var latenessStep: UInt16?
    /// The values that were found, by the selector of a whole attribute.
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

    /// Linear in the rows and their groups, however many groups are judged.
    mutating func observe(_ all: [QualityRow], current: UInt16) {
        count(all, current: current)
        let rows = all.filter { !$0.isLate }
        guard !check.groups.isEmpty else {
            for row in rows { observe(row, group: 0, current: current) }
            return
        }
        /// Places of the groups that came so far; nil for those that are not judged.
        var places: [String: Int?] = [:]
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

    /// ln of what the present cohort of keys pays for its share of the risk, at most 0.
    private var cohortShare: Double {
        isKeyed && cohorts > 0 ? -ln(Double(cohorts) * Double(cohorts + 1)) : 0
    }

    /// The place of a group that was not seen before; nil where it is not judged.
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

    /// ln E for a revert, and the group with the most evidence: E = Σ w_g E_g + 1 − Σ w_g, the mean of the groups'
    /// evidence by their shares of the risk, in which what is not at stake stays as it is. One harmed group reverts as
    /// soon as by itself, and several sooner. The shares are fixed when a group is found: a mean over the groups found so
    /// far would give away evidence whenever one is found.
    var evidence: (value: Double, part: String) {
        var best: (value: Double, part: String) = (-.infinity, "")
        var sum = -Double.infinity
        var atStake = 0.0
        // A copy of a group counts the references of all its arrays.
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

    /// ln E of one bound after its group has paid for its share.
    func evidence(of bound: QualityProcess, in group: GroupProcess) -> Double {
        bound.evidence - group.penalty + cohortShare
    }

    /// Attributes that were named and never came.
    var unseen: [String] {
        zip(check.groups, found).filter { $0.value == nil && $1 == 0 }.map { $0.0.attribute }
    }
}
