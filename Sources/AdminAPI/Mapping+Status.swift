import AdminTypes
import Analysis
import PolicyModel
import RolloutController
import RolloutEngine
import Vocabulary

extension ServiceStatus {
    init(_ view: ServiceView) {
        let state = view.state
        self.init(
            service: view.service.name, generation: state.generation,
            phase: state.rollout.map { $0.phase.kind } ?? .idle, serving: state.serving.description,
            previous: state.previous?.description, candidateWeight: Share(state.split.candidate),
            rollout: state.rollout.map(RolloutStatus.init), baseline: ArmStatus(view.baseline),
            candidate: view.candidate.map(ArmStatus.init),
            evaluation: view.evaluation.map { EvaluationStatus($0, traced: false) },
            waitsFor: view.waitsFor,
            needsPerson: state.needsPerson.map { PersonNeededStatus(action: $0.action, reason: $0.reason) },
            next: view.next, holdLeftSeconds: view.holdLeft?.seconds,
            feedback: FeedbackCountsStatus(view.feedback),
            refused: state.refused.map {
                RefusalStatus(
                    version: $0.identity.description, reason: $0.reason, at: Timestamp(milliseconds: $0.at),
                    times: $0.times)
            },
            freeze: state.freeze.map {
                FreezeStatus(reason: $0.reason, by: $0.by, at: Timestamp(milliseconds: $0.at))
            },
            notes: view.notes, durable: view.isDurable, listen: view.service.listen.map(\.description),
            route: RouteStatus(host: view.service.route.host, path: view.service.route.path),
            policies: view.service.policies)
    }
}

extension Share {
    init(_ weight: Weight) { self.init(basisPoints: weight.basisPoints) }
}

extension RolloutStatus {
    init(_ rollout: Rollout) {
        var step: Int?
        if case .step(let index) = rollout.phase { step = index + 1 }
        self.init(
            id: rollout.id, candidate: rollout.candidate.description,
            startedAt: Timestamp(milliseconds: rollout.startedAt), step: step,
            steps: rollout.plan.strategy.steps.map(StepStatus.init), heldSeconds: rollout.held.seconds,
            pause: rollout.pause.map {
                PauseStatus(
                    cause: $0.cause, reason: $0.reason, by: $0.by, at: Timestamp(milliseconds: $0.at))
            },
            recovering: rollout.isRecovering, holdReason: rollout.holdReason)
    }
}

extension StepStatus {
    init(_ step: Step) {
        switch step {
        case .weight(let weight, let hold): self.init(weight: Share(weight), holdSeconds: hold.seconds)
        case .pause(let time): self.init(weight: nil, holdSeconds: time?.seconds)
        }
    }
}

extension ArmStatus {
    init(_ arm: ArmView) {
        self.init(
            version: arm.identity.description, servers: arm.servers, reachable: arm.reachable,
            down: arm.states.filter { !$0.state.isHealthy }.map(DownServer.init),
            failures: arm.failures.map {
                FailureStatus(
                    stage: $0.stage, reason: $0.reason, message: $0.message, count: $0.count,
                    lastAt: Timestamp(milliseconds: $0.lastAt))
            },
            requestsPerSecond: arm.requestRate, errorRatio: arm.errorRate, clientErrorRatio: arm.clientErrorRate,
            frequentStatus: arm.frequentStatus.map { FrequentStatus(status: Int($0.status), ratio: $0.share) },
            p50Seconds: arm.p50.map(Figure.init(_:)),
            p95Seconds: arm.p95.map(Figure.init(_:)), p99Seconds: arm.p99.map(Figure.init(_:)), requests: arm.requests,
            errors: arm.errors, p95TrendSeconds: arm.latencyTrend.map { $0.map(Figure.init(_:)) })
    }
}

extension DownServer {
    init(_ server: ServerView) {
        self.init(
            server: server.address.description, state: server.state.condition, detail: server.state.detail,
            until: server.until.map { Timestamp(milliseconds: $0) })
    }
}

extension ServerState {
    /// The reason for the state; empty if the state says everything.
    public var detail: String {
        switch self {
        case .healthy, .ejected, .refusing, .hanging: ""
        case .unhealthy(let reason): reason
        case .unresolved(let reason): reason
        }
    }
}

extension FeedbackCountsStatus {
    init(_ counts: FeedbackCounts) {
        self.init(
            joined: counts.joined, duplicate: counts.duplicate, ambiguous: counts.ambiguous,
            unmatched: counts.unmatched, late: counts.late, noRollout: counts.noRollout,
            noCheck: counts.noCheck, pending: counts.pending)
    }
}
