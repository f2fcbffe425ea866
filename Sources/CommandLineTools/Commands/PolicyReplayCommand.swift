import AdminClient
import AdminTypes
import Analysis
import ArgumentParser
import PolicyModel
import PolicySimulation
import Vocabulary

struct PolicyReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Show what other policies would have decided in a recorded rollout, and when.",
        discussion: """
            Only the recorded traffic can be judged. If these policies revert sooner, the traffic after that moment would \
            have been different. If the rollout was reverted, what would have followed is unknown.
            """)

    @Argument(help: "The service.") var service: String
    @Argument(help: ArgumentHelp("Policy files.", valueName: "policy"), completion: .file(extensions: ["yaml"]))
    var files: [String]
    @Option(help: "The rollout, such as income-3; default: the last one.") var rollout: String?
    @Option(
        help: "The risk of a false revert; default: that of the rollout.", transform: ShareValue.init(written:))
    var falseRevert: ShareValue?
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard !files.isEmpty else { throw ValidationError("name a policy file") }
        if let risk = falseRevert?.value, !(risk > 0 && risk < 1) {
            throw ValidationError("--false-revert lies between 0 and 1, such as 1%")
        }
    }

    func run() throws {
        let console = Console.current
        let planned = try PlannedPolicies(PlannedPolicies.read(files), quality: true)
        let client = connection.client
        let entry = try find(client)
        let recording = try Recording(of: service, rollout: entry.id, client)
        guard case .sequential(let head) = recording.head else {
            let why =
                recording.head == nil
                ? "the state in which its judge began is not kept"
                : "it was judged by the threshold judge, which records nothing"
            throw Failure(ExitStatus.failed, "\(entry.id) cannot be replayed: \(why); choose another with --rollout")
        }
        guard recording.isWhole else {
            throw Failure(
                ExitStatus.failed,
                "\(entry.id) cannot be replayed: a part of its recording is gone (the oldest goes first, at 16 MiB a "
                    + "service); choose a later one with --rollout")
        }
        var risk = head.risk
        if let falseRevert { risk.falseRevert = falseRevert.value }
        let isKeyed = recording.items.contains { if case .errors(let tick) = $0 { !tick.keys.isEmpty } else { false } }
        let verdict = RecordedRollout.judge(
            recording.items, by: planned.policies, risk: risk, profile: head.profile, isKeyed: isKeyed)
        let replay = Replay(entry, verdict, planned.policies, leftOut: planned.leftOut)
        try console.show(replay, as: output.output) { replay.lines(note: planned.note) }
    }

    private func find(_ client: AdminClient) throws -> HistoryEntry {
        let history = try client.history(service, limit: 1000).rollouts
        guard let rollout else {
            if let last = history.first { return last }
            throw Failure(ExitStatus.failed, "\(service) has had no rollout yet: there is nothing to replay")
        }
        if let entry = history.first(where: { $0.id == rollout }) { return entry }
        throw Failure(
            ExitStatus.failed, "\(service) has had no rollout \(rollout); canaryctl history \(service) lists them")
    }
}

/// A replay in comparison with the original decision. Times are in seconds.
struct Replay: Encodable {
    struct Decision: Encodable {
        /// `reverted`, `promoted` or `running` for the rollout; `reverted`, `paused`, `proven` or `undecided` for the
        /// replay.
        var result: String
        var seconds: Double
        var candidateRequests: UInt64
        /// The path of the check that failed in the replay, such as `standard/error-rate`.
        var check: String?
        var reason: String
    }

    var rollout: String
    var policies: [String]
    /// The original decision.
    var decided: Decision
    var replayed: Decision
    /// The judge's number of the step at the end of the replay. It counts from 1, a warm-up included.
    var step: Int
    /// The paths of the checks that a replay cannot judge.
    var leftOut: [String]

    init(_ entry: HistoryEntry, _ verdict: RecordedRollout.Decision, _ policies: [Policy], leftOut: [String]) {
        rollout = entry.id
        self.policies = policies.map(\.name)
        let end = entry.endedAt ?? entry.startedAt
        decided = Decision(
            result: entry.result.rawValue, seconds: Double(end.milliseconds - entry.startedAt.milliseconds) / 1000,
            candidateRequests: entry.candidateRequests, check: nil, reason: entry.reason)
        let result =
            switch verdict.fails?.action {
            case .pause: "paused"
            case .revert, .notify: "reverted"
            case nil: verdict.isProven ? "proven" : "undecided"
            }
        replayed = Decision(
            result: result, seconds: Double(verdict.seconds), candidateRequests: UInt64(verdict.requests),
            check: verdict.fails?.path, reason: verdict.fails?.words ?? verdict.missing.joined(separator: "; "))
        step = Int(verdict.step)
        self.leftOut = leftOut
    }

    func lines(note: String?) -> [String] {
        let names = policies.joined(separator: ", ")
        var lines = ["\(rollout) by \(names), on what was recorded of it", "  decided    \(decidedWords)"]
        let cost =
            "after \(Words.time(replayed.seconds)) and \(Words.count(replayed.candidateRequests)) requests to the candidate"
        switch replayed.result {
        case "reverted", "paused":
            lines.append("  replayed   \(replayed.result) \(cost): \(replayed.reason)")
        case "proven": lines.append("  replayed   nothing fails; every required check is proven \(cost)")
        default:
            lines.append("  replayed   nothing fails, and not everything is proven \(cost)")
            if !replayed.reason.isEmpty { lines.append("             \(replayed.reason)") }
        }
        lines += ["", caveat]
        if let note { lines.append(note) }
        return lines
    }

    private var decidedWords: String {
        let time = Words.time(decided.seconds)
        switch decided.result {
        case "running": return "nothing yet: it runs"
        case "reverted", "promoted":
            return "\(decided.result) after \(time) and \(Words.count(decided.candidateRequests)) requests to the "
                + "candidate: \(decided.reason)"
        default: return decided.result
        }
    }

    /// A remark on what the replay cannot reproduce.
    private var caveat: String {
        switch (decided.result, replayed.result) {
        case (_, "paused"):
            "The rollout would have waited there for a person; what followed would have been for that person to say."
        case ("reverted", "reverted"):
            "Both revert. Where the replay is sooner, the requests after it would have been spared."
        case ("reverted", _):
            "The traffic ends where the rollout was reverted: whether these policies would have reverted later, or "
                + "promoted, it cannot tell."
        case (_, "reverted"):
            "The traffic after that moment would not have gone to the candidate; whether it was truly bad is for you to "
                + "say."
        default:
            "Steps and their times are those of the rollout: other policies might have moved it sooner or later."
        }
    }
}
