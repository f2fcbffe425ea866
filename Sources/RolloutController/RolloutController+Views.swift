import Analysis
import PolicyModel
import RolloutEngine

extension RolloutController {
    func describe(_ runtime: ServiceRuntime) -> ServiceView {
        let outlook = Outlook(runtime.state, runtime.evaluation)
        let now = clock.now.monotonic
        return ServiceView(
            service: runtime.service, state: runtime.state, evaluation: runtime.evaluation,
            baseline: arm(.baseline, runtime.state.serving, runtime, now: now),
            candidate: runtime.state.rollout.map { arm(.candidate, $0.candidate, runtime, now: now) },
            waitsFor: outlook.waitsFor, next: outlook.next, holdLeft: outlook.holdLeft,
            feedback: runtime.join.counts, notes: notes(runtime), isDurable: runtime.isDurable)
    }

    private func arm(_ arm: Arm, _ identity: VersionIdentity, _ runtime: ServiceRuntime, now: Int64) -> ArmView {
        let second: Int64 = 1_000_000_000
        let minute = runtime.window.summary(arm, since: now - 60 * second)
        let rate = runtime.window.counts(arm, since: now - 10 * second).all
        let trend = (0..<24).map { i -> Double? in
            let since = now - Int64(24 - i) * 5 * second
            return runtime.window.summary(arm, since: since, until: since + 5 * second).quantile(0.95, of: .total)?
                .value
        }
        let all = runtime.window.sinceStart[Int(arm.rawValue)]
        let declared = runtime.servers(of: arm)
        var view = ArmView(
            identity: identity, servers: runtime.health[arm]?.servers ?? declared,
            reachable: runtime.health[arm]?.reachable ?? declared, requestRate: Double(rate) / 10,
            errorRate: minute.outcomes.errorRate, p50: minute.quantile(0.5, of: .total)?.value,
            p95: minute.quantile(0.95, of: .total)?.value, p99: minute.quantile(0.99, of: .total)?.value,
            requests: all.judged, errors: all.errors, latencyTrend: trend)
        view.clientErrorRate = minute.outcomes.clientErrorRate
        view.frequentStatus = minute.outcomes.responses.mostFrequent.map {
            ($0.code.rawValue, Double($0.count) / Double(minute.outcomes.judged))
        }
        view.states = zip(runtime.version(arm)?.servers ?? [], runtime.health[arm]?.states ?? []).map(server)
        view.failures = runtime.failures.recent(of: identity.name, now: clock.now)
        return view
    }

    private func server(_ address: ServerAddress, _ state: ServerState) -> ServerView {
        guard case .ejected(let until) = state else { return ServerView(address: address, state: state) }
        let now = clock.now
        return ServerView(address: address, state: state, until: now.wall + (until - now.monotonic) / 1_000_000)
    }

    /// Notes of scraped pages that a reader gets; a policy with mistakes may bring up hundreds.
    private static let mostScrapeNotes = 20

    private func notes(_ runtime: ServiceRuntime) -> [String] {
        var notes: [String] = []
        let state = runtime.state
        if let rollout = state.rollout, rollout.plan != runtime.declaration.plan {
            notes.append(
                "the files changed since \(rollout.id) began: policies, strategy and risk count from the next rollout; canaryctl restart applies them now"
            )
        }
        if runtime.declaration.baseline != state.serving {
            notes.append(
                "the file says baseline: \(runtime.declaration.baseline.name), but \(state.serving) serves: change that line to baseline: \(state.serving.name)"
            )
        }
        if let refused = state.refused, let rollout = state.rollout, rollout.candidate == refused.identity {
            let tries = refused.times + 1
            let risk = rollout.plan.analysis.risk
            func sum(_ each: Double) -> String { Measurement.format(min(Double(tries) * each, 1), .ratio) }
            notes.append(
                "try \(tries) of \(refused.identity): each spends its risk afresh; together up to \(sum(risk.falsePromote)) that a bad "
                    + "candidate is promoted and \(sum(risk.falseRevert)) that a sound one is reverted")
        }
        if let refused = state.refused, state.rollout == nil {
            notes.append("\(refused.identity) was reverted (\(refused.reason)); canaryctl retry tries it again")
        }
        let problems = runtime.scrapeProblems.map(\.text)
        notes += problems.prefix(Self.mostScrapeNotes)
        if problems.count > Self.mostScrapeNotes {
            notes.append("\(problems.count - Self.mostScrapeNotes) more problems with scraped series")
        }
        if !runtime.isDurable || runtime.writeFailure != nil {
            notes.append(
                "the state is not on disk: \(runtime.writeFailure ?? "not yet")"
                    + (runtime.isUnmarked ? Self.unmarkedHint : ""))
        }
        return notes
    }
}
