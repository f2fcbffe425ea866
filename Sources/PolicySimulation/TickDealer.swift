import Analysis
import CMath
import PolicyModel
import Statistics

/// Latencies of a log-normal shape as a table of equally likely buckets: drawing one is a look-up. The slowest is the
/// one that 1 of 32,768 exceeds.
struct LatencyTable: Sendable {
    /// log2 of the number of entries.
    static let bits: UInt64 = 14

    private let buckets: [UInt16]

    init(_ shape: LatencyShape) {
        let count = 1 << Self.bits
        let median = max(shape.p50.seconds, 1e-6)
        let sigma = max(cmath_log(max(shape.p95.seconds, median) / median) / LatencySampler.normalP95, 0)
        buckets = (0..<count).map { i in
            let z = Self.normalQuantile((Double(i) + 0.5) / Double(count))
            let microseconds = min(max(median * cmath_exp(sigma * z) * 1e6, 1), 4e9)
            return UInt16(LatencyBuckets.index(UInt32(microseconds)))
        }
    }

    subscript(place: UInt64) -> Int { Int(buckets[Int(place & (1 << Self.bits - 1))]) }

    /// Of the standard normal distribution, 0 < p < 1, to 1e-9 relative (Acklam 2003).
    static func normalQuantile(_ p: Double) -> Double {
        func tail(_ q: Double) -> Double {
            let above =
                ((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838) * q
                    - 2.549732539343734) * q + 4.374664141464968) * q + 2.938163982698783
            let below =
                (((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996) * q + 3.754408661907416)
                * q + 1
            return above / below
        }
        if p < 0.02425 { return tail((-2 * cmath_log(p)).squareRoot()) }
        if p > 1 - 0.02425 { return -tail((-2 * cmath_log(1 - p)).squareRoot()) }
        let q = p - 0.5
        let r = q * q
        let above =
            ((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r
                + 1.383577518672690e+02) * r - 3.066479806614716e+01) * r + 2.506628277459239
        let below =
            ((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r
                + 6.680131188771972e+01) * r - 1.328068155288572e+01) * r + 1
        return above * q / below
    }
}

/// Deals the ticks of a judge without playing requests: how many came in a second, how many of them failed, and in
/// which bucket the others ended.
struct TickDealer: Sendable {
    /// One arm's requests.
    private struct Dealt: Sendable {
        let errors: UInt64
        let total: LatencyTable
        let firstByte: LatencyTable?

        init(_ traffic: ArmTraffic) {
            let failing = traffic.reachable ? min(max(traffic.errors, 0), 1) : 1
            errors = UInt64(failing * Double(1 << Self.chanceBits))
            total = LatencyTable(traffic.latency)
            firstByte = traffic.firstByte.map { LatencyTable($0) }
        }

        /// Of a request's 64 random bits, three say the sub-shard, the table's say the latency, the others whether it fails.
        static let chanceBits = 64 - 3 - LatencyTable.bits
    }

    private let rate: Double
    private let arms: [Dealt]
    private let hasLatency: Bool

    init(_ plan: RolloutSimulation) {
        rate = plan.rate
        arms = [Dealt(plan.baseline), Dealt(plan.candidate)]
        hasLatency = plan.policies.contains { policy in
            policy.checks.contains { if case .latency = $0.kind { true } else { false } }
        }
    }

    /// One second's ticks; none of latencies where no check asks for them.
    func deal(
        second: Int64, step: UInt16, share: Weight, _ random: inout SeededGenerator
    ) -> (errors: ErrorTick, latencies: LatencyTick?) {
        var errors = ErrorTick(second: second, step: step)
        var latencies = LatencyTick(second: second, step: step, share: share)
        for arm in Arm.allCases {
            let part = arm == .candidate ? share.fraction : 1 - share.fraction
            let count = random.poisson(rate * part)
            latencies.assigned[Int(arm.rawValue)] = UInt32(count)
            let dealt = arms[Int(arm.rawValue)]
            for _ in 0..<count {
                let bits = random.next()
                let shard = Int(bits & 7)
                let isError = bits >> (3 + LatencyTable.bits) < dealt.errors
                errors.add(arm, shard: shard, isError: isError)
                guard hasLatency else { continue }
                let total = isError ? LatencyEntry.slowest : dealt.total[bits >> 3]
                let first = isError ? nil : dealt.firstByte.map { min($0[random.next()], total) }
                latencies.entries.append(LatencyEntry(arm, shard: shard, total: total, firstByte: first))
            }
        }
        return (errors, hasLatency ? latencies : nil)
    }
}
