import Analysis
import PolicyModel

/// Decides what becomes of a service. Pure and total: the same state, input and instant always give the same
/// transition, and every input has an answer in every state.
///
/// Precedence, from strong to weak: manual revert, automatic revert, freeze, manual promote, automatic promote.
public enum RolloutStateMachine {
    /// An agent that dies this often under one rollout reverts it.
    public static let tolerableUncleanStops = 2

    /// - Parameters:
    ///   - declaration: what the files say now.
    public static func handle(
        _ input: Input, state: ServiceState, declaration: Declaration, now: Moment
    ) -> Transition {
        var draft = Draft(state: state, declaration: declaration, now: now)
        switch input {
        case .declared: draft.declared()
        case .evaluated(let evaluation, let elapsed): draft.evaluated(evaluation, elapsed: max(elapsed, .zero))
        case .command(let command): draft.obey(command)
        case .recovered(let clean): draft.recovered(clean: clean)
        }
        return draft.finish(from: state)
    }
}

/// A transition in the making.
struct Draft {
    var state: ServiceState
    let declaration: Declaration
    let now: Moment
    private(set) var events: [Event] = []
    var reply: Reply?

    init(state: ServiceState, declaration: Declaration, now: Moment) {
        self.state = state
        self.declaration = declaration
        self.now = now
    }

    mutating func tell(
        _ kind: Event.Kind, _ message: String, by: String = "policy", evaluation: Evaluation? = nil,
        rollout: String? = nil
    ) {
        events.append(
            Event(kind, rollout: rollout ?? state.rollout?.id, message: message, by: by, evaluation: evaluation))
        // Each event carries the split in force after it, which `finish` numbers.
        events[events.count - 1].weight = state.split.candidate
    }

    func finish(from old: ServiceState) -> Transition {
        var next = state
        if Routing(old) != Routing(next) { next.generation = old.generation + 1 }
        var told = events
        for i in told.indices { told[i].generation = next.generation }
        return Transition(state: next, events: told, reply: reply)
    }

    /// What the data plane can tell apart.
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

// MARK: - Files and restarts

extension Draft {
    mutating func declared() {
        if let rollout = state.rollout {
            if declaration.candidate == rollout.candidate {
                // It has not started: nothing is pinned yet.
                if rollout.phase == .waiting { state.rollout?.plan = declaration.plan }
                return
            }
            let now = declaration.candidate.map { "names \($0) as candidate" } ?? "names no candidate"
            end("the service's file \(now) now", by: "file", refuse: false, evaluation: nil)
        }
        guard let candidate = declaration.candidate else { return }
        if let refused = state.refused {
            if refused.identity == candidate { return }
            state.refused = nil
        }
        if candidate != state.serving { create(candidate) }
    }

    mutating func recovered(clean: Bool) {
        // A candidate that waits has had no traffic: no stop is its doing.
        guard !clean, var rollout = state.rollout, rollout.phase != .waiting else { return }
        rollout.uncleanStops += 1
        rollout.isRecovering = true
        state.rollout = rollout
        if rollout.uncleanStops > RolloutStateMachine.tolerableUncleanStops {
            end(
                "the agent stopped uncleanly \(rollout.uncleanStops) times under it", by: "agent", refuse: true,
                evaluation: nil)
        } else {
            tell(
                .recovering,
                "the agent stopped uncleanly; \(rollout.candidate) gets nothing until a first healthy evaluation",
                by: "agent")
        }
    }
}

// MARK: - Beginning and ending

extension Draft {
    mutating func create(_ candidate: VersionIdentity) {
        state.rolloutCount += 1
        state.rollout = Rollout(
            number: state.rolloutCount, service: state.service, candidate: candidate, plan: declaration.plan,
            seed: state.seed, at: now.wall)
    }

    /// Out of `waiting`.
    mutating func begin(by: String) {
        guard let rollout = state.rollout else { return }
        state.rollout?.startedAt = now.wall
        if let warmup = rollout.plan.strategy.warmup {
            enter(.warmup)
            tell(
                .rolloutStarted,
                "\(rollout.candidate) against \(state.serving): warm-up of \(warmup.requests) requests", by: by)
        } else {
            enter(.step(0))
            tell(.rolloutStarted, "\(rollout.candidate) against \(state.serving)", by: by)
            settle(by: by)
        }
    }

    mutating func enter(_ phase: Phase) {
        state.rollout?.phase = phase
        state.rollout?.held = .zero
        state.rollout?.standstill = nil
    }

    /// Says which step was entered, or goes on to proving when the steps are over.
    private mutating func settle(by: String) {
        guard let rollout = state.rollout, case .step(let index) = rollout.phase else { return }
        let steps = rollout.plan.strategy.steps
        guard index < steps.count else {
            enter(.proving)
            tell(
                .proving, "all steps done at \(state.split.candidate); waits for proof of every enforced check", by: by)
            return
        }
        let place = "step \(index + 1) of \(steps.count)"
        switch steps[index] {
        case .weight(let weight, let hold):
            tell(.stepStarted, "\(place): \(weight) to \(rollout.candidate) for \(hold.written)", by: by)
        case .pause(let time):
            let until = time.map { "for \($0.written)" } ?? "until someone resumes"
            tell(.stepStarted, "\(place): pause \(until)", by: by)
        }
    }

    mutating func nextStep(by: String) {
        guard let rollout = state.rollout else { return }
        switch rollout.phase {
        case .waiting: begin(by: by)
        case .warmup: enter(.step(0))
        case .step(let index): enter(.step(index + 1))
        case .proving, .ready, .baking: return
        }
        if rollout.phase != .waiting { settle(by: by) }
    }

    /// To the bake, or to the end where there is none.
    mutating func win(_ message: String, by: String, evaluation: Evaluation?) {
        guard let rollout = state.rollout else { return }
        state.rollout?.pause = nil
        state.rollout?.isRecovering = false
        if let bake = rollout.plan.strategy.bake, rollout.phase != .baking {
            enter(.baking)
            tell(
                .bakeStarted,
                "\(message): bakes for \(bake.duration.written), \(bake.control) stay on \(state.serving)", by: by,
                evaluation: evaluation)
            return
        }
        state.previous = state.serving
        state.serving = rollout.candidate
        state.refused = nil
        state.rollout = nil
        tell(
            .promoted, "\(message): \(rollout.candidate) serves all of \(state.service)", by: by,
            evaluation: evaluation, rollout: rollout.id)
    }

    /// Back to the baseline.
    mutating func end(_ reason: String, by: String, refuse: Bool, evaluation: Evaluation?) {
        guard let rollout = state.rollout else { return }
        state.rollout = nil
        if refuse {
            // A retry keeps the refusal while it runs, so that the count goes on.
            let before = state.refused?.identity == rollout.candidate ? state.refused?.times ?? 0 : 0
            state.refused = Refusal(identity: rollout.candidate, reason: reason, at: now.wall, times: before + 1)
        }
        tell(
            .reverted, "\(rollout.candidate) reverted, \(state.serving) serves all: \(reason)", by: by,
            evaluation: evaluation, rollout: rollout.id)
    }
}
