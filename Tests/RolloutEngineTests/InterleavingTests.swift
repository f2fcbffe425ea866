import Analysis
import Foundation
import PolicyModel
import RolloutEngine
import TestSupport
import Testing
import Vocabulary

/// Random inputs in random order, and what has to hold after each of them.
@Suite(.timeLimit(.minutes(15))) struct InterleavingTests {
    static let seeds: [UInt64] = Array(1...40)
    static let steps = 600

    /// A service under random inputs.
    private struct World {
        var random: SplitMix64
        var state: ServiceState
        var declaration: Declaration
        var now = Moment(monotonic: 0, wall: 1_800_000_000_000)
        /// True if evaluations have the results of a check that pauses and of one that notifies.
        let hasMoreChecks: Bool

        init(seed: UInt64) {
            random = SplitMix64(seed: seed)
            hasMoreChecks = seed % 2 == 0
            let strategy = Self.strategy(&random)
            declaration = Declaration(
                service: "income", baseline: VersionIdentity(name: "v1"), candidate: nil,
                versions: ["v1", "v2", "v3"].map { VersionIdentity(name: $0) },
                plan: RolloutPlan(
                    strategy: strategy,
                    policies: [.errors(onNoData: random.chance(0.5) ? .revert(after: .seconds(300)) : .hold)],
                    analysis: AnalysisRules()))
            state = ServiceState(service: "income", serving: declaration.baseline, seed: random.next())
        }

        static func strategy(_ random: inout SplitMix64) -> Strategy {
            var steps: [Step] = []
            var weight = 0
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                if random.chance(0.25) {
                    steps.append(.pause(random.chance(0.5) ? .seconds(30) : nil))
                } else {
                    weight = min(weight + Int.random(in: 1...3000, using: &random), 10_000)
                    steps.append(.weight(Weight(clamping: weight), hold: .seconds(random.pick([0, 10, 60]))))
                }
            }
            return Strategy(
                start: random.pick([.automatic, .manual]),
                warmup: random.chance(0.5) ? Warmup(requests: 20, within: .seconds(30)) : nil, steps: steps,
                promotion: random.pick([.automatic, .manual]),
                bake: random.chance(0.5) ? Bake(duration: .seconds(30)) : nil,
                deadline: random.chance(0.3)
                    ? Deadline(after: .seconds(200), then: random.pick([.pause, .revert])) : nil)
        }

        mutating func evaluation() -> Evaluation {
            var e = Evaluation.with(
                random.chance(0.6) ? .pass : random.pick(Verdict.allCases), proven: random.chance(0.7),
                candidateRequests: random.pick([0, 10, 20, 500]))
            if random.chance(0.05) { e.blindness = "it did not look" }
            if random.chance(0.05) { e.isDataFlowing = false }
            if random.chance(0.1) { e.baseline = .unreachable }
            if random.chance(0.05) { e.candidate = .unreachable }
            if random.chance(0.05) { e.results[0].isOverInconclusiveLimit = true }
            if hasMoreChecks {
                for action in [CheckAction.pause, .notify] {
                    let verdict = random.chance(0.9) ? Verdict.pass : .fail
                    var result = CheckResult(
                        policy: "standard", check: "\(action)", action: action, verdict: verdict, measured: verdict,
                        failureLimit: 2, proven: verdict == .pass)
                    result.failures = random.pick([0, 3, 6, 9])
                    e.results.append(result)
                }
            }
            return e
        }

        mutating func input() -> Input {
            if random.chance(0.7) {
                return .evaluated(evaluation(), elapsed: .seconds(random.pick([0, 1, 10, 100])))
            }
            if random.chance(0.1) { return .recovered(clean: random.chance(0.3)) }
            if random.chance(0.2) {
                let names = ["v1", "v2", "v3", nil]
                declaration.candidate = random.pick(names).map {
                    VersionIdentity(name: $0, revision: random.chance(0.2) ? "b" : nil)
                }
                if random.chance(0.3) { declaration.plan.strategy = Self.strategy(&random) }
                return .declared()
            }
            let verbs: [Command.Verb] = [
                .start, .advance, .promote(force: false), .promote(force: true), .revert(to: nil, force: false),
                .revert(to: "v1", force: true), .revert(to: "v3", force: false), .pause, .resume, .resume, .retry,
                .restart, .freeze, .unfreeze, .unfreeze,
            ]
            let stale = random.chance(0.05)
            var seen = evaluation()
            if random.chance(0.3) { seen.baseline = .unreachable }
            return .command(
                Command(
                    random.pick(verbs), by: "ada", generation: stale ? state.generation &- 1 : nil,
                    evaluation: random.chance(0.8) ? seen : nil))
        }

        /// Plays one step and hands what it was.
        mutating func step() -> (old: ServiceState, input: Input, transition: Transition) {
            let old = state
            let input = input()
            let transition = RolloutStateMachine.handle(input, state: old, declaration: declaration, now: now)
            state = transition.state
            now.monotonic += 1_000_000_000
            now.wall += 1000
            return (old, input, transition)
        }
    }

    private func play(_ seed: UInt64, _ check: (World, ServiceState, Input, Transition) throws -> Void) rethrows {
        var world = World(seed: seed)
        for _ in 0..<Self.steps {
            let (old, input, transition) = world.step()
            try check(world, old, input, transition)
        }
    }

    @Test("the same input twice gives the same output, and the state survives being written and read", arguments: seeds)
    func deterministic(seed: UInt64) throws {
        let encoder = JSONEncoder()
        let decoder = JSONDecoder()
        var count = 0
        try play(seed) { world, old, input, transition in
            count += 1
            guard count % 8 == 0 || !transition.events.isEmpty else { return }
            let written = try encoder.encode(old)
            let read = try decoder.decode(ServiceState.self, from: written)
            #expect(read == old)
            let again = RolloutStateMachine.handle(
                input, state: read, declaration: world.declaration,
                now: Moment(monotonic: world.now.monotonic - 1_000_000_000, wall: world.now.wall - 1000))
            #expect(again == transition)
        }
    }

    @Test("the generation grows by one exactly when the data plane could tell a difference", arguments: seeds)
    func generation(seed: UInt64) {
        play(seed) { _, old, _, transition in
            let new = transition.state
            let isSame =
                old.serving == new.serving && old.rollout?.candidate == new.rollout?.candidate
                && old.split.candidate == new.split.candidate && old.split.salt == new.split.salt
            #expect(new.generation == old.generation + (isSame ? 0 : 1))
            for event in transition.events { #expect(event.generation == new.generation) }
        }
    }

    @Test("a weight rises only by a command or by an evaluation that allows it", arguments: seeds)
    func rises(seed: UInt64) {
        play(seed) { _, old, input, transition in
            let rises = transition.state.split.candidate > old.split.candidate
            let promotes = old.rollout != nil && transition.state.serving == old.rollout?.candidate
            guard rises || promotes else { return }
            switch input {
            case .declared, .recovered: Issue.record("\(input) raised the weight")
            case .command(let command):
                switch command.verb {
                case .start, .advance, .promote, .resume: break
                case .revert, .pause, .retry, .restart, .freeze, .unfreeze: Issue.record("\(command) raised it")
                }
                if !command.isForced, let e = command.evaluation, command.verb != .start, command.verb != .resume {
                    #expect(e.failing(.revert) == nil)
                    #expect(!e.candidate.isDown)
                }
            case .evaluated(let e, _):
                #expect(e.blindness == nil)
                #expect(!e.baseline.isDown)
                guard old.rollout?.phase != .waiting else { return }
                #expect(e.isDataFlowing)
                #expect(!e.candidate.isDown)
                #expect(e.verdict != .error)
                let isPauseStep = { () -> Bool in
                    guard case .step(let i) = old.rollout?.phase else { return false }
                    if case .pause = old.rollout!.plan.strategy.steps[i] { return true }
                    return false
                }()
                let accepted = (old.rollout?.failures ?? []).filter { $0.acceptedBy != nil }.map(\.check)
                #expect(e.failing(.revert) == nil)
                #expect(old.rollout?.isRecovering == true || e.verdict(accepting: accepted) != .fail)
                if old.rollout?.isRecovering == false, old.rollout?.phase != .warmup, !isPauseStep {
                    #expect(e.verdict(accepting: accepted) == .pass)
                }
                if promotes || transition.state.rollout?.phase == .baking, old.rollout?.phase != .baking {
                    #expect(e.unproven.isEmpty || old.rollout?.phase == .baking || old.rollout?.isRecovering == true)
                }
            }
        }
    }

    @Test("while frozen no weight rises except by promote --force", arguments: seeds)
    func frozen(seed: UInt64) {
        play(seed) { _, old, input, transition in
            guard old.freeze != nil, transition.state.freeze != nil else { return }
            let rises = transition.state.split.candidate > old.split.candidate
            let promotes = old.rollout != nil && transition.state.serving == old.rollout?.candidate
            guard rises || promotes else { return }
            guard case .command(let command) = input, command.verb == .promote(force: true) else {
                Issue.record("\(input) raised a frozen service")
                return
            }
        }
    }

    @Test("a manual revert takes precedence over everything, a failing check over freeze and pause", arguments: seeds)
    func precedence(seed: UInt64) {
        play(seed) { world, old, _, _ in
            guard let rollout = old.rollout else { return }
            let byHand = RolloutStateMachine.handle(
                .command(Command(.revert(to: nil, force: true), by: "ada", evaluation: .with(.fail))), state: old,
                declaration: world.declaration, now: world.now)
            #expect(byHand.state.rollout == nil)
            #expect(byHand.state.split.candidate == .zero)
            #expect(byHand.state.refused?.identity == rollout.candidate)
            guard rollout.phase != .waiting else { return }
            let byPolicy = RolloutStateMachine.handle(
                .evaluated(.with(.fail), elapsed: .seconds(1)), state: old, declaration: world.declaration,
                now: world.now)
            #expect(byPolicy.state.rollout == nil)
            var frozen = old
            frozen.freeze = Freeze(reason: "", by: "ada", at: 0)
            let promoted = RolloutStateMachine.handle(
                .command(Command(.promote(force: false), by: "ada", evaluation: .with(.pass))), state: frozen,
                declaration: world.declaration, now: world.now)
            #expect(promoted.state == frozen)
        }
    }

    @Test(
        "a rollout that a check has paused stays paused, at its weight, until a person says otherwise", arguments: seeds
    )
    func pausedByCheck(seed: UInt64) {
        play(seed) { _, old, input, transition in
            guard let rollout = old.rollout, let failure = rollout.failureToDecide else { return }
            #expect(failure.action == .pause && rollout.phase != .waiting)
            guard let next = transition.state.rollout, next.id == rollout.id else { return }
            if case .command(let command) = input {
                switch command.verb {
                case .resume, .promote, .advance: return
                case .start, .revert, .pause, .retry, .restart, .freeze, .unfreeze: break
                }
            }
            #expect(next.committedWeight == rollout.committedWeight && next.phase == rollout.phase)
            if rollout.pause?.cause == .check {
                #expect(next.pause?.at == rollout.pause?.at && next.held == rollout.held)
            }
        }
    }

    @Test("a check that does not revert raises one alarm for each failure that is not known", arguments: seeds)
    func reportedOnce(seed: UInt64) {
        play(seed) { _, old, input, transition in
            guard case .evaluated(let e, _) = input, let rollout = transition.state.rollout,
                rollout.id == old.rollout?.id
            else { return }
            let alarms = transition.events.filter { $0.kind == .alarm && $0.message.hasPrefix("check fails") }
            let known = (old.rollout?.failures ?? []).filter { $0.acceptedBy == nil }.map(\.check)
            for result in e.results where known.contains(result.path) {
                #expect(!alarms.contains { $0.message.contains(result.path) })
            }
            #expect(Set(rollout.failures.map(\.check)).count == rollout.failures.count)
        }
    }

    @Test("a recovering rollout gives its candidate no traffic; no weight exceeds the committed one", arguments: seeds)
    func recovering(seed: UInt64) {
        play(seed) { _, old, input, transition in
            guard let rollout = transition.state.rollout else { return }
            if rollout.isRecovering { #expect(transition.state.split.candidate == .zero) }
            #expect(rollout.effectiveWeight <= rollout.committedWeight)
            if case .evaluated = input, old.rollout?.isRecovering == true, !rollout.isRecovering {
                #expect(rollout.committedWeight == old.rollout?.committedWeight)
            }
        }
    }

    @Test("a refused identity never comes back by itself", arguments: seeds)
    func refused(seed: UInt64) {
        play(seed) { world, old, input, transition in
            guard old.rollout == nil, let refused = old.refused, transition.state.rollout != nil else { return }
            guard transition.state.rollout?.candidate == refused.identity else { return }
            guard case .command(let command) = input, command.verb == .retry else {
                Issue.record("\(input) brought back what was refused")
                return
            }
        }
    }

    @Test("a refused command changes no state and emits no event", arguments: seeds)
    func refusedCommands(seed: UInt64) {
        play(seed) { _, old, input, transition in
            guard case .command = input else {
                #expect(transition.response == nil)
                return
            }
            switch transition.response {
            case .refused:
                #expect(transition.state == old)
                #expect(transition.events.isEmpty)
            case .done: #expect(transition.state != old)
            case nil: Issue.record("a command without an answer")
            }
        }
    }

    @Test("random play reaches every phase, event and refusal")
    func coverage() {
        var phases: Set<String> = []
        var kinds: Set<EventKind> = []
        var codes: Set<RefusalCode> = []
        for seed in Self.seeds {
            play(seed) { _, _, _, transition in
                if let phase = transition.state.rollout?.phase { phases.insert(phase.name) }
                kinds.formUnion(transition.events.map(\.kind))
                if case .refused(let refused) = transition.response { codes.insert(refused.code) }
            }
        }
        #expect(phases == ["waiting", "warmup", "step", "proving", "ready", "baking"])
        // These the shell tells, not the machine.
        let missing = Set(EventKind.allCases).subtracting(kinds)
        #expect(missing == [.refused, .checkChanged, .configurationApplied])
        #expect(
            codes == [
                .staleGeneration, .noRollout, .wrongPhase, .frozen, .checkFailing, .baselineDown, .unknownVersion,
                .nothingToDo,
            ])
    }
}

extension Command {
    fileprivate var isForced: Bool { verb == .promote(force: true) }
}
