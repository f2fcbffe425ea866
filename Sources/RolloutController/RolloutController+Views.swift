import Analysis
import PolicyModel
import RolloutEngine

extension RolloutController {
    /// The view of a service; nil if it is unknown.
    public func view(of service: String) -> ServiceView? { services[service].map(view) }

    func view(of runtime: ServiceRuntime) -> ServiceView {
        let evaluation = runtime.observer.evaluation
        let outlook = Outlook(runtime.state, evaluation)
        let now = clock.now.monotonic
        return ServiceView(
            service: runtime.service, state: runtime.state, evaluation: evaluation,
            baseline: view(of: .baseline, runtime.state.serving, runtime, now: now),
            candidate: runtime.state.rollout.map { view(of: .candidate, $0.candidate, runtime, now: now) },
            waitsFor: outlook.waitsFor, next: outlook.next, holdLeft: outlook.holdLeft,
            feedback: runtime.join.counts, notes: notes(runtime), isDurable: runtime.ledger.isDurable)
    }

    private func view(of arm: Arm, _ identity: VersionIdentity, _ runtime: ServiceRuntime, now: Int64) -> ArmView {
        let second: Int64 = 1_000_000_000
        let window = runtime.observer.window
        let minute = window.summary(arm, since: now - 60 * second)
        let rate = window.counts(arm, since: now - 10 * second).all
        let trend = (0..<24).map { i -> Double? in
            let since = now - Int64(24 - i) * 5 * second
            return window.summary(arm, since: since, until: since + 5 * second).quantile(0.95, of: .total)?.value
        }
        let all = window.sinceStart[Int(arm.rawValue)]
        let servers = runtime.serverCounts(arm)
        var view = ArmView(
            identity: identity, servers: servers.all, reachable: servers.reachable, requestRate: Double(rate) / 10,
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

    /// The maximum number of notes about scraped series; a policy with mistakes may cause hundreds.
    private static let maximumScrapeNotes = 20

    /// Facts about a service that a person should know, one line for each.
    private func notes(_ runtime: ServiceRuntime) -> [String] {
        var notes: [String] = []
        let state = runtime.state
        if let rollout = state.rollout, rollout.plan != runtime.declaration.plan {
            notes.append(
                "the files changed since \(rollout.id) began: policies, strategy and risk count from the next rollout; "
                    + "canaryctl restart applies them now"
            )
        }
        if runtime.declaration.baseline != state.serving {
            notes.append(
                "the file says baseline: \(runtime.declaration.baseline.name), but \(state.serving) serves: change that "
                    + "line to baseline: \(state.serving.name)"
            )
        }
        if let refused = state.refused, let rollout = state.rollout, rollout.candidate == refused.identity {
            let tries = refused.times + 1
            let risk = rollout.plan.analysis.risk
            func sum(_ each: Double) -> String { Measurement.format(min(Double(tries) * each, 1), .ratio) }
            notes.append(
                "try \(tries) of \(refused.identity): each try has the full risk; together, the probability is up to "
                    + "\(sum(risk.falsePromote)) that a bad candidate is promoted, and up to \(sum(risk.falseRevert)) that a "
                    + "sound one is reverted")
        }
        if let refused = state.refused, state.rollout == nil {
            notes.append("\(refused.identity) was reverted (\(refused.reason)); canaryctl retry tries it again")
        }
        if let waived = state.rollout?.waived { notes.append(waived) }
        notes += (state.rollout?.failures ?? []).compactMap { note($0, of: state) }
        let problems = runtime.scrapeProblems.map(\.text)
        notes += problems.prefix(Self.maximumScrapeNotes)
        if problems.count > Self.maximumScrapeNotes {
            notes.append("\(problems.count - Self.maximumScrapeNotes) more problems with scraped series")
        }
        if !runtime.ledger.isDurable || runtime.ledger.failure != nil {
            notes.append(
                "the state is not on disk: \(runtime.ledger.failure ?? "not yet")"
                    + (runtime.ledger.isUnmarked ? Self.unmarkedHint : ""))
        }
        return notes
    }

    /// The note for a failing check; nil if a revert or the rollout's pause says it already.
    private func note(_ failure: ReportedFailure, of state: ServiceState) -> String? {
        switch failure.action {
        case .revert: return nil
        case .notify: return "a check failed, which stops nothing (action: notify): \(failure.summary)"
        case .pause:
            if let person = failure.acceptedBy {
                return "a check failed, and \(person) let the rollout go on: \(failure.summary)"
            }
            return state.rollout?.pause?.cause == .check
                ? nil : "a check failed, and pauses the rollout when it is resumed: \(failure.summary)"
        }
    }
}
