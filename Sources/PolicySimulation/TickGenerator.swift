import Analysis
import CMath
import PolicyModel
import Statistics

/// Latencies of a log-normal shape as a table of equally likely buckets, so that drawing one is a lookup. The slowest
/// entry is the latency that 1 in 32,768 requests exceeds.
struct LatencyTable: Sendable {
    /// The logarithm to base 2 of the number of entries.
    static let bits: UInt64 = 14

    private let buckets: [UInt16]

    init(_ shape: LatencyShape) {
        let count = 1 << Self.bits
        let median = max(shape.p50.seconds, 1e-6)
        let sigma = max(cmath_log(max(shape.p95.seconds, median) / median) / LatencySampler.normalP95, 0)
        buckets = (0..<count).map { i in
            let z = Self.normalQuantile((Double(i) + 0.5) / Double(count))
            let microseconds = min(max(median * cmath_exp(sigma * z) * 1e6, 1), 4e9)
            return UInt16(LatencyBuckets.index(UInt32(saturating: microseconds.rounded(.down))))
        }
    }

    /// The bucket that the lowest `bits` of a random number select.
    subscript(randomBits: UInt64) -> Int { Int(buckets[Int(randomBits & (1 << Self.bits - 1))]) }

    /// The quantile function of the standard normal distribution, 0 < p < 1, with a relative error of 1e-9 (Acklam
    /// 2003).
    static func normalQuantile(_ p: Double) -> Double {
        func tail(_ q: Double) -> Double {
            let numerator =
                ((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838) * q
                    - 2.549732539343734) * q + 4.374664141464968) * q + 2.938163982698783
            let denominator =
                (((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996) * q + 3.754408661907416)
                * q + 1
            return numerator / denominator
        }
        if p < 0.02425 { return tail((-2 * cmath_log(p)).squareRoot()) }
        if p > 1 - 0.02425 { return -tail((-2 * cmath_log(1 - p)).squareRoot()) }
        let q = p - 0.5
        let r = q * q
        let numerator =
            ((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r
                + 1.383577518672690e+02) * r - 3.066479806614716e+01) * r + 2.506628277459239
        let denominator =
            ((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r
                + 6.680131188771972e+01) * r - 1.328068155288572e+01) * r + 1
        return numerator * q / denominator
    }
}

/// Generates the ticks of a judge without simulating single requests: the number of requests in a second, how they
/// ended, and the latency buckets of those that can be timed.
struct TickGenerator: Sendable {
    /// The distribution of one arm's requests.
    private struct ArmRequests: Sendable {
        /// The ways to end other than success, each with the sum of its probability and those before it, scaled to
        /// an integer of `chanceBits` bits.
        let endings: [(bound: UInt64, code: ResponseCode)]
        let total: LatencyTable
        let firstByte: LatencyTable?

        init(_ traffic: ArmTraffic) {
            var all: [(share: Double, code: ResponseCode)] = [(1, .failure)]
            if traffic.reachable {
                all = [(traffic.errors, 500)]
                for entry in traffic.statuses { all.append((entry.share, ResponseCode(rawValue: entry.status))) }
            }
            var sum = 0.0
            endings = all.filter { $0.share > 0 }.map { entry in
                sum = min(sum + entry.share, 1)
                return (UInt64(sum * Double(1 << Self.chanceBits)), entry.code)
            }
            total = LatencyTable(traffic.latency)
            firstByte = traffic.firstByte.map { LatencyTable($0) }
        }

        func code(_ draw: UInt64) -> ResponseCode { endings.first { draw < $0.bound }?.code ?? .success }

        /// The random bits that decide how a request ends: of its 64, three select the sub-shard and
        /// `LatencyTable.bits` the latency.
        static let chanceBits = 64 - 3 - LatencyTable.bits
    }

    /// Requests per second of both arms together.
    private let rate: Double
    private let arms: [ArmRequests]
    /// True if a check needs latencies.
    private let hasLatency: Bool

    init(_ plan: RolloutSimulation) {
        rate = plan.rate
        arms = [ArmRequests(plan.baseline), ArmRequests(plan.candidate)]
        hasLatency = plan.policies.contains { policy in
            policy.checks.contains { if case .latency = $0.kind { true } else { false } }
        }
    }

    /// Generates the ticks of one second. The latency tick is nil if no check needs latencies.
    func tick(
        second: Int64, step: UInt16, share: Weight, _ random: inout SeededGenerator
    ) -> (errors: ErrorTick, latencies: LatencyTick?) {
        var errors = ErrorTick(second: second, step: step)
        var latencies = LatencyTick(second: second, step: step, share: share)
        for arm in Arm.allCases {
            let fraction = arm == .candidate ? share.fraction : 1 - share.fraction
            let count = random.poisson(rate * fraction)
            latencies.assigned[Int(arm.rawValue)] = UInt32(count)
            let requests = arms[Int(arm.rawValue)]
            for _ in 0..<count {
                let bits = random.next()
                let shard = Int(bits & 7)
                let code = requests.code(bits >> (3 + LatencyTable.bits))
                errors.add(arm, shard: shard, code)
                guard hasLatency, !(400...499).contains(code.rawValue) else { continue }
                let isError = code == .failure || code.rawValue >= 500
                let total = isError ? LatencyEntry.slowest : requests.total[bits >> 3]
                let first = isError ? nil : requests.firstByte.map { min($0[random.next()], total) }
                latencies.entries.append(LatencyEntry(arm, shard: shard, total: total, firstByte: first))
            }
        }
        return (errors, hasLatency ? latencies : nil)
    }
}
