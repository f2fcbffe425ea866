import Analysis
import PolicyModel
import Vocabulary

extension TransitionBuilder {
    /// Applies the evaluation of one tick: first reverts, then other failing checks, then the conditions under which
    /// time does not count, then progress.
    mutating func apply(_ e: Evaluation, elapsed: Duration) {
        guard let rollout = state.rollout else { return }
        if rollout.phase == .waiting { return startAutomatically(rollout, e) }
        if let blindness = e.blindness { return hold(.agentBlind, "the agent cannot trust its view: \(blindness)") }
        if let failing = e.failing(.revert) {
            if e.baseline.isDown, !e.candidate.isNoBetter(than: e.baseline) {
                let why = e.baseline.downReason
                return hold(.badBaseline, "\(failing.words); but \(state.serving) is down (\(why)) and no refuge", e)
            }
            return revertRollout(failing.words, by: "policy", evaluation: e)
        }
        reportFailures(e)
        guard applyNoDataLimits(e, elapsed: elapsed) else { return }
        if rollout.isRecovering { return recover(e) }
        guard applyDeadline(e, elapsed: elapsed) else { return }
        takeBackWaiver(e)
        if let (reason, message) = holdReason(e) { return hold(reason, message, e) }
        if rollout.holdReason != .tooLittleTraffic, rollout.holdReason != .noMeasurement { clearHold() }
        if state.rollout?.pause != nil || state.freeze != nil { return }
        if !rollout.toleratesInconclusive,
            let check = e.results.first(where: { $0.isRequired && $0.isOverInconclusiveLimit })
        {
            return pause(.inconclusive, "inconclusive too often: \(check.words)", by: "policy")
        }
        state.rollout?.held += elapsed
        advanceIfDue(e)
    }

    /// Starts a rollout that waits, if its strategy starts automatically. A start gives the candidate traffic, so it
    /// waits until the agent can trust its view and neither arm is down.
    private mutating func startAutomatically(_ rollout: Rollout, _ e: Evaluation) {
        guard rollout.plan.strategy.start == .automatic, state.freeze == nil, rollout.pause == nil else { return }
        if let blindness = e.blindness { return hold(.agentBlind, "the agent cannot trust its view: \(blindness)") }
        if e.baseline.isDown {
            return hold(.badBaseline, "\(state.serving) is down (\(e.baseline.downReason)): does not start", e)
        }
        if e.candidate.isDown {
            return hold(.candidateDown, "\(rollout.candidate) is down (\(e.candidate.downReason)): does not start", e)
        }
        clearHold()
        startRollout(by: "policy")
    }

    /// Gives the candidate its share again after an unclean stop, once the evaluation is healthy. The time of the
    /// recovery does not count.
    private mutating func recover(_ e: Evaluation) {
        if let freeze = state.freeze {
            return hold(.recovering, "recovering: gets nothing while frozen by \(freeze.by)", e)
        }
        let isHealthy = e.isDataFlowing && e.verdict != .error && !e.candidate.isDown && !e.baseline.isDown
        guard isHealthy else {
            let missing = e.isDataFlowing ? "both arms to be healthy" : "a first request"
            return hold(.recovering, "recovering: waits for \(missing)", e)
        }
        state.rollout?.isRecovering = false
        clearHold()
        emit(.recovered, "first healthy evaluation after the restart: the split is in force again", by: "agent")
    }

    /// Raises an alarm for each failure of a check that does not revert, and pauses the rollout for those of checks
    /// with `action: pause`. A failure is reported once, until nothing is left of it. One that someone has accepted is
    /// reported again when the check has failed again since then; one of `action: notify`, when it spreads to another
    /// group.
    private mutating func reportFailures(_ e: Evaluation) {
        guard var failures = state.rollout?.failures else { return }
        var alarms: [(result: CheckResult, groups: [String])] = []
        for result in e.results where result.action != .revert {
            guard let place = failures.firstIndex(where: { $0.check == result.path }) else {
                guard result.verdict == .fail else { continue }
                failures.append(ReportedFailure(result))
                alarms.append((result, []))
                continue
            }
            if result.isFailureOver {
                failures.remove(at: place)
                continue
            }
            let known = failures[place]
            let isPausedFor = known.action == .pause && known.acceptedBy == nil
            let hasFailedAgain =
                known.action == .pause
                ? !isPausedFor && result.hasFailedAgain(since: known.extent)
                : result.failsInMoreGroups(than: known.extent)
            if isPausedFor || hasFailedAgain { failures[place].update(result) }
            if hasFailedAgain {
                alarms.append((result, result.extent.groups.filter { !known.extent.groups.contains($0) }))
            }
        }
        state.rollout?.failures = failures
        for (result, groups) in alarms {
            let also = groups.isEmpty ? "" : ", now also for \(groups.joined(separator: ", "))"
            emit(.alarm, "check fails\(also) (action: \(result.action.rawValue)): \(result.words)", evaluation: e)
        }
        let undecided = failures.filter { $0.action == .pause && $0.acceptedBy == nil }.map(\.summary)
        guard !undecided.isEmpty else { return }
        let reason = "check fails: \(undecided.joined(separator: "; "))"
        if state.rollout?.pause == nil {
            pause(.check, reason, by: "policy", evaluation: e)
        } else if state.rollout?.pause?.cause == .check, alarms.contains(where: { $0.result.action == .pause }) {
            state.rollout?.pause?.reason = reason
        }
    }

    /// Counts the time without data and reverts the rollout if a policy says so. That time also counts while the
    /// rollout is paused or frozen, because reverts take precedence over both.
    /// - Returns: false if the rollout was reverted.
    private mutating func applyNoDataLimits(_ e: Evaluation, elapsed: Duration) -> Bool {
        guard var rollout = state.rollout else { return false }
        rollout.withoutData = e.isDataFlowing ? .zero : rollout.withoutData + elapsed
        state.rollout = rollout
        for policy in rollout.plan.policies {
            if case .revert(let after) = policy.onNoData, rollout.withoutData >= after {
                revertRollout(
                    "no data for \(after.written), and policy \(policy.name) says revert", by: "policy", evaluation: e)
                return false
            }
        }
        return true
    }

    /// Counts the time toward the deadline, except during pauses, pause steps and freezes, and applies the consequence
    /// when it passes.
    /// - Returns: false if the deadline passed in this tick.
    private mutating func applyDeadline(_ e: Evaluation, elapsed: Duration) -> Bool {
        guard var rollout = state.rollout else { return false }
        let isStopped = rollout.pause != nil || state.freeze != nil || rollout.isInPauseStep
        if !isStopped { rollout.active += elapsed }
        state.rollout = rollout
        if !isStopped, !rollout.isOverdue, let deadline = rollout.plan.strategy.deadline,
            rollout.active >= deadline.after
        {
            state.rollout?.isOverdue = true
            emit(.deadlinePassed, "not promoted within \(deadline.after.written)", evaluation: e)
            switch deadline.then {
            case .pause: pause(.deadline, "the deadline of \(deadline.after.written) passed", by: "policy")
            case .revert:
                revertRollout(
                    "the deadline of \(deadline.after.written) passed", by: "policy", evaluation: e)
            }
            return false
        }
        return true
    }

    /// The reason to hold the rollout although no check fails, with its message; nil if it may advance.
    private func holdReason(_ e: Evaluation) -> (HoldReason, String)? {
        if !e.isDataFlowing { return (.noData, "no judged request for a while: holds, and the time does not count") }
        if e.baseline.isDown {
            let why = e.baseline.downReason
            return (.badBaseline, "\(state.serving) is down (\(why)): holds, and the time does not count")
        }
        if e.candidate.isDown, let candidate = state.rollout?.candidate {
            let why = e.candidate.downReason
            let holds = "holds until a check decides, and the time does not count"
            return (.candidateDown, "\(candidate) is down (\(why)): \(holds)")
        }
        if let check = e.required(.error).first {
            return (check.fault == nil ? .providerDown : .unusableSeries, "no measurement: \(check.words)")
        }
        return nil
    }

    /// Enters the next step or phase if the conditions for leaving the current one are met.
    private mutating func advanceIfDue(_ e: Evaluation) {
        guard let rollout = state.rollout else { return }
        switch rollout.phase {
        case .waiting: break
        case .warmup:
            guard let warmup = rollout.plan.strategy.warmup else { return enterNextStep(by: "policy") }
            if e.candidate.requests >= UInt64(max(warmup.requests, 0)) {
                emit(.warmedUp, "\(rollout.candidate) answered \(e.candidate.requests) requests")
                enterNextStep(by: "policy")
            } else if rollout.held >= warmup.within {
                hold(
                    .tooLittleTraffic,
                    "warm-up: \(e.candidate.requests) of \(warmup.requests) requests within \(warmup.within.written)", e
                )
            }
        case .step(let index):
            switch index < rollout.plan.strategy.steps.count ? rollout.plan.strategy.steps[index] : .pause(.zero) {
            case .weight(_, let duration):
                guard rollout.held >= duration else { return }
                switch e.verdict(accepting: rollout.acceptedChecks) {
                case .pass: enterNextStep(by: "policy")
                case .noData: holdWithoutData("the hold is over", e)
                case .inconclusive, .error, .fail: clearHold()
                }
            case .pause(let time): if let time, rollout.held >= time { enterNextStep(by: "policy") }
            }
        case .proving:
            guard e.verdict == .pass else { return }
            var why = "every required check is proven"
            if !e.unproven.isEmpty {
                guard let waived = waivedProofs(rollout, e) else { return }
                state.rollout?.waived = waived
                why = waived
            }
            clearHold()
            if !e.results.contains(where: \.provesForPromotion) {
                // Absence of evidence never promotes: without a required check, a person decides.
                enter(.ready)
                emit(.ready, "no check is required, so nothing is proven; waits for canaryctl promote", evaluation: e)
            } else if rollout.plan.strategy.promotion == .automatic {
                bakeOrPromote(why, by: "policy", evaluation: e)
            } else {
                enter(.ready)
                emit(.ready, "\(why); waits for canaryctl promote", evaluation: e)
            }
        case .ready: break
        case .baking:
            let bake = rollout.plan.strategy.bake?.duration ?? .zero
            guard rollout.held >= bake else { return }
            switch e.verdict(accepting: rollout.acceptedChecks) {
            case .pass:
                let failed = rollout.acceptedChecks.joined(separator: ", ")
                let baked = failed.isEmpty ? "baked" : "baked although \(failed) failed"
                bakeOrPromote(baked + waiverNote(rollout, e), by: "policy", evaluation: e)
            case .noData: holdWithoutData("the bake is over", e)
            case .inconclusive, .error, .fail: clearHold()
            }
        }
    }

    /// The proofs that are missing and that the service's rule waives, as text; nil if it does not waive all of them.
    private func waivedProofs(_ rollout: Rollout, _ e: Evaluation) -> String? {
        guard let rule = rollout.plan.analysis.risk.promotion, rollout.active >= rule.after,
            let most = e.mostExcessFailures, most <= Double(rule.whenExcessFailuresAtMost),
            e.missesOnlyWaivableProofs
        else { return nil }
        let checks = e.unproven.map { "\($0.path) (\($0.missing))" }.joined(separator: ", ")
        let time = Duration.seconds(rollout.active.components.seconds)
        return "proofs waived after \(time.written) with at most \(Measurement.failures(most)): \(checks)"
    }

    /// The note on waived proofs for a promotion, from the newest evaluation if there is one; empty if none was waived.
    func waiverNote(_ rollout: Rollout, _ e: Evaluation?) -> String {
        guard let waived = rollout.waived else { return "" }
        if let e, e.unproven.isEmpty, !e.results.isEmpty { return "; every required check is proven by now" }
        return "; " + (e.flatMap { waivedProofs(rollout, $0) } ?? waived)
    }

    /// Returns a rollout whose proofs were waived to the phase `proving` if more requests may have failed since than the
    /// rule allows, also while it is paused, frozen or held.
    private mutating func takeBackWaiver(_ e: Evaluation) {
        guard let rollout = state.rollout, rollout.waived != nil, let rule = rollout.plan.analysis.risk.promotion,
            let most = e.mostExcessFailures, most > Double(rule.whenExcessFailuresAtMost),
            e.unproven.contains(where: \.provesForPromotion)
        else { return }
        state.rollout?.waived = nil
        enter(.proving)
        emit(
            .proving,
            "proofs are not waived any more: up to \(Measurement.failures(most)), more than "
                + "\(rule.whenExcessFailuresAtMost); waits for proof at \(state.split.candidate)", evaluation: e)
    }

    /// Holds for the first check without data. A check that more traffic will not help comes before the others.
    private mutating func holdWithoutData(_ what: String, _ e: Evaluation) {
        let checks = e.required(.noData).filter { !$0.waitsOnlyForPromotion }
        if let check = checks.first(where: \.needsMoreThanTraffic) {
            return hold(.noMeasurement, "\(what); \(check.path) can measure nothing: \(check.missing)", e)
        }
        let missing = checks.first.map { "\($0.path) waits: \($0.missing)" } ?? "waits for data"
        hold(.tooLittleTraffic, "\(what); \(missing)", e)
    }

    /// Holds the rollout and emits an event when the reason is new.
    private mutating func hold(_ reason: HoldReason, _ message: String, _ e: Evaluation? = nil) {
        guard state.rollout?.holdReason != reason else { return }
        state.rollout?.holdReason = reason
        emit(reason.isAlarm ? .alarm : .held, message, evaluation: e)
    }

    private mutating func clearHold() {
        guard let reason = state.rollout?.holdReason else { return }
        state.rollout?.holdReason = nil
        if reason.isAlarm { emit(.holdCleared, "\(reason.rawValue) is over") }
    }

    mutating func pause(_ cause: PauseCause, _ reason: String, by: String, evaluation: Evaluation? = nil) {
        state.rollout?.pause = Pause(cause: cause, reason: reason, by: by, at: now.wall)
        emit(.paused, "paused at \(state.split.candidate): \(reason)", by: by, evaluation: evaluation)
    }
}
