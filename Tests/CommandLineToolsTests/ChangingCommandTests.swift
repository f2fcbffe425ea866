import AdminTestSupport
import AdminTypes
import PolicyModel
import RolloutController
import Testing

@testable import CommandLineTools
@testable import RolloutEngine

@Suite("Commands that change something, and exit statuses", .timeLimit(.minutes(15)))
struct ChangingCommandTests {
    let api: RunningAPI

    init() throws { api = try RunningAPI(Example.backend()) }

    @Test("A changing command prints what changed, and the service's new status")
    func pause() {
        let result = CommandRun("pause", "--reason", "lunch", socket: api.adminSocket)
        #expect(result.status == 0)
        #expect(
            result.output == """
                income-1 paused at 1%; reverts still happen
                income: step 1 of 3, paused, 1% to int8-v2@2026-11-20, holds 2m more

                """)
        let command = api.sync { $0.lastCommand }
        #expect(command?.reason == "lunch")
        #expect(command?.by == ChangeOptions.user)
    }

    @Test("Every changing command sends its verb", arguments: CommandVerb.allCases)
    func verbs(_ verb: CommandVerb) {
        _ = CommandRun(verb.rawValue, "income", socket: api.adminSocket)
        #expect(api.sync { $0.lastCommand?.verb.name } == verb.rawValue)
    }

    @Test("Force, target and generation reach the agent")
    func options() {
        _ = CommandRun("revert", "--to", "fp32-v1", "--force", "--generation", "9", socket: api.adminSocket)
        let command = api.sync { $0.lastCommand }
        #expect(command?.verb == .revert(to: "fp32-v1", force: true))
        #expect(command?.generation == 9)
        _ = CommandRun("promote", "--force", socket: api.adminSocket)
        #expect(api.sync { $0.lastCommand?.verb } == .promote(force: true))
    }

    @Test("The exit status is 1 if the agent refuses the command, and its message is printed")
    func refused() {
        let result = CommandRun("resume", socket: api.adminSocket)
        #expect(result.status == 1)
        #expect(result.output == "")
        #expect(result.errors == "canaryctl: income-1 is not paused\n")
    }

    @Test(
        "The exit status is 2 for wrong usage: unknown options, invalid values, no service although there are several")
    func usage() throws {
        #expect(CommandRun("status", "--nope").status == 2)
        #expect(CommandRun("nope").status == 2)
        let soon = CommandRun("pause", "income", "--wait=soon")
        #expect(soon.status == 2)
        #expect(soon.errors.contains("--wait takes a time such as 90s, 30m or 1h, not soon"))
        #expect(CommandRun("history", "--limit", "0").status == 2)
        let several = try RunningAPI(Example.backend("income", "fraud"))
        let result = CommandRun("pause", socket: several.adminSocket)
        #expect(result.status == 2)
        #expect(result.errors == "canaryctl: the agent has several services; say which: fraud, income\n")
    }

    @Test("The exit status is 3 if the agent cannot be reached")
    func unreachable() {
        let result = CommandRun("status", socket: "/nonexistent/admin.sock")
        #expect(result.status == 3)
        #expect(result.errors.hasPrefix("canaryctl: no agent at /nonexistent/admin.sock"))
    }

    @Test("The exit status is 4 if the change is in force and not on disk, and what changed is printed")
    func notDurable() {
        api.sync { $0.diskFault = "no space left" }
        let result = CommandRun("revert", socket: api.adminSocket)
        #expect(result.status == 4)
        #expect(result.output.hasPrefix("int8-v2@2026-11-20 reverted: fp32-v1 serves all\n"))
        #expect(result.errors.hasPrefix("canaryctl: applied, not yet durable"))
    }

    @Test("Help and version go to standard output, with exit status 0")
    func help() {
        let help = CommandRun("--help")
        #expect(help.status == 0)
        #expect(help.output.contains("CONTROL SUBCOMMANDS"))
        #expect(CommandRun("--version").output == CanarydVersion.text + "\n")
    }

    @Test("An unknown service is refused by name")
    func unknownService() {
        let result = CommandRun("status", "incme", socket: api.adminSocket)
        #expect(result.status == 1)
        #expect(result.errors == "canaryctl: there is no service incme; there is income\n")
    }

    @Test("Waiting for a rollout gives up when a person has to act")
    func waitPaused() {
        let backend = api.backend
        api.loop.post {
            backend.afterCommand = {
                $0.afterCommand = nil
                _ = $0.command(Command(.pause, by: "eve", reason: "lunch"), service: "income")
            }
        }
        let result = CommandRun("advance", "--wait", socket: api.adminSocket)
        #expect(result.status == 5)
        #expect(
            result.errors
                == "canaryctl: income-1 waits for a person: canaryctl resume income (paused by eve: lunch)\n")
    }

    /// The conditions under which only a person can let a rollout continue.
    enum Blocked: CaseIterable {
        case pauseStep, ready, manualStart, frozen

        /// The hint that canaryctl prints.
        var hint: String {
            switch self {
            case .pauseStep: "canaryctl resume income (step 2 is a pause without a time)"
            case .ready: "canaryctl promote income (proven, with promotion: manual)"
            case .manualStart: "canaryctl start income (start: manual)"
            case .frozen: "canaryctl unfreeze income (frozen by bob: holidays)"
            }
        }

        func apply(to state: inout ServiceState) {
            switch self {
            case .pauseStep:
                state.rollout?.plan.strategy.steps.insert(.pause(nil), at: 1)
                state.rollout?.phase = .step(1)
            case .ready: state.rollout?.phase = .ready
            case .manualStart:
                state.rollout?.plan.strategy.start = .manual
                state.rollout?.phase = .waiting
            case .frozen: state.freeze = Freeze(reason: "holidays", by: "bob", at: 0)
            }
        }
    }

    @Test(
        "Waiting for a rollout returns with 5 if only a person can let it continue, for every command that waits",
        arguments: Blocked.allCases, ["start", "advance", "promote", "resume", "retry", "restart"])
    func waitsForPerson(_ blocked: Blocked, _ verb: String) throws {
        api.sync { backend in
            // Whatever the command does, the rollout is in the condition under test when the wait begins.
            let running = backend.services["income"]!.state
            var before = running
            switch verb {
            case "start": before.rollout?.phase = .waiting
            case "resume": before.rollout?.pause = Pause(cause: .manual, reason: "", by: "ann", at: 0)
            case "retry":
                before.rollout = nil
                before.refused = Refusal(identity: running.rollout!.candidate, reason: "slow", at: 0, times: 1)
            default: break
            }
            backend.services["income"]?.state = before
            backend.afterCommand = {
                var after = running
                // `restart` and `retry` start a rollout with a new id.
                if let id = $0.services["income"]?.state.rollout?.id { after.rollout?.id = id }
                blocked.apply(to: &after)
                $0.services["income"]?.state = after
            }
        }
        let result = CommandRun(verb, "--wait=20s", socket: api.adminSocket)
        #expect(result.status == 5, "\(result.errors)")
        #expect(result.errors.contains(" waits for a person: \(blocked.hint)\n"), "\(result.errors)")
    }

    @Test("With -o json, the status says what a person has to do")
    func waitsForPersonInJSON() throws {
        api.sync { $0.services["income"]?.state.freeze = Freeze(reason: "holidays", by: "bob", at: 0) }
        let result = CommandRun("promote", "--force", "--wait", "-o", "json", socket: api.adminSocket)
        #expect(result.status == 5)
        let status = try JSONCoding.decode(ServiceStatus.self, from: Array(result.output.utf8))
        #expect(status.needsPerson == PersonNeededStatus(action: .unfreeze, reason: "frozen by bob: holidays"))
    }

    @Test(
        "Waiting for pause or freeze ends once the change is on disk, even if the rollout needs a person",
        arguments: ["pause", "freeze"])
    func settledOnDisk(_ verb: String) throws {
        #expect(CommandRun(verb, "--wait=20s", socket: api.adminSocket).status == 0)
    }

    @Test("Waiting ends with the rollout, with exit status 1 after a revert")
    func waitEnd() {
        let backend = api.backend
        let record = RolloutRecord(
            id: "income-1", service: "income", baseline: .init(name: "fp32-v1"), candidate: .init(name: "int8-v2"),
            startedAt: 0, endedAt: 1, result: .reverted, reason: "recall fell", decision: 3)
        api.loop.post {
            backend.records = [record]
            backend.afterCommand = {
                _ = $0.handle(.evaluated(Example.harmful, elapsed: .seconds(1)), service: "income")
            }
        }
        let result = CommandRun("advance", "--wait=1m", socket: api.adminSocket)
        #expect(result.status == 1)
        #expect(result.output.contains("income-1 advanced: 10% to int8-v2@2026-11-20\n"))
        #expect(result.output.hasSuffix("income-1: reverted\n"))
        #expect(result.errors == "canaryctl: income-1: recall fell\n")
    }

    @Test("Waiting ends after its time limit")
    func waitTime() {
        let result = CommandRun("advance", "--wait=1s", socket: api.adminSocket)
        #expect(result.status == 1)
        #expect(result.errors == "canaryctl: not finished within 1s; the agent continues, see canaryctl watch income\n")
    }

    @Test(
        "The value of --wait is a number of seconds, or a number with its unit",
        arguments: [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600)])
    func times(_ text: String, _ seconds: Int) { #expect(WaitTime(argument: text) == .seconds(seconds)) }

    @Test("A name after --wait is the service, not a time")
    func waitService() {
        let result = CommandRun("pause", "--wait", "income", socket: api.adminSocket)
        #expect(result.status == 0)
        #expect(result.output.hasPrefix("income-1 paused"))
    }
}
