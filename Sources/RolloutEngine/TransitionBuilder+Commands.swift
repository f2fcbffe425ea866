import Analysis
import PolicyModel
import Vocabulary

extension TransitionBuilder {
    mutating func apply(_ command: Command) {
        if let seen = command.generation, seen != state.generation {
            return refuse(
                .staleGeneration,
                "\(state.service) is at generation \(state.generation), not \(seen): it changed since you looked; "
                    + "see canaryctl status \(state.service) and decide again")
        }
        switch command.verb {
        case .start: start(command)
        case .advance: advance(command)
        case .promote(let force): promote(command, force: force)
        case .revert(let to, let force): revert(command, to: to, force: force)
        case .pause: pause(command)
        case .resume: resume(command)
        case .retry: retry(command)
        case .restart: restart(command)
        case .freeze: freeze(command)
        case .unfreeze: unfreeze(command)
        }
    }

    private mutating func refuse(_ code: RefusalCode, _ message: String) {
        response = .refused(CommandRefusal(code, message))
    }
    private mutating func succeed(_ message: String) { response = .done(message) }

    private mutating func refuseWithoutRollout(_ hint: String) {
        refuse(.noRollout, "no rollout of \(state.service) is running, \(state.serving) serves all; \(hint)")
    }

    /// A hint at what to do to get a rollout.
    private var startHint: String {
        if let refused = state.refused {
            return
                "\(refused.identity) was reverted (\(refused.reason)): canaryctl retry \(state.service) tries it again"
        }
        return "name another version as candidate in the service's file and reload"
    }

    private mutating func start(_ command: Command) {
        guard let rollout = state.rollout else { return refuseWithoutRollout(startHint) }
        guard rollout.phase == .waiting else {
            return refuse(.wrongPhase, "\(rollout.id) runs already, in phase \(rollout.phase.name)")
        }
        guard state.freeze == nil else { return refuseFrozen() }
        state.rollout?.pause = nil
        startRollout(by: command.by)
        succeed("\(rollout.id) started: \(rollout.candidate) against \(state.serving)")
    }

    private mutating func refuseRecovering(_ rollout: Rollout, _ also: String = "") {
        refuse(
            .wrongPhase,
            "\(rollout.id) recovers from an unclean stop and waits for a first healthy evaluation\(also)")
    }

    private mutating func refuseFrozen(_ also: String = "") {
        let freeze = state.freeze
        refuse(
            .frozen,
            "\(state.service) is frozen by \(freeze?.by ?? "") (\(freeze?.reason ?? "")): canaryctl unfreeze first\(also)"
        )
    }

    private mutating func advance(_ command: Command) {
        guard let rollout = state.rollout else { return refuseWithoutRollout(startHint) }
        guard state.freeze == nil else { return refuseFrozen() }
        if let failure = rollout.failureToDecide {
            return refuse(
                .checkFailing,
                "a check fails: \(failure.summary); canaryctl resume lets the rollout go on, canaryctl revert ends it")
        }
        if let failing = command.evaluation?.failures.first(where: { !rollout.acceptedChecks.contains($0.path) }) {
            return refuse(.checkFailing, "a check fails: \(failing.words); revert, or wait until it passes")
        }
        if let candidate = command.evaluation?.candidate, candidate.isDown {
            return refuse(.checkFailing, "\(rollout.candidate) is down; revert, or wait until it is up")
        }
        if rollout.isRecovering { return refuseRecovering(rollout) }
        switch rollout.phase {
        case .waiting: return refuse(.wrongPhase, "\(rollout.id) waits to be started: canaryctl start \(state.service)")
        case .proving, .ready, .baking:
            return refuse(.wrongPhase, "\(rollout.id) has no step left: canaryctl promote \(state.service)")
        case .warmup, .step: break
        }
        state.rollout?.pause = nil
        enterNextStep(by: command.by)
        succeed("\(rollout.id) advanced: \(state.split.candidate) to \(rollout.candidate)")
    }

    private mutating func promote(_ command: Command, force: Bool) {
        guard let rollout = state.rollout else { return refuseWithoutRollout(startHint) }
        if state.freeze != nil, !force { return refuseFrozen(", or promote --force") }
        if let failing = command.evaluation?.failures.first(where: { $0.action == .revert }), !force {
            return refuse(.checkFailing, "a check fails: \(failing.words); --force promotes all the same")
        }
        if let candidate = command.evaluation?.candidate, candidate.isDown, !force {
            return refuse(.checkFailing, "\(rollout.candidate) is down; --force promotes all the same")
        }
        if rollout.isRecovering, !force { return refuseRecovering(rollout, "; --force promotes all the same") }
        let note = overrideNote(rollout, command.evaluation)
        acceptFailures(by: command.by)
        let byHand = command.reason.isEmpty ? "promoted by hand" : "promoted by hand (\(command.reason))"
        let why = byHand + waiverNote(rollout, command.evaluation)
        // From here on a person answers for the missing proofs: more failures in the bake do not take it back.
        state.rollout?.waived = nil
        bakeOrPromote(why + note, by: command.by, evaluation: command.evaluation)
        let now = state.rollout == nil ? "serves all" : "bakes at \(state.split.candidate)"
        succeed("\(rollout.candidate) \(now)\(note)")
    }

    /// What a promotion by hand overrides, for its event: a pause, the checks that fail, and those that are not proven.
    private func overrideNote(_ rollout: Rollout, _ evaluation: Evaluation?) -> String {
        var failing = rollout.failures.filter { $0.action == .pause }.map { (path: $0.check, words: $0.summary) }
        failing += (evaluation?.required(.fail) ?? []).filter { result in
            !failing.contains { $0.path == result.path }
        }.map { (path: $0.path, words: $0.words) }
        var note = ""
        if let pause = rollout.pause, pause.cause != .check || failing.isEmpty {
            note += "; overrides the pause by \(pause.by) (\(pause.reason))"
        }
        note += failing.map { "; overrides a failing check: \($0.words)" }.joined()
        let unproven = unproven(rollout, evaluation).filter { check in !failing.contains { $0.path == check.path } }
        if !unproven.isEmpty {
            note += "; not proven: " + unproven.map { "\($0.path) (\($0.missing))" }.joined(separator: ", ")
        }
        return note
    }

    /// The required checks that have not proven the candidate, each with what is missing. In the phase `ready` the list
    /// is empty: a proof that was complete once stays valid, although its evidence continues to change.
    private func unproven(_ rollout: Rollout, _ evaluation: Evaluation?) -> [(path: String, missing: String)] {
        if rollout.phase == .ready { return [] }
        if let evaluation, !evaluation.results.isEmpty { return evaluation.unproven.map { ($0.path, $0.missing) } }
        return rollout.plan.policies.flatMap { policy in
            policy.checks.filter(\.action.isRequired).map { ("\(policy.name)/\($0.name)", "not looked at yet") }
        }
    }

    /// Records who lets the rollout go on although checks fail, so that these checks do not pause it again for the same
    /// evidence.
    /// - Returns: the checks, as `policy/check`.
    @discardableResult
    private mutating func acceptFailures(by person: String) -> [String] {
        guard var failures = state.rollout?.failures else { return [] }
        var accepted: [String] = []
        for place in failures.indices where failures[place].action == .pause && failures[place].acceptedBy == nil {
            failures[place].acceptedBy = person
            accepted.append(failures[place].check)
        }
        state.rollout?.failures = failures
        return accepted
    }

    private mutating func revert(_ command: Command, to: String?, force: Bool) {
        let why = command.reason.isEmpty ? "reverted by hand" : command.reason
        if let rollout = state.rollout {
            if let to, to != state.serving.name, to != "\(state.serving)" {
                return refuse(
                    .unknownVersion,
                    "while \(rollout.id) runs one can only revert to its baseline \(state.serving); revert first, then "
                        + "revert --to \(to)")
            }
            // A candidate without traffic can be reverted whatever the state of the baseline.
            if let e = command.evaluation, e.baseline.isDown, !e.candidate.isNoBetter(than: e.baseline), !force,
                state.split.candidate > .zero
            {
                return refuse(
                    .baselineDown,
                    "\(state.serving) is down and \(rollout.candidate) is not; --force reverts all the same")
            }
            revertRollout(why, by: command.by, evaluation: command.evaluation)
            return succeed("\(rollout.candidate) reverted: \(state.serving) serves all")
        }
        guard let to else {
            let before = state.previous.map {
                "; to return to \($0) say canaryctl revert \(state.service) --to \($0.name)"
            }
            return refuseWithoutRollout("there is nothing to revert\(before ?? "")")
        }
        guard let target = declaration.versions.first(where: { $0.name == to || "\($0)" == to }) else {
            let known = declaration.versions.map(\.description).joined(separator: ", ")
            return refuse(.unknownVersion, "\(state.service) has no version \(to); it has \(known)")
        }
        guard target != state.serving else { return refuse(.nothingToDo, "\(target) serves already") }
        let left = state.serving
        state.previous = left
        state.serving = target
        state.refused = Refusal(identity: left, reason: why, at: now.wall, times: 1)
        emit(.returned, "\(target) serves all again instead of \(left): \(why)", by: command.by)
        succeed("\(target) serves all; \(left) is refused until canaryctl retry")
    }

    private mutating func pause(_ command: Command) {
        guard let rollout = state.rollout else { return refuseWithoutRollout("there is nothing to pause") }
        guard rollout.pause == nil else { return refuse(.nothingToDo, "\(rollout.id) is paused already") }
        pause(.manual, command.reason.isEmpty ? "paused by hand" : command.reason, by: command.by)
        succeed("\(rollout.id) paused at \(state.split.candidate); reverts still happen")
    }

    private mutating func resume(_ command: Command) {
        guard let rollout = state.rollout else { return refuseWithoutRollout("there is nothing to resume") }
        let isPauseStep = rollout.isInPauseStep
        guard rollout.pause != nil || isPauseStep else { return refuse(.nothingToDo, "\(rollout.id) is not paused") }
        if isPauseStep, rollout.pause == nil, state.freeze != nil { return refuseFrozen() }
        if rollout.pause?.cause == .inconclusive { state.rollout?.toleratesInconclusive = true }
        let wasPaused = rollout.pause != nil
        let accepted = rollout.pause?.cause == .check ? acceptFailures(by: command.by) : []
        state.rollout?.pause = nil
        let fail = accepted.count == 1 ? "fails" : "fail"
        let resumed =
            accepted.isEmpty ? "resumed" : "resumed although \(accepted.joined(separator: ", ")) \(fail)"
        emit(.resumed, command.reason.isEmpty ? resumed : "\(resumed): \(command.reason)", by: command.by)
        if isPauseStep, !wasPaused { enterNextStep(by: command.by) }
        succeed(
            "\(rollout.id) goes on at \(state.split.candidate)\(state.freeze == nil ? "" : ", once it is unfrozen")")
    }

    private mutating func retry(_ command: Command) {
        if let rollout = state.rollout { return refuse(.wrongPhase, "\(rollout.id) is running") }
        guard let refused = state.refused else {
            return refuse(.nothingToDo, "no version of \(state.service) is refused")
        }
        guard declaration.candidate == refused.identity else {
            return refuse(
                .nothingToDo,
                "the service's file does not name \(refused.identity) as candidate any more; it names "
                    + (declaration.candidate.map(\.description) ?? "none"))
        }
        createRollout(refused.identity)
        let times = refused.times == 1 ? "1 revert" : "\(refused.times) reverts"
        emit(.retried, "\(refused.identity) is tried again after \(times)", by: command.by)
        succeed("\(state.rollout?.id ?? "") tries \(refused.identity) again; each try has the full risk")
    }

    private mutating func restart(_ command: Command) {
        guard state.rollout != nil else { return refuseWithoutRollout(startHint) }
        guard let candidate = declaration.candidate, candidate != state.serving else {
            return refuse(.noRollout, "the service's file names no candidate but what serves; \(startHint)")
        }
        endRollout(
            "restarted with the files as they were last loaded", by: command.by, evaluation: command.evaluation)
        createRollout(candidate)
        succeed("\(state.rollout?.id ?? "") takes over with the files as they were last loaded")
    }

    private mutating func freeze(_ command: Command) {
        guard state.freeze == nil else { return refuse(.nothingToDo, "\(state.service) is frozen already") }
        state.freeze = Freeze(
            reason: command.reason.isEmpty ? "no reason given" : command.reason, by: command.by, at: now.wall)
        emit(.frozen, "frozen: \(state.freeze?.reason ?? "")", by: command.by)
        succeed("\(state.service) is frozen: nothing starts, advances or promotes; reverts still happen")
    }

    private mutating func unfreeze(_ command: Command) {
        guard state.freeze != nil else { return refuse(.nothingToDo, "\(state.service) is not frozen") }
        state.freeze = nil
        emit(.unfrozen, command.reason.isEmpty ? "unfrozen" : "unfrozen: \(command.reason)", by: command.by)
        succeed("\(state.service) is not frozen any more")
    }
}

extension Evaluation {
    /// The required checks whose verdict or newest measurement fails.
    var failures: [CheckResult] {
        results.filter { $0.isRequired && ($0.verdict == .fail || $0.measured == .fail) }
    }
}
