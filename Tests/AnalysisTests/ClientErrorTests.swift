import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

/// What the judges make of 4xx and redirects.
@Suite(.timeLimit(.minutes(15))) struct ClientErrorTests {
    private static let check = Check(
        name: "client-errors", kind: .clientErrors(ClientErrorsCheck(maxIncrease: 0.5, floor: 0.01)))
    private static let latency = Check(name: "p95", kind: .latency(LatencyCheck(quantile: 0.95, maxIncrease: 0.2)))
    private static func errors(_ statuses: ResponseSet = .serverErrors) -> Check {
        Check(name: "errors", kind: .errors(ErrorsCheck(maxIncrease: 0.5, floor: 0.0025, statuses: statuses)))
    }

    /// Requests of both arms, second by second, for the sequential judge.
    private struct Traffic {
        typealias Shares = [(ResponseCode, Double)]

        let policy: Policy
        var judge: SequentialJudge
        var random: SplitMix64
        var second: Int64 = 1000
        var step: UInt16 = 0
        var share = 0.0
        var baseline: Shares
        var candidate: Shares
        var candidateRequests = 0
        let isKeyed: Bool
        /// The ending of a request by its user, one of 400, each of whom stays on an arm under sticky routing; nil: as
        /// `baseline` and `candidate` say.
        var ending: ((UInt32) -> ResponseCode?)?

        init(
            _ checks: [Check], baseline: Shares = [], candidate: Shares = [], seed: UInt64, watched: Int = 900,
            isKeyed: Bool = false
        ) {
            policy = Policy(name: "p", checks: checks)
            (self.baseline, self.candidate, self.isKeyed) = (baseline, candidate, isKeyed)
            random = SplitMix64(seed: seed)
            judge = SequentialJudge([policy], risk: Risk(), isKeyed: isKeyed)
            // The agent has observed the baseline before the rollout.
            for _ in 0..<watched { tick() }
            judge = SequentialJudge([policy], risk: Risk(), isKeyed: isKeyed, profile: judge.profile)
            (share, step) = (0.25, 1)
        }

        mutating func tick() {
            var errors = ErrorTick(second: second, step: step)
            var latencies = LatencyTick(second: second, step: step, share: Weight(clamping: Int(share * 10_000)))
            for _ in 0..<40 {
                let user = UInt32.random(in: 0..<400, using: &random)
                let isCandidate = isKeyed ? Double(user) < 400 * share : random.chance(share)
                let arm: Arm = isCandidate ? .candidate : .baseline
                let shard = isKeyed ? Int(user % 8) : Int.random(in: 0..<8, using: &random)
                let code = ending?(user) ?? draw(arm == .candidate ? candidate : baseline)
                errors.add(arm, shard: shard, code)
                if isKeyed { errors.keys.append(KeyedResponse(key: user, arm, code)) }
                latencies.assigned[Int(arm.rawValue)] += 1
                if arm == .candidate { candidateRequests += 1 }
                guard !ResponseSet.untimed.contains(code) else { continue }
                let microseconds = UInt32.random(in: 20_000...60_000, using: &random)
                let bucket =
                    ResponseSet.errors.contains(code) ? LatencyEntry.slowest : LatencyBuckets.index(microseconds)
                latencies.entries.append(LatencyEntry(arm, shard: shard, total: bucket))
            }
            judge.take(.errors(errors))
            judge.take(.latencies(latencies))
            second += 1
        }

        private mutating func draw(_ shares: Shares) -> ResponseCode {
            var place = Double.random(in: 0..<1, using: &random)
            for (code, share) in shares {
                place -= share
                if place < 0 { return code }
            }
            return .success
        }

        func result(_ name: String) -> CheckResult {
            var judge = judge
            let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
            return judge.evaluate([policy], empty, now: 0).first { $0.check == name }!
        }

        /// Runs until a check fails, at most so many seconds, and returns its name; nil if none does.
        mutating func run(_ seconds: Int) -> String? {
            for i in 0..<seconds {
                tick()
                // Results with their words cost more than bets, so they are made only when something reverts.
                guard judge.requiredChecks.reverts != nil || i == seconds - 1 else { continue }
                if let check = policy.checks.first(where: { result($0.name).verdict == .fail }) { return check.name }
            }
            return nil
        }
    }

    private static let all = [errors(), check, latency]

    @Test("404 to a third of the requests, to all, or a few 429: found, named, and soon") func found() {
        for (candidate, most, words) in [
            ([(404, 0.3)], 200, "all of them 404"), ([(404, 1)], 60, "all of them 404"),
            ([(429, 0.06)], 600, "all of them 429"), ([(404, 0.2), (400, 0.1)], 200, ", 400 "),
        ] as [(Traffic.Shares, Int, String)] {
            var traffic = Traffic(Self.all, candidate: candidate, seed: 3)
            #expect(traffic.run(600) == "client-errors")
            #expect(traffic.candidateRequests <= most, "\(candidate): \(traffic.candidateRequests)")
            let result = traffic.result("client-errors")
            #expect(result.decisive?.subject == "4xx" && result.words.contains(words), "\(result.words)")
            #expect(result.measurements[1].verdict == .pass)
        }
    }

    @Test("What both arms answer alike is no fault, and is proven") func alike() {
        let same: Traffic.Shares = [(404, 0.25), (429, 0.05), (302, 0.3)]
        var traffic = Traffic(Self.all, baseline: same, candidate: same, seed: 4)
        #expect(traffic.run(1800) == nil)
        #expect(traffic.result("client-errors").proven, "\(traffic.result("client-errors").missing)")
    }

    @Test("Redirects of both arms hide no 4xx of one; redirects of one are found as such; 304 is a success")
    func redirects() {
        let same: Traffic.Shares = [(302, 0.4)]
        var hidden = Traffic(Self.all, baseline: same, candidate: same + [(404, 0.06)], seed: 5)
        #expect(hidden.run(900) == "client-errors")
        #expect(hidden.result("client-errors").decisive?.subject == "4xx")
        var moved = Traffic(Self.all, candidate: [(307, 0.2)], seed: 6)
        #expect(moved.run(900) == "client-errors")
        #expect(moved.result("client-errors").decisive?.subject == "3xx")
        #expect(Outcome.success.code(status: 304) == .success && Outcome.success.code(status: 302) == 302)
    }

    @Test("A status is counted by one check: what errors list is theirs, 499 and what is only observed is nobody's")
    func apart() {
        var statuses = ResponseSet.serverErrors
        statuses.insert(429)
        var traffic = Traffic([Self.errors(statuses), Self.check, Self.latency], candidate: [(429, 0.1)], seed: 7)
        #expect(traffic.run(900) == "errors")
        let sets = ClientErrorSets([traffic.policy])
        #expect(!sets.clientErrors.contains(429) && sets.clientErrors.contains(428))
        #expect(!sets.clientErrors.contains(499) && !sets.redirects.contains(304))
        var observed = Self.errors(statuses)
        observed.action = .notify
        #expect(ClientErrorSets([Policy(name: "p", checks: [observed])]).clientErrors.contains(429))
        // A check whose statuses leave 500 out does not count it.
        var only = Traffic([Self.errors(ResponseSet(503...503)), Self.check], candidate: [(500, 0.3)], seed: 8)
        #expect(only.run(300) == nil)
    }

    @Test("A server's own 499 is judged by no check unless errors list it, and shown as a client error of the version")
    func clientLeft() {
        var counts = OutcomeCounts()
        counts.add(.success, status: 200, 50)
        counts.add(.clientError, status: 499, 50)
        counts.add(.clientClosed, 30)
        let sets = ClientErrorSets([Policy(name: "p", checks: [Self.check, Self.errors()])])
        #expect(counts.count(sets.clientErrors) == 0 && counts.count(.errors) == 0)
        #expect(counts.count(ErrorsCheck(max: 0.1, statuses: ResponseSet(499...499)).counted) == 50)
        #expect(counts.judged == 100 && counts.clientErrorRate == 0.5)
        #expect(counts.responses.mostFrequent?.code == 499 && counts.responses.mostFrequent?.count == 50)
    }

    @Test("A client that always asks for nonsense is one client error under sticky routing") func keys() {
        var traffic = Traffic(Self.all, seed: 9, isKeyed: true)
        // The user whose requests always fail is assigned to the candidate.
        traffic.ending = { $0 == 0 ? 404 : nil }
        #expect(traffic.run(1200) == nil)
        var all = Traffic(Self.all, seed: 9, isKeyed: true)
        all.ending = { $0 % 2 == 0 && $0 < 100 ? 404 : nil }
        #expect(all.run(1200) == "client-errors")
    }

    @Test("Clients that come in bursts do not count as many: client errors have a φ̂ of their own") func clustered() {
        var traffic = Traffic(Self.all, seed: 10, watched: 0)
        let sets = ClientErrorSets([traffic.policy])
        var profile = BaselineProfile([traffic.policy])
        for second in 0..<3600 {
            var tick = ErrorTick(second: Int64(second), step: 0)
            for i in 0..<40 {
                // For ten seconds of each minute a client in one sub-shard asks for what is not there.
                let refused = second % 60 < 10 && i % 8 == (second / 60) % 8
                tick.add(.baseline, shard: i % 8, refused ? 404 : i == second % 211 ? 500 : .success)
            }
            profile.observe(tick)
        }
        #expect(profile.mode(of: sets.clientErrors) == .ticks)
        #expect(profile.errorMode != .ticks)
        traffic.judge = SequentialJudge([traffic.policy], risk: Risk(), isKeyed: false, profile: profile)
        #expect(traffic.result("client-errors").evidence?.mode == .ticks)
        #expect(traffic.result("errors").evidence?.mode != .ticks)
    }

    @Test("The shares of the risk sum to the whole, whatever checks there are", arguments: 0..<16)
    func risk(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let sources = RiskBudget.Source.allCases.filter { _ in random.chance(0.6) }
        let checks = (sources.isEmpty ? [.clientErrors] : sources + sources.prefix(1)).map {
            (source: $0, share: Double.random(in: 0.1...9, using: &random))
        }
        let weights = RiskBudget(alpha: 0.01).weights(checks)
        #expect(abs(weights.reduce(0, +) - 1) < 1e-12)
        #expect(RiskBudget(alpha: 0.01).weights([(.errors, 1), (.clientErrors, 1)]) == [0.75, 0.25])
    }

    @Test("Without a response to time, latency says so, and that traffic does not help; 4xx are requests of the step")
    func untimed() {
        var traffic = Traffic(Self.all, candidate: [(404, 1)], seed: 11)
        for _ in 0..<30 { traffic.tick() }
        let latency = traffic.result("p95")
        #expect(latency.verdict == .noData && latency.needsMoreThanTraffic)
        #expect(latency.missing == "all of the candidate's responses are 404: there is no response to time")
        #expect(traffic.result("errors").verdict == .pass)
        var mixed = Traffic(Self.all, candidate: [(404, 0.5), (400, 0.5)], seed: 11)
        for _ in 0..<30 { mixed.tick() }
        #expect(
            mixed.result("p95").missing == "all of the candidate's responses are 4xx: there is no response to time")
        var few = Traffic(Self.all, candidate: [(404, 0.99)], seed: 11)
        for _ in 0..<30 { few.tick() }
        #expect(few.result("p95").missing.hasSuffix("responses are 4xx, which are not timed: too few are left"))
        var start = Traffic(Self.all, candidate: [(404, 1)], seed: 11)
        start.tick()
        #expect(start.result("p95").missing.contains("requests on the candidate in this step"))
        #expect(!start.result("p95").needsMoreThanTraffic)
    }

    @Test("A baseline without an error is not said to fail before its latency was looked up") func quantile() {
        let traffic = Traffic(Self.all, seed: 12)
        let result = traffic.result("p95")
        #expect(result.missing == "the baseline's P95 is known, and is looked up with the next requests")
        #expect(!result.needsMoreThanTraffic)
        let failing = Traffic(Self.all, baseline: [(500, 0.2)], seed: 12)
        #expect(failing.result("p95").missing.hasPrefix("so many of the baseline's requests fail"))
        #expect(failing.result("p95").needsMoreThanTraffic)
    }

    @Test("An estimate from few requests is not said to be out of reach") func outOfReach() {
        var traffic = Traffic(Self.all, baseline: [(500, 0.002)], candidate: [(500, 0.002)], seed: 13)
        traffic.share = 0.9
        for _ in 0..<9 { traffic.tick() }
        for name in ["errors", "client-errors", "p95"] {
            #expect(!traffic.result(name).missing.contains("no end in sight"), "\(traffic.result(name).missing)")
        }
    }
}

/// What the threshold judge makes of 4xx and redirects.
@Suite(.timeLimit(.minutes(15))) struct ClientErrorThresholdTests {
    private static let second: Int64 = 1_000_000_000
    private static let now = 1000 * second

    private static func look(
        _ checks: [Check], candidate: [UInt16: Int], baseline: [UInt16: Int]
    ) -> [CheckResult] {
        var window = ObservationWindow(retention: .seconds(130), startedAt: now - 100 * second)
        for (arm, responses) in [(Arm.candidate, candidate), (.baseline, baseline)] {
            for (status, count) in responses {
                let outcome: Outcome = status >= 500 ? .serverError : status >= 400 ? .clientError : .success
                for _ in 0..<count {
                    window.record(
                        Observation(
                            slot: 1, arm: arm, outcome: outcome, flags: .judged, place: 0, status: status,
                            startedAt: now - 5 * second, requestHash: 0, firstByte: 20_000, total: 20_000))
                }
            }
        }
        var judge = ThresholdJudge()
        let limits = ThresholdLimits(failureLimit: 0)
        let policy = Policy(name: "p", checks: checks.map { Check(name: $0.name, kind: $0.kind, limits: limits) })
        return judge.evaluate([policy], WindowSnapshot(observations: window), now: now)
    }

    private static let check = Check(
        name: "c", kind: .clientErrors(ClientErrorsCheck(maxIncrease: 0.5, floor: 0.01)))

    @Test("4xx and redirects are compared, each by itself") func compared() {
        let bad = Self.look([Self.check], candidate: [200: 700, 404: 300], baseline: [200: 1000])[0]
        #expect(bad.verdict == .fail && bad.decisive?.subject == "4xx", "\(bad.words)")
        #expect(bad.decisive?.candidate == 0.3 && bad.decisive?.candidateSamples == 1000)
        let alike = Self.look(
            [Self.check], candidate: [200: 700, 404: 250, 429: 50], baseline: [200: 1400, 404: 510, 429: 90])[0]
        #expect(alike.verdict == .pass && alike.proven)
        let moved = Self.look([Self.check], candidate: [200: 500, 307: 100, 304: 400], baseline: [200: 1000])[0]
        #expect(moved.verdict == .fail && moved.decisive?.subject == "3xx" && moved.decisive?.candidate == 0.1)
        let left = Self.look([Self.check], candidate: [200: 700, 499: 300], baseline: [200: 1000])[0]
        #expect(left.verdict == .pass)
    }

    @Test("Statuses say what is an error, and what is one is no client error") func statuses() {
        var statuses = ResponseSet.serverErrors
        statuses.insert(429)
        let errors = Check(name: "e", kind: .errors(ErrorsCheck(max: 0.01, statuses: statuses)))
        let results = Self.look([errors, Self.check], candidate: [200: 900, 429: 100], baseline: [200: 1000])
        #expect(results.map(\.verdict) == [.fail, .pass])
        let strict = Check(name: "e", kind: .errors(ErrorsCheck(max: 0.01)))
        let usual = Self.look([strict, Self.check], candidate: [200: 900, 429: 100], baseline: [200: 1000])
        #expect(usual.map(\.verdict) == [.pass, .fail])
    }

    @Test("Latency without a response to time says so") func untimed() {
        let latency = Check(name: "l", kind: .latency(LatencyCheck(quantile: 0.95, max: .seconds(1))))
        let result = Self.look([latency], candidate: [404: 200], baseline: [200: 200])[0]
        #expect(result.verdict == .noData && result.needsMoreThanTraffic)
        #expect(
            result.missing.hasSuffix("all of the candidate's responses are 404: there is no response to time"),
            "\(result.missing)")
    }
}
