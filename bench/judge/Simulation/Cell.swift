import Analysis
import Statistics

/// What many rollouts of one judge under one scenario came to.
struct Cell: Sendable {
    var runs = 0
    var reverted = 0
    var promoted = 0
    /// Median requests to the candidate until the revert, of those reverted; nil where fewer than half were.
    var medianRequests: Int?
    var medianPromotion: Int?
    /// Reverts by what caused them.
    var causes: [String: Int] = [:]

    init(_ endings: [Ending]) {
        runs = endings.count
        let reverts = endings.filter { $0.kind == .reverted }
        reverted = reverts.count
        // A run that was never reverted took longer than any that was.
        let sorted = reverts.map(\.requests).sorted()
        if reverted * 2 > runs { medianRequests = sorted[runs / 2] }
        let times = endings.filter { $0.kind == .promoted }.map(\.seconds).sorted()
        promoted = times.count
        if promoted * 2 > runs { medianPromotion = times[runs / 2] }
        for revert in reverts where !revert.cause.isEmpty { causes[revert.cause, default: 0] += 1 }
    }

    /// The exact 95 % interval (Clopper and Pearson) of a share.
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

/// `12`, `1.4`, `0.04`: two digits, and none that are but noise.
func percent(_ x: Double) -> String {
    let x = x * 100
    let digits = x == 0 || x >= 9.95 ? 0 : x >= 0.095 ? 1 : 2
    let text = Measurement.decimals(x, digits)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}

extension Cell {
    /// `100 % / 110`: reverted, and the median of requests.
    var text: String {
        let share = "\(percent(shareReverted)) %"
        return medianRequests.map { "\(share) / \($0)" } ?? share
    }

    /// With the upper end of the interval, for a cell that ought to be empty.
    var healthyText: String {
        let upper = Cell.interval(reverted, of: runs).high
        return "\(percent(shareReverted)) % (≤ \(percent(upper)))"
    }
}
