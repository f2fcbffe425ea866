import Glibc

/// The measurements of the threshold judges: half-minute windows of the candidate at each of the three weights, so that
/// every setting of a judge can be applied to the same course.
struct Trace {
    static let window = 30
    static let windows = 4 * 3600 / window
    /// The ceilings of P95 that a setting may use, as multiples of the baseline's P95.
    static let ceilings = [1.05, 1.1, 1.2, 1.3, 1.5, 2.0]
    /// The counts by window, then by weight.
    private(set) var counts: [[ArmCounts]] = []

    init(_ scenario: Scenario, rate: Double, random: inout Random) {
        let course = Course(scenario, seconds: Self.windows * Self.window, random: &random)
        let points = Self.ceilings.map { $0 * Baseline.p95 }
        var samplers = Steps.weights.map { _ in ArmSampler(points: points) }
        var seen = Steps.weights.map { _ in 0 }
        var one = ArmCounts(points: points.count)
        let stepwise: Set<Scenario> = [.outage, .slowdown, .bursts, .coldStart, .floorOutage]
        for window in 0..<Self.windows {
            counts.append(
                Steps.weights.indices.map { w in
                    var sum = ArmCounts(points: points.count)
                    // If nothing changes within the window, its counts are drawn at once.
                    let seconds = stepwise.contains(scenario) ? Self.window : 1
                    for second in 0..<seconds {
                        let at = window * Self.window + second
                        let condition = course.condition(candidate: true, at: at, seen: seen[w])
                        samplers[w].draw(
                            condition, rate: rate * Steps.weights[w] * Double(Self.window / seconds),
                            clusters: scenario == .clusters, into: &one, random: &random)
                        if scenario == .sticky && course.userIsCandidate(weight: Steps.weights[w]) {
                            let extra = random.poisson(
                                Poisson(rate / Double(Course.users) * Double(Self.window / seconds)))
                            one.requests += extra
                            one.errors += extra
                        }
                        sum.requests += one.requests
                        sum.errors += one.errors
                        for i in points.indices { sum.slower[i] += one.slower[i] }
                        seen[w] += one.requests
                    }
                    return sum
                })
        }
    }

    /// The sum of a range of windows at one weight.
    func sum(_ range: Range<Int>, weight: Int) -> ArmCounts {
        var sum = ArmCounts(points: Self.ceilings.count)
        for window in range {
            let c = counts[window][weight]
            sum.requests += c.requests
            sum.errors += c.errors
            for i in sum.slower.indices { sum.slower[i] += c.slower[i] }
        }
        return sum
    }
}

/// Bounds on the candidate alone, as in the metric templates of Flagger and Argo.
struct Bounds: Hashable {
    var errors: Double
    /// The index in `Trace.ceilings`.
    var ceiling: Int

    /// Whether the counts are within the bounds; nil without requests. P95 is above a ceiling exactly if more than 5 % of
    /// the requests are slower. Failures count as fast, as in the duration histogram of a service mesh.
    func holds(_ c: ArmCounts) -> Bool? {
        guard c.requests > 0 else { return nil }
        let tooSlow = Double(c.slower[ceiling]) > 0.05 * Double(c.requests)
        return Double(c.errors) <= errors * Double(c.requests) && !tooSlow
    }

    var label: String { "errors ≤ \(errors * 100) %, P95 ≤ ×\(Trace.ceilings[ceiling])" }
}

/// Flagger: at the end of every interval its checks evaluate that interval. A failed check is counted and keeps the
/// weight; `threshold` of them roll back; the count never resets. A metric without values is a failed check. Each of the
/// three weights needs passed checks for 10 minutes.
struct Flagger: Hashable {
    /// The interval in half minutes.
    var interval: Int
    var threshold: Int
    var bounds: Bounds

    var label: String { "interval \(interval * 30) s, threshold \(threshold), \(bounds.label)" }

    func run(_ trace: Trace) -> Ending {
        let passesNeeded = Steps.seconds / Trace.window / interval
        var failures = 0
        var passes = 0
        var requests = 0
        var window = 0
        while window + interval <= Trace.windows {
            let weight = passes / passesNeeded
            let counts = trace.sum(window..<window + interval, weight: weight)
            window += interval
            requests += counts.requests
            if bounds.holds(counts) == true {
                passes += 1
                if passes == 3 * passesNeeded {
                    return Ending(kind: .promoted, requests: requests, seconds: window * Trace.window)
                }
            } else {
                failures += 1
                if failures >= threshold {
                    return Ending(kind: .reverted, requests: requests, seconds: window * Trace.window)
                }
            }
        }
        return Ending(kind: .undecided, requests: requests, seconds: window * Trace.window)
    }
}

/// Argo Rollouts with a background analysis: at the end of every interval it is measured; more than `failureLimit` failed
/// measurements abort the rollout. The weight depends on time alone. A measurement without requests is neither failed nor
/// successful. (NaN fails both conditions only if both are written. The usual template counts it as an error, five of
/// which in a row abort; that is left out in the peer's favor.)
struct Argo: Hashable {
    /// The interval in half minutes.
    var interval: Int
    var failureLimit: Int
    var bounds: Bounds

    var label: String { "interval \(interval * 30) s, failureLimit \(failureLimit), \(bounds.label)" }

    func run(_ trace: Trace) -> Ending {
        var failures = 0
        var requests = 0
        var since = 0
        var counts = ArmCounts(points: Trace.ceilings.count)
        for window in 0..<(Steps.end / Trace.window) {
            let weight = min(window * Trace.window / Steps.seconds, 2)
            let c = trace.counts[window][weight]
            requests += c.requests
            counts.requests += c.requests
            counts.errors += c.errors
            for i in c.slower.indices { counts.slower[i] += c.slower[i] }
            since += 1
            if since == interval {
                if bounds.holds(counts) == false { failures += 1 }
                if failures > failureLimit {
                    return Ending(kind: .reverted, requests: requests, seconds: (window + 1) * Trace.window)
                }
                counts = ArmCounts(points: Trace.ceilings.count)
                since = 0
            }
        }
        return Ending(kind: .promoted, requests: requests, seconds: Steps.end)
    }
}
