import Analysis
import PolicyModel
import RolloutEngine
import TestSupport
import Testing

/// The judging pipeline by itself. That the agent and policy tests run the same one is the subject of `PipelineTests`.
@Suite(.timeLimit(.minutes(15))) struct RolloutObserverTests {
    private struct World {
        var declaration: Declaration
        var observer: RolloutObserver
        var now = Moment(monotonic: 10_000_000_000, wall: 1_800_000_000_000)

        init(strategy: Strategy = .brief) {
            let plan = RolloutPlan(strategy: strategy, policies: [.errors()], analysis: AnalysisRules())
            declaration = Declaration(
                service: "income", baseline: VersionIdentity(name: "v1"), candidate: nil,
                versions: ["v1", "v2"].map { VersionIdentity(name: $0) }, plan: plan)
            let state = ServiceState(service: "income", serving: declaration.baseline, seed: 5)
            observer = RolloutObserver(RolloutObserver.Settings(plan: plan), state: state, now: now.monotonic)
        }

        mutating func pass(_ time: Duration) {
            now = Moment(
                monotonic: now.monotonic + time.nanoseconds, wall: now.wall + time.nanoseconds / 1_000_000)
        }

        mutating func apply(_ input: Input) -> [RolloutObserver.RecordingStart] {
            let transition = RolloutStateMachine.handle(
                input, state: observer.state, declaration: declaration, now: now)
            return observer.follow(transition.state, now: now.monotonic)
        }

        mutating func evaluate() -> (evaluation: Evaluation, elapsed: Duration) {
            let up = ServerCounts(all: 1, reachable: 1)
            return observer.evaluate(baseline: up, candidate: up, now: now.monotonic)
        }

        mutating func startRollout() -> [RolloutObserver.RecordingStart] {
            declaration.candidate = VersionIdentity(name: "v2")
            return apply(.declared()) + apply(.evaluated(Evaluation(), elapsed: .zero))
        }
    }

    @Test("what went unseen before a rollout is no blindness of it; what goes unseen during it is, once")
    func blindness() {
        var world = World()
        world.observer.recordBlindness("the log was full")
        _ = world.startRollout()
        world.pass(.seconds(1))
        #expect(world.evaluate().evaluation.blindness == nil)
        world.observer.recordBlindness("the log was full")
        world.pass(.seconds(1))
        #expect(world.evaluate().evaluation.blindness == "the log was full")
        world.pass(.seconds(1))
        #expect(world.evaluate().evaluation.blindness == nil)
    }

    @Test("a rollout's first step begins its recording with a judge that has taken nothing")
    func recording() throws {
        var world = World()
        let starts = world.startRollout()
        let rollout = try #require(world.observer.state.rollout)
        #expect(starts.last?.rollout == rollout.id)
        #expect(starts.last?.judge.items == 0)
    }

    @Test("without a request for a minute no data flow, and one request ends that")
    func dataFlow() {
        var world = World()
        _ = world.startRollout()
        world.pass(RolloutObserver.dataGap)
        #expect(world.evaluate().evaluation.isDataFlowing)
        world.pass(.milliseconds(1))
        #expect(!world.evaluate().evaluation.isDataFlowing)
        world.observer.record(
            Observation(
                slot: 1, arm: .baseline, outcome: .success, flags: .judged, place: 0, startedAt: world.now.monotonic,
                requestHash: 1, firstByte: 1_000, total: 1_000))
        #expect(world.evaluate().evaluation.isDataFlowing)
    }

    @Test("time that the agent did not watch does not count for the rollout beyond what it may miss")
    func unwatched() {
        var world = World()
        _ = world.startRollout()
        world.pass(.seconds(3600))
        let interval = world.observer.plan.analysis.interval
        #expect(world.evaluate().elapsed == interval + RolloutObserver.blindAfter)
        world.pass(.seconds(1))
        #expect(world.evaluate().elapsed == .seconds(1))
    }

    @Test("labels wait for their maturity, those of earlier requests first, and what comes later is not judged")
    func labelMaturity() throws {
        var world = World()
        let check = QualityCheck(measure: .accuracy, maxDrop: 0.05, maturity: .seconds(600))
        world.observer.settings.plan.policies = [
            Policy(name: "p", checks: [Check(name: "q", kind: .quality(check))])
        ]
        world.declaration.plan = world.observer.settings.plan
        _ = world.startRollout()
        let began = world.now.monotonic
        func label(_ prediction: Int, at seconds: Int64) -> JoinedFeedback {
            JoinedFeedback(
                row: Feedback(requestHash: 1, label: 1, prediction: prediction), arm: .candidate,
                startedAt: began + seconds * 1_000_000_000)
        }
        func predictions(_ taken: RolloutObserver.TakenItems) -> [Int?] {
            taken.items.flatMap { item -> [Int?] in
                if case .rows(let rows) = item { rows.filter { !$0.isLate }.map(\.prediction) } else { [] }
            }
        }
        world.pass(.seconds(300))
        var taken = world.observer.add([label(1, at: 200), label(0, at: 20)], now: world.now.monotonic)
        #expect(predictions(taken).isEmpty && taken.lateLabels == 0)
        world.pass(.seconds(310))
        taken = world.observer.add([label(1, at: 5), label(1, at: 30)], now: world.now.monotonic)
        #expect(predictions(taken).isEmpty && taken.lateLabels == 1)
        #expect(taken.items.map { if case .rows(let rows) = $0 { rows.map(\.isLate) } else { [] } } == [[true]])
        #expect(world.observer.quality.late[1].truePositives == 1 && world.observer.quality.whole[1].truePositives == 0)
        world.pass(.seconds(250))
        #expect(predictions(world.observer.mature(now: world.now.monotonic)) == [0, 1, 1])
        #expect(predictions(world.observer.mature(now: world.now.monotonic)).isEmpty)
        // Requests that are forgotten before their labels may come hold the rollout.
        world.observer.noteMemory(.seconds(600))
        #expect(world.evaluate().evaluation.blindness == nil)
        world.observer.noteMemory(.seconds(599))
        #expect(world.evaluate().evaluation.blindness?.contains("remembered for 599 s") == true)
    }
}
