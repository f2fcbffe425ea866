import Analysis
import PolicyModel
import Vocabulary

/// Decides the course of a service's rollouts. It is a pure and total function: the same state, input and instant
/// always give the same transition, and every input is defined in every state.
///
/// Precedence, from strong to weak: manual revert, automatic revert, freeze, manual promote, automatic promote.
public enum RolloutStateMachine {
    /// The number of unclean stops of the agent that a rollout survives; the next one reverts it.
    public static let tolerableUncleanStops = 2

    /// Computes the transition for an input.
    /// - Parameter declaration: the current content of the configuration files.
    public static func handle(
        _ input: Input, state: ServiceState, declaration: Declaration, now: Moment
    ) -> Transition {
        var builder = TransitionBuilder(state: state, declaration: declaration, now: now)
        switch input {
        case .declared(let evaluation): builder.applyDeclaration(evaluation)
        case .evaluated(let evaluation, let elapsed): builder.apply(evaluation, elapsed: max(elapsed, .zero))
        case .command(let command): builder.apply(command)
        case .recovered(let clean): builder.applyRestart(clean: clean)
        }
        return builder.finish(from: state)
    }
}

/// Builds the transition for one input.
struct TransitionBuilder {
    var state: ServiceState
    let declaration: Declaration
    let now: Moment
    private(set) var events: [Event] = []
    var response: CommandResponse?

    init(state: ServiceState, declaration: Declaration, now: Moment) {
        self.state = state
        self.declaration = declaration
        self.now = now
    }

    /// Adds an event with the weight in force at this point. `finish` adds the generation.
    mutating func emit(
        _ kind: EventKind, _ message: String, reason: String? = nil, by: String = "policy",
        evaluation: Evaluation? = nil, rollout: String? = nil
    ) {
        events.append(
            Event(
                kind, rollout: rollout ?? state.rollout?.id, message: message, reason: reason, by: by,
                weight: state.split.candidate, evaluation: evaluation))
    }

    func finish(from old: ServiceState) -> Transition {
        var next = state
        if Routing(old) != Routing(next) { next.generation = old.generation + 1 }
        var events = events
        for i in events.indices { events[i].generation = next.generation }
        return Transition(state: next, events: events, response: response)
    }

    /// The part of a state that the data plane depends on; the generation grows when it changes.
    private struct Routing: Equatable {
        let serving: VersionIdentity
        let candidate: VersionIdentity?
        let weight: Weight
        let salt: UInt64

        init(_ state: ServiceState) {
            serving = state.serving
            candidate = state.rollout?.candidate
            weight = state.split.candidate
            salt = state.split.salt
        }
    }
}

// MARK: - Configuration and restarts

extension TransitionBuilder {
    mutating func applyDeclaration(_ evaluation: Evaluation?) {
        if let rollout = state.rollout {
            if declaration.candidate == rollout.candidate {
                // The plan is kept from the start of the rollout on.
                if rollout.phase == .waiting { state.rollout?.plan = declaration.plan }
                return
            }
            let now = declaration.candidate.map { "names \($0) as candidate" } ?? "names no candidate"
            endRollout("the service's file \(now) now", by: "file", evaluation: evaluation)
            // A retry that ends without a decision leaves no refusal behind.
            if state.refused?.identity == rollout.candidate { state.refused = nil }
        }
        guard let candidate = declaration.candidate else { return }
        if let refused = state.refused {
            if refused.identity == candidate { return }
            state.refused = nil
        }
        if candidate != state.serving { createRollout(candidate) }
    }

    mutating func applyRestart(clean: Bool) {
        // A candidate that waits has had no traffic and cannot have caused the stop.
        guard !clean, var rollout = state.rollout, rollout.phase != .waiting else { return }
        rollout.uncleanStops += 1
        rollout.isRecovering = true
        state.rollout = rollout
        if rollout.uncleanStops > RolloutStateMachine.tolerableUncleanStops {
            revertRollout(
                "the agent stopped uncleanly \(rollout.uncleanStops) times under it", by: "agent", evaluation: nil)
        } else {
            emit(
                .recovering,
                "the agent stopped uncleanly; \(rollout.candidate) gets nothing until a first healthy evaluation",
                by: "agent")
        }
    }
}

// MARK: - Start, steps and end of a rollout

extension TransitionBuilder {
    /// Creates a rollout in the phase `waiting`.
    mutating func createRollout(_ candidate: VersionIdentity) {
        state.rolloutCount += 1
        state.rollout = Rollout(
            number: state.rolloutCount, service: state.service, candidate: candidate, plan: declaration.plan,
            seed: state.seed, at: now.wall)
    }

    /// Starts a rollout that waits: it enters the warm-up, or the first step if there is no warm-up.
    mutating func startRollout(by: String) {
        guard let rollout = state.rollout else { return }
        state.rollout?.startedAt = now.wall
        if let warmup = rollout.plan.strategy.warmup {
            enter(.warmup)
            emit(
                .rolloutStarted,
                "\(rollout.candidate) against \(state.serving): warm-up of \(warmup.requests) requests", by: by)
        } else {
            enter(.step(0))
            emit(.rolloutStarted, "\(rollout.candidate) against \(state.serving)", by: by)
            reportStep(by: by)
        }
    }

    mutating func enter(_ phase: Phase) {
        state.rollout?.phase = phase
        state.rollout?.held = .zero
        state.rollout?.holdReason = nil
    }

    /// Emits the event for the step that was entered, or enters `proving` if the strategy has no such step.
    private mutating func reportStep(by: String) {
        guard let rollout = state.rollout, case .step(let index) = rollout.phase else { return }
        let steps = rollout.plan.strategy.steps
        guard index < steps.count else {
            enter(.proving)
            emit(
                .proving, "all steps done at \(state.split.candidate); waits for proof of every required check", by: by)
            return
        }
        let place = "step \(index + 1) of \(steps.count)"
        switch steps[index] {
        case .weight(let weight, let hold):
            emit(.stepStarted, "\(place): \(weight) to \(rollout.candidate) for \(hold.written)", by: by)
        case .pause(let time):
            let until = time.map { "for \($0.written)" } ?? "until someone resumes"
            emit(.stepStarted, "\(place): pause \(until)", by: by)
        }
    }

    mutating func enterNextStep(by: String) {
        guard let rollout = state.rollout else { return }
        switch rollout.phase {
        case .waiting: startRollout(by: by)
        case .warmup: enter(.step(0))
        case .step(let index): enter(.step(index + 1))
        case .proving, .ready, .baking: return
        }
        if rollout.phase != .waiting { reportStep(by: by) }
    }

    /// Starts the bake; after the bake, or if the strategy has none, makes the candidate the baseline.
    mutating func bakeOrPromote(_ message: String, by: String, evaluation: Evaluation?) {
        guard let rollout = state.rollout else { return }
        state.rollout?.pause = nil
        state.rollout?.isRecovering = false
        if let bake = rollout.plan.strategy.bake, rollout.phase != .baking {
            enter(.baking)
            emit(
                .bakeStarted,
                "\(message): bakes for \(bake.duration.written), \(bake.control) stay on \(state.serving)", by: by,
                evaluation: evaluation)
            return
        }
        state.previous = state.serving
        state.serving = rollout.candidate
        state.refused = nil
        state.rollout = nil
        emit(
            .promoted, "\(message): \(rollout.candidate) serves all of \(state.service)", by: by,
            evaluation: evaluation, rollout: rollout.id)
    }

    /// Reverts the rollout, and refuses its candidate until someone retries it or the file names another.
    mutating func revertRollout(_ reason: String, by: String, evaluation: Evaluation?) {
        guard let rollout = state.rollout else { return }
        state.rollout = nil
        // The refusal stays in the state while a retry runs, so that reverts are counted across retries.
        let before = state.refused?.identity == rollout.candidate ? state.refused?.times ?? 0 : 0
        state.refused = Refusal(identity: rollout.candidate, reason: reason, at: now.wall, times: before + 1)
        emit(
            .reverted, "\(rollout.candidate) reverted, \(state.serving) serves all: \(reason)", reason: reason, by: by,
            evaluation: evaluation, rollout: rollout.id)
    }

    /// Ends the rollout without a decision about its candidate, which is not refused.
    mutating func endRollout(_ reason: String, by: String, evaluation: Evaluation?) {
        guard let rollout = state.rollout else { return }
        state.rollout = nil
        emit(
            .ended, "\(rollout.id) ended, \(state.serving) serves all: \(reason)", reason: reason, by: by,
            evaluation: evaluation, rollout: rollout.id)
    }
}
