import Glibc

/// Kayenta's NetflixACAJudge for one canary at 10 % and a baseline of the same size. Each metric (share of failures, P95)
/// is a series of one-minute points, compared by the Mann-Whitney interval for the shift; a metric is High if the lower
/// end of the interval is above `tolerance` times the magnitude of the estimated shift. Both metrics are in one group with
/// equal weight, so that one High scores 50 and fails the pass mark of 95. There is one verdict, at the end.
///
/// The interval is the usual one from the ordered pairwise differences, with the normal approximation and its correction
/// for ties. R finds it by a root search with a correction for continuity, which moves it by less than a step.
struct Kayenta: Hashable {
    var points: Int
    var confidence: Double
    var tolerance: Double

    var label: String { "\(points) points, confidence \(confidence), tolerance \(tolerance)" }

    struct Series {
        var failures: [Double] = []
        var p95: [Double] = []
        /// The cumulative number of requests at the end of each minute.
        var requests: [Int] = []
    }

    static func series(_ scenario: Scenario, rate: Double, minutes: Int, random: inout Random) -> (
        candidate: Series, baseline: Series
    ) {
        let course = Course(scenario, seconds: minutes * 60, random: &random)
        // The control is a separate group of the same size with other users, so the failing user is in it as often.
        let controlHasUser = course.user >= 0.1 && course.user < 0.2
        return (
            one(course, rate: rate, minutes: minutes, candidate: true, hasUser: course.user < 0.1, random: &random),
            one(course, rate: rate, minutes: minutes, candidate: false, hasUser: controlHasUser, random: &random)
        )
    }

    private static func one(
        _ course: Course, rate: Double, minutes: Int, candidate: Bool, hasUser: Bool, random: inout Random
    ) -> Series {
        var series = Series()
        var requests = 0
        for minute in 0..<minutes {
            var failed = 0
            var conditions: [(condition: Condition, successes: Int)] = []
            for part in 0..<60 {
                let c = course.condition(candidate: candidate, at: minute * 60 + part, seen: requests)
                let size = course.scenario == .clusters ? 5 : 1
                let errors = random.poisson(Poisson(rate * 0.1 * c.load * c.errors / Double(size))) * size
                let successes = random.poisson(Poisson(rate * 0.1 * c.load * (1 - c.errors)))
                failed += errors
                requests += errors + successes
                if let last = conditions.indices.last, conditions[last].condition == c {
                    conditions[last].successes += successes
                } else {
                    conditions.append((c, successes))
                }
            }
            if course.scenario == .sticky && hasUser {
                let extra = random.poisson(Poisson(rate / Double(Course.users) * 60))
                failed += extra
                requests += extra
            }
            let successes = conditions.reduce(0) { $0 + $1.successes }
            series.requests.append(requests)
            // A minute without requests has no point; Kayenta removes NaN.
            if successes + failed > 0 { series.failures.append(Double(failed) / Double(successes + failed)) }
            if successes > 0 {
                let k = max(Int((0.95 * Double(successes)).rounded(.up)), 1)
                let u = random.orderStatistic(k, of: successes)
                series.p95.append(quantile(u, conditions, successes))
            }
        }
        return series
    }

    /// The latency at which the mixture of the minute's conditions reaches the probability u.
    private static func quantile(_ u: Double, _ conditions: [(condition: Condition, successes: Int)], _ n: Int)
        -> Double
    {
        var low = 1e-3
        var high = 1e3
        for _ in 0..<60 {
            let middle = (low * high).squareRoot()
            let slower = conditions.reduce(0) { $0 + $1.condition.slower(than: middle) * Double($1.successes) }
            if 1 - slower / Double(n) < u { low = middle } else { high = middle }
        }
        return high
    }

    func run(_ series: (candidate: Series, baseline: Series)) -> Ending {
        let requests = series.candidate.requests[points - 1]
        func isHigh(_ metric: KeyPath<Series, [Double]>) -> Bool {
            Self.isHigh(
                Array(series.candidate[keyPath: metric].prefix(points)),
                Array(series.baseline[keyPath: metric].prefix(points)), confidence: confidence, tolerance: tolerance)
        }
        let fails = isHigh(\.failures) || isHigh(\.p95)
        return Ending(kind: fails ? .reverted : .promoted, requests: requests, seconds: points * 60)
    }

    static func isHigh(_ x: [Double], _ y: [Double], confidence: Double, tolerance: Double) -> Bool {
        guard !x.isEmpty && !y.isEmpty && x != y else { return false }
        let differences = x.flatMap { a in y.map { a - $0 } }.sorted()
        let (n, m) = (Double(x.count), Double(y.count))
        var ties = 0.0
        let pooled = (x + y).sorted()
        var i = 0
        while i < pooled.count {
            var j = i
            while j < pooled.count && pooled[j] == pooled[i] { j += 1 }
            let t = Double(j - i)
            ties += t * t * t - t
            i = j
        }
        let total = n + m
        let variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
        let z = confidence >= 0.98 ? 2.326_347_874 : 1.959_963_985
        let low = Int((n * m / 2 - z * variance.squareRoot() - 0.5).rounded(.down))
        // With too few points for this confidence the interval is unbounded.
        guard low >= 1 else { return false }
        let estimate = abs(differences[differences.count / 2])
        return differences[low - 1] > tolerance * estimate
    }
}
