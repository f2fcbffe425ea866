import Analysis
import PolicyModel
import PrometheusText
import RolloutController
import RolloutEngine
import TestSupport
import Testing

/// Whole rollouts on simulated surroundings.
@Suite(.timeLimit(.minutes(15))) struct ControllerTests {
    @Test("a sound candidate is promoted and serves") func sound() throws {
        let agent = try Agent.started()
        agent.run(140)
        #expect(agent.state().serving.name == "v2")
        #expect(agent.plane.service("income")?.baseline.name == "v2")
        #expect(agent.listener.kinds.contains(.promoted))
    }

    @Test("what was seen of a candidate is known of it once it serves") func promotedProfile() throws {
        let agent = try Agent.started()
        var written: [Evidence] = []
        agent.disk.onCommit = { change in
            if change.state.serving.name == "v2" { written += [change.evidence].compactMap(\.self) }
        }
        for _ in 0..<200 where agent.state().serving.name == "v1" { agent.run(1, candidateTime: 25) }
        agent.controller.stop()
        // From the promotion itself on: the agent may die right after it.
        #expect(written.count >= 2)
        for evidence in written {
            #expect(evidence.serving.name == "v2" && evidence.profile.total.total > 500)
            #expect(try #require(evidence.profile.total.seconds(0.5)) > 0.024)
        }
    }

    @Test("the arguments of a policy are in each evaluation, and those of the start stay in force")
    func arguments() throws {
        var policy = Policy.errors(max: 0.02)
        policy.arguments = [PolicyArgument(name: "maxErrors", value: "2%", isDefault: false)]
        let agent = try Agent.started(.sample(policies: [policy]))
        agent.run(5)
        var other = policy
        other.arguments[0].value = "5%"
        _ = try agent.controller.apply(.sample(policies: [other]))
        agent.run(60, candidateErrors: 0.3)
        let entry = try #require(agent.disk.journal.first { $0.event.kind == .reverted })
        let evaluation = try #require(entry.event.evaluation)
        #expect(evaluation.arguments?.map(\.policy) == [policy.name])
        #expect(evaluation.arguments?.first?.arguments == policy.arguments)
    }

    @Test("a candidate that fails is reverted, with the numbers in the journal") func failing() throws {
        let agent = try Agent.started()
        agent.run(60, candidateErrors: 0.3)
        #expect(agent.state().refused?.identity.name == "v2")
        let entry = try #require(agent.disk.journal.first { $0.event.kind == .reverted })
        let check = try #require(entry.event.evaluation?.required(.fail).first)
        #expect(check.measurements[0].candidateSamples > 10)
        #expect(try #require(check.evidence).value >= check.evidence!.revertAt)
        #expect(try #require(check.measurements[0].candidate) > 0.25)
    }

    @Test("a candidate that is tried again says what the tries risk together") func retried() throws {
        let agent = try Agent.started()
        agent.run(60, candidateErrors: 0.5)
        #expect(agent.state().refused?.times == 1)
        agent.say(.retry)
        let notes = try #require(agent.controller.view(of: "income")).notes
        #expect(notes.contains { $0.contains("try 2 of v2") && $0.contains("10%") && $0.contains("2%") })
    }

    @Test("a candidate that hangs is reverted although its time-outs end long after they began") func hanging() throws {
        let agent = try Agent.started()
        agent.run(1)
        for _ in 0..<120 where agent.state().rollout != nil {
            agent.clock.advance(by: .seconds(1))
            let now = agent.clock.now.monotonic
            agent.plane.answer(20, .candidate, of: "income", now: now, outcome: .timeout, milliseconds: 60_000)
            agent.plane.answer(80, .baseline, of: "income", now: now)
            agent.controller.tick()
        }
        #expect(agent.state().rollout == nil)
    }

    @Test("requests of an earlier rollout are not judged") func olderSlot() throws {
        let agent = try Agent.started()
        agent.run(5)
        let older = try #require(agent.plane.service("income")).slot
        agent.say(.restart)
        agent.run(1)
        for _ in 0..<60 {
            agent.plane.answer(
                50, .candidate, of: "income", now: agent.clock.now.monotonic, outcome: .serverError, slot: older)
            agent.run(1)
        }
        #expect(agent.plane.service("income")?.slot != older)
        #expect(agent.listener.messages(of: .ended).count == 1 && agent.listener.messages(of: .reverted).isEmpty)
        #expect(agent.controller.view(of: "income")?.candidate?.errors == 0)
    }

    @Test("requests outside the judged population, and matched ones, decide nothing") func unjudged() throws {
        let agent = try Agent.started()
        for _ in 0..<60 {
            for flags in [Observation.Flags(), .matched] {
                agent.plane.answer(
                    50, .candidate, of: "income", now: agent.clock.now.monotonic, outcome: .serverError, flags: flags)
            }
            agent.run(1)
        }
        #expect(agent.state().rollout != nil)
    }

    @Test("rescued requests are the candidate's failures, and are counted") func rescued() throws {
        let agent = try Agent.started()
        agent.run(1)
        for _ in 0..<60 where agent.state().rollout != nil {
            agent.plane.answer(
                50, .candidate, of: "income", now: agent.clock.now.monotonic, outcome: .serverError,
                flags: [.judged, .rescued])
            agent.run(1)
        }
        #expect(agent.listener.messages(of: .reverted).count == 1)
        var writer = ExpositionWriter()
        agent.controller.writeMetrics(into: &writer)
        let line = String(decoding: writer.bytes, as: UTF8.self).split(separator: "\n").last {
            $0.hasPrefix("canaryd_rescued_requests_total{") && !$0.hasSuffix(" 0")
        }
        #expect(line != nil)
    }

    @Test("latencies of the warm-up are left out; its errors are not") func warmup() throws {
        var strategy = Strategy.brief
        strategy.warmup = Warmup(requests: 300, within: .seconds(300))
        let latency = Policy(
            name: "slo",
            checks: [
                Check(name: "p95", kind: .latency(LatencyCheck(quantile: 0.95, max: .milliseconds(200))))
            ])
        let configuration = Configuration.sample(
            [.sample(strategy: strategy, policies: ["standard", "slo"])], policies: [.errors(), latency])
        let slow = try Agent.started(configuration)
        slow.run(1)
        for _ in 0..<35 where slow.state().rollout?.phase == .warmup {
            slow.clock.advance(by: .seconds(1))
            slow.plane.answer(
                10, .candidate, of: "income", now: slow.clock.now.monotonic, milliseconds: 900)
            slow.plane.answer(90, .baseline, of: "income", now: slow.clock.now.monotonic)
            slow.controller.tick()
        }
        slow.run(62)
        #expect(slow.state().rollout?.phase == .step(1))
        let failing = try Agent.started(configuration)
        failing.run(35, candidateErrors: 0.5)
        #expect(failing.state().refused != nil)
    }

    @Test("a tick that comes late, or a log that overflowed, holds the rollout") func blind() throws {
        let agent = try Agent.started()
        agent.run(10)
        let held = agent.state().rollout!.held
        agent.clock.advance(by: .seconds(45))
        agent.controller.tick()
        #expect(agent.state().rollout?.holdReason == .agentBlind)
        #expect(agent.state().rollout?.held == held)
        agent.run(1)
        #expect(agent.state().rollout?.holdReason == nil)
        agent.clock.advance(by: .seconds(1))
        agent.plane.answer(100, .baseline, of: "income", now: agent.clock.now.monotonic)
        agent.plane.batch.dropped = 50
        agent.controller.tick()
        #expect(agent.state().rollout?.holdReason == .agentBlind)
    }

    @Test("what hid between two looks makes the next one blind, however far apart they are") func rareLooks() throws {
        var service = Service.sample()
        service.analysis.interval = .seconds(20)
        let agent = try Agent.started(.sample([service]))
        agent.run(45)
        let held = agent.state().rollout!.held
        #expect(held == .seconds(40) || held == .seconds(20))
        agent.plane.batch.dropped = 500
        agent.run(20)
        #expect(agent.state().rollout?.holdReason == .agentBlind)
    }

    @Test("feedback is joined with the arm that answered") func feedback() throws {
        let quality = Policy(
            name: "standard",
            checks: [
                Check(
                    name: "recall",
                    kind: .quality(
                        QualityCheck(
                            measure: .recall, groups: [GroupSelector(attribute: "sex", value: "Female")],
                            maxDrop: 0.15, minSamples: 50)), limits: ThresholdLimits(failureLimit: 0))
            ])
        let agent = try Agent.started(.sample(policies: [quality]))
        agent.run(1)
        var id: UInt64 = 1
        for _ in 0..<30 {
            agent.clock.advance(by: .seconds(1))
            let now = agent.clock.now.monotonic
            for arm in Arm.allCases {
                let ids = (0..<10).map { id + UInt64($0) }
                agent.plane.answer(10, arm, of: "income", now: now, hashes: ids)
                let rows = ids.map {
                    Feedback(
                        requestHash: $0, label: 1, prediction: arm == .baseline || $0 % 4 == 0 ? 1 : 0,
                        groups: ["sex": "Female"])
                }
                #expect(agent.controller.feedback(rows, service: "income")?.accepted == 10)
                id += 10
            }
            agent.controller.tick()
        }
        #expect(agent.state().refused?.reason.contains("sex=Female") == true)
        #expect(agent.controller.feedback([], service: "nowhere") == nil)
        // After the revert there is nothing to compare.
        let counts = agent.controller.view(of: "income")!.feedback
        #expect(counts.joined >= 100 && counts.noRollout >= 100)
        #expect(counts.joined + counts.noRollout + counts.late + counts.pending == 600)
    }

    @Test("labels are of no use without a rollout, or without a check that reads them, and are counted so")
    func unusedFeedback() throws {
        let quality = Policy(
            name: "standard",
            checks: [
                Check(
                    name: "score", kind: .quality(QualityCheck(measure: .score, range: ScoreRange(0, 100), maxDrop: 5)))
            ]
        )
        func label(_ agent: Agent) {
            agent.clock.advance(by: .seconds(1))
            agent.plane.answer(1, .baseline, of: "income", now: agent.clock.now.monotonic, hashes: [1])
            agent.controller.tick()
            for hash in [1, 2] as [UInt64] {
                let row = Feedback(requestHash: hash, score: 90)
                #expect(agent.controller.feedback([row], service: "income")?.accepted == 1)
            }
            agent.controller.tick()
        }
        let idle = try Agent.started(.sample([.sample(candidate: nil)], policies: [quality]))
        label(idle)
        #expect(idle.controller.view(of: "income")!.feedback.noRollout == 2)
        #expect(idle.controller.scoreRange(of: "income") == ScoreRange(0, 100))
        let unasked = try Agent.started()
        unasked.run(1)
        label(unasked)
        #expect(unasked.controller.view(of: "income")!.feedback.noCheck == 2)
        #expect(unasked.controller.scoreRange(of: "income") == nil)
        let asked = try Agent.started(.sample(policies: [quality]))
        asked.run(1)
        label(asked)
        #expect(asked.controller.view(of: "income")!.feedback.joined == 1)
        #expect(asked.controller.view(of: "income")!.feedback.pending == 1)
    }

    @Test("a command for an unknown service names those that there are") func unknown() throws {
        let agent = try Agent.started()
        guard case .unknownService(let known) = agent.say(.pause, "incom") else {
            Issue.record("not refused")
            return
        }
        #expect(known == ["income"])
    }

    @Test("a server that cannot be looked up any more keeps the address it had") func lookups() throws {
        let agent = try Agent.started()
        agent.run(5)
        for version in agent.controller.configuration.services[0].versions { agent.hide(version.servers[0]) }
        agent.say(.revert(to: nil, force: false))
        #expect(agent.plane.service("income")?.baseline.servers.count == 1)
    }
}

/// Files that changed under a running agent.
@Suite(.timeLimit(.minutes(15))) struct ReloadTests {
    @Test("one bad service and nothing changes") func whollyOrNot() throws {
        let agent = try Agent.started(.sample([.sample(), .sample("price", port: 8081)]))
        agent.run(5)
        let plan = agent.plane.plan
        let unknown = ServerAddress.http(host: "nowhere.example", port: 80)
        agent.hide(unknown)
        var bad = Service.sample("price", port: 8081)
        bad.versions[2].servers = [unknown]
        let refused = #expect(throws: ConfigurationRefused.self) {
            _ = try agent.controller.apply(.sample([.sample(candidate: "v3"), bad]))
        }
        #expect(refused?.reasons == ["http://nowhere.example:80 does not resolve"])
        #expect(agent.plane.plan == plan)
        #expect(agent.state().rollout?.candidate.name == "v2")
    }

    @Test("a port that is in use refuses the whole reload") func port() throws {
        let agent = try Agent.started()
        agent.plane.prepareFails = true
        #expect(throws: ConfigurationRefused.self) {
            _ = try agent.controller.apply(.sample([.sample(), .sample("price", port: 8081)]))
        }
        #expect(agent.controller.serviceNames == ["income"])
    }

    @Test("the version that serves cannot be removed") func servingRemoved() throws {
        let agent = try Agent.started()
        let refused = #expect(throws: ConfigurationRefused.self) {
            _ = try agent.controller.apply(
                .sample([.sample(candidate: "v3", baseline: "v3", versions: [.sample("v2"), .sample("v3")])]))
        }
        #expect(refused?.reasons.first?.contains("v1 serves and cannot be removed") == true)
    }

    @Test("edits of policies and strategy wait for the next rollout, and the view says so; restart applies them")
    func pinned() throws {
        let agent = try Agent.started()
        agent.run(5)
        var strategy = Strategy.brief
        strategy.steps = [.weight(Weight(clamping: 300), hold: .seconds(60))]
        let changes = try agent.controller.apply(.sample([.sample(strategy: strategy)]))
        #expect(changes == ["income: changed; policies and strategy count from the next rollout"])
        #expect(agent.published == Weight(clamping: 1000))
        #expect(agent.controller.view(of: "income")?.notes.contains { $0.contains("canaryctl restart") } == true)
        agent.say(.restart)
        agent.run(1)
        #expect(agent.published == Weight(clamping: 300))
    }

    @Test("servers may change at any time") func servers() throws {
        let agent = try Agent.started()
        agent.run(5)
        let rollout = agent.state().rollout?.id
        _ = try agent.controller.apply(
            .sample([.sample(versions: [.sample("v1"), .sample("v2", port: 7777), .sample("v3")])]))
        #expect(agent.plane.service("income")?.candidate?.servers.first?.port == 7777)
        #expect(agent.state().rollout?.id == rollout)
    }

    @Test("a service that is removed keeps its state and takes it up when it comes back") func removed() throws {
        let agent = try Agent.started(.sample([.sample(), .sample("price", port: 8081)]))
        agent.run(5)
        agent.say(.revert(to: nil, force: false), "price")
        let changes = try agent.controller.apply(.sample([.sample()]))
        #expect(changes == ["price: removed; its state is kept"])
        #expect(agent.plane.service("price") == nil)
        _ = try agent.controller.apply(.sample([.sample(), .sample("price", port: 8081)]))
        #expect(agent.state("price").refused?.identity.name == "v2")
    }

    @Test("the same files again change nothing") func same() throws {
        let agent = try Agent.started()
        agent.run(5)
        let before = agent.state()
        #expect(try agent.controller.apply(agent.controller.configuration) == [])
        #expect(agent.state() == before)
    }
}
