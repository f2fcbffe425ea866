import Analysis
import PolicyModel

extension Draft {
    /// One tick. Reverts come before everything; then what keeps the clock from counting; then the way forward.
    mutating func evaluated(_ e: Evaluation, elapsed: Duration) {
        guard let rollout = state.rollout else { return }
        if rollout.phase == .waiting { return startByItself(rollout, e) }
        if let blindness = e.blindness { return stand(.agentBlind, "the agent cannot trust its view: \(blindness)") }
        if let failing = e.enforced(.fail).first {
            if e.baseline.isDown, !e.candidate.isNoBetter(than: e.baseline) {
                return stand(.badBaseline, "\(failing.words); but \(state.serving) is down and no refuge", e)
            }
            return end(failing.words, by: "policy", refuse: true, evaluation: e)
        }
        guard countSilence(e, elapsed: elapsed) else { return }
        if rollout.isRecovering { return recover(e) }
        guard countTime(e, elapsed: elapsed) else { return }
        if let obstacle = obstacle(e) { return stand(obstacle.0, obstacle.1, e) }
        if rollout.standstill != .tooLittleTraffic { unstand() }
        if rollout.pause != nil || state.freeze != nil { return }
        if !rollout.toleratesInconclusive,
            let check = e.results.first(where: { $0.isEnforced && $0.isOverInconclusiveLimit })
        {
            return pause(.inconclusive, "inconclusive too often: \(check.words)", by: "policy")
        }
        state.rollout?.held += elapsed
        move(e)
    }

    /// A start gives the candidate traffic, so it waits for a moment in which the agent sees and the baseline is well.
    private mutating func startByItself(_ rollout: Rollout, _ e: Evaluation) {
        guard rollout.plan.strategy.start == .automatic, state.freeze == nil, rollout.pause == nil else { return }
        if let blindness = e.blindness { return stand(.agentBlind, "the agent cannot trust its view: \(blindness)") }
        if e.baseline.isDown { return stand(.badBaseline, "\(state.serving) is down: does not start", e) }
        if e.candidate.isDown {
            return stand(.candidateDown, "\(rollout.candidate) is down or cannot be found: does not start", e)
        }
        unstand()
        begin(by: "policy")
    }

    /// Gives the candidate its share again where that is safe; the time without it counted for nothing.
    private mutating func recover(_ e: Evaluation) {
        if let freeze = state.freeze {
            return stand(.recovering, "recovering: gets nothing while frozen by \(freeze.by)", e)
        }
        let isHealthy = e.isDataFlowing && e.verdict != .error && !e.candidate.isDown && !e.baseline.isDown
        guard isHealthy else {
            let missing = e.isDataFlowing ? "both arms to be healthy" : "a first request"
            return stand(.recovering, "recovering: waits for \(missing)", e)
        }
        state.rollout?.isRecovering = false
        unstand()
        tell(.recovered, "first healthy evaluation after the restart: the split is in force again", by: "agent")
    }

    /// Silence counts while paused and frozen too: what reverts is stronger than both.
    /// - Returns: whether the rollout goes on.
    private mutating func countSilence(_ e: Evaluation, elapsed: Duration) -> Bool {
        guard var rollout = state.rollout else { return false }
        rollout.withoutData = e.isDataFlowing ? .zero : rollout.withoutData + elapsed
        state.rollout = rollout
        for policy in rollout.plan.policies {
            if case .revert(let after) = policy.onNoData, rollout.withoutData >= after {
                end(
                    "no data for \(after.written), and policy \(policy.name) says revert", by: "policy", refuse: true,
                    evaluation: e)
                return false
            }
        }
        return true
    }

    /// The deadline, which leaves pauses, pause steps and freezes out.
    /// - Returns: whether the rollout goes on.
    private mutating func countTime(_ e: Evaluation, elapsed: Duration) -> Bool {
        guard var rollout = state.rollout else { return false }
        let isStopped = rollout.pause != nil || state.freeze != nil || rollout.isInPauseStep
        if !isStopped { rollout.active += elapsed }
        state.rollout = rollout
        if !isStopped, !rollout.isOverdue, let deadline = rollout.plan.strategy.deadline,
            rollout.active >= deadline.after
        {
            state.rollout?.isOverdue = true
            tell(.deadlinePassed, "not promoted within \(deadline.after.written)", evaluation: e)
            switch deadline.then {
            case .pause: pause(.deadline, "the deadline of \(deadline.after.written) passed", by: "policy")
            case .revert:
                end("the deadline of \(deadline.after.written) passed", by: "policy", refuse: true, evaluation: e)
            }
            return false
        }
        return true
    }

    /// What keeps the rollout where it is although nothing of the candidate is known to be bad.
    private func obstacle(_ e: Evaluation) -> (Standstill, String)? {
        if !e.isDataFlowing { return (.noData, "no judged request for a while: holds, and the time does not count") }
        if e.baseline.isDown { return (.badBaseline, "\(state.serving) is down: holds, and the time does not count") }
        if e.candidate.isDown, let candidate = state.rollout?.candidate {
            return (.candidateDown, "\(candidate) is down: holds until a check decides, and the time does not count")
        }
        if let check = e.enforced(.error).first { return (.providerDown, "no measurement: \(check.words)") }
        return nil
    }

    private mutating func move(_ e: Evaluation) {
        guard let rollout = state.rollout else { return }
        switch rollout.phase {
        case .waiting: break
        case .warmup:
            guard let warmup = rollout.plan.strategy.warmup else { return nextStep(by: "policy") }
            if e.candidate.requests >= UInt64(max(warmup.requests, 0)) {
                tell(.warmedUp, "\(rollout.candidate) answered \(e.candidate.requests) requests")
                nextStep(by: "policy")
            } else if rollout.held >= warmup.within {
                stand(
                    .tooLittleTraffic,
                    "warm-up: \(e.candidate.requests) of \(warmup.requests) requests within \(warmup.within.written)", e
                )
            }
        case .step(let index):
            switch index < rollout.plan.strategy.steps.count ? rollout.plan.strategy.steps[index] : .pause(.zero) {
            case .weight(_, let hold):
                guard rollout.held >= hold else { return }
                switch e.verdict {
                case .pass: nextStep(by: "policy")
                case .noData: stand(.tooLittleTraffic, "the hold is over; \(firstMissing(e))", e)
                case .inconclusive, .error, .fail: unstand()
                }
            case .pause(let time): if let time, rollout.held >= time { nextStep(by: "policy") }
            }
        case .proving:
            guard e.verdict == .pass, e.unproven.isEmpty else { return }
            unstand()
            if !e.results.contains(where: \.isEnforced) {
                // Absence of evidence never promotes: without a check that decides, a person does.
                enter(.ready)
                tell(.ready, "no check is enforced, so nothing is proven; waits for canaryctl promote", evaluation: e)
            } else if rollout.plan.strategy.promotion == .automatic {
                win("every enforced check is proven", by: "policy", evaluation: e)
            } else {
                enter(.ready)
                tell(.ready, "every enforced check is proven; waits for canaryctl promote", evaluation: e)
            }
        case .ready: break
        case .baking:
            let bake = rollout.plan.strategy.bake?.duration ?? .zero
            guard rollout.held >= bake else { return }
            switch e.verdict {
            case .pass: win("baked", by: "policy", evaluation: e)
            case .noData: stand(.tooLittleTraffic, "the bake is over; \(firstMissing(e))", e)
            case .inconclusive, .error, .fail: unstand()
            }
        }
    }

    private func firstMissing(_ e: Evaluation) -> String {
        let check = e.enforced(.noData).first { !$0.waitsOnlyForPromotion }
        return check.map { "\($0.path) waits: \($0.missing)" } ?? "waits for data"
    }

    /// Holds, and says why once.
    private mutating func stand(_ cause: Standstill, _ message: String, _ e: Evaluation? = nil) {
        guard state.rollout?.standstill != cause else { return }
        state.rollout?.standstill = cause
        tell(cause.isAlarm ? .alarm : .standstill, message, evaluation: e)
    }

    private mutating func unstand() {
        guard let cause = state.rollout?.standstill else { return }
        state.rollout?.standstill = nil
        if cause.isAlarm { tell(.moving, "\(cause.rawValue) is over") }
    }

    mutating func pause(_ cause: Pause.Cause, _ reason: String, by: String) {
        state.rollout?.pause = Pause(cause: cause, reason: reason, by: by, at: now.wall)
        tell(.paused, "paused at \(state.split.candidate): \(reason)", by: by)
    }
}
