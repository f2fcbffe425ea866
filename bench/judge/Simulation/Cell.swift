import Analysis
import Statistics

/// The results of many rollouts under one judge and one scenario.
struct Cell: Sendable {
    var runs = 0
    var reverted = 0
    var promoted = 0
    /// The median over all rollouts of the candidate's requests until the revert; nil if fewer than half were reverted.
    var medianRequests: Int?
    /// The median over all rollouts of the seconds until the promotion; nil if fewer than half were promoted.
    var medianPromotion: Int?
    /// The number of reverts by cause.
    var causes: [String: Int] = [:]

    init(_ endings: [Ending]) {
        runs = endings.count
        let reverts = endings.filter { $0.kind == .reverted }
        reverted = reverts.count
        // A rollout that was not reverted counts as longer than any that was.
        let sorted = reverts.map(\.requests).sorted()
        if reverted * 2 > runs { medianRequests = sorted[runs / 2] }
        let times = endings.filter { $0.kind == .promoted }.map(\.seconds).sorted()
        promoted = times.count
        if promoted * 2 > runs { medianPromotion = times[runs / 2] }
        for revert in reverts where !revert.cause.isEmpty { causes[revert.cause, default: 0] += 1 }
    }

    /// The exact 95 % interval (Clopper and Pearson) of a proportion.
    static func interval(_ k: Int, of n: Int) -> (low: Double, high: Double) {
        func bisect(_ target: Double, _ a: Double, _ b: Double) -> Double {
            var low = 0.0
            var high = 1.0
            for _ in 0..<60 {
                let middle = (low + high) / 2
                if regularizedBeta(middle, a, b) < target { low = middle } else { high = middle }
            }
            return high
        }
        return (
            k == 0 ? 0 : bisect(0.025, Double(k), Double(n - k + 1)),
            k == n ? 1 : bisect(0.975, Double(k + 1), Double(n - k))
        )
    }

    var shareReverted: Double { Double(reverted) / Double(runs) }
}

/// A proportion in percent with about two significant digits: `12`, `1.4`, `0.04`.
func percent(_ x: Double) -> String {
    let x = x * 100
    let digits = x == 0 || x >= 9.95 ? 0 : x >= 0.095 ? 1 : 2
    let text = Measurement.decimals(x, digits)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}

extension Cell {
    /// The share of reverts and the median of requests, such as `100 % / 110`.
    var text: String {
        let share = "\(percent(shareReverted)) %"
        return medianRequests.map { "\(share) / \($0)" } ?? share
    }

    /// The share of false reverts with the upper end of its interval.
    var healthyText: String {
        let upper = Cell.interval(reverted, of: runs).high
        return "\(percent(shareReverted)) % (≤ \(percent(upper)))"
    }
}
