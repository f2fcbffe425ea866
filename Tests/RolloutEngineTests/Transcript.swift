import PolicyModel
import RolloutEngine
import TestSupport
import Vocabulary

@testable import Analysis

/// A conversation with the state machine as text. Settings come first (`steps: 10% 1m, pause`), then inputs, each
/// a line that begins with `>`, each followed by what has to come of it: events, the response, and the state after `=`.
/// Lines that begin with `#`, and blank ones, say something to people only.
struct Transcript {
    struct Failure: Error, CustomStringConvertible { var description: String }

    private var state: ServiceState
    private var declaration: Declaration
    private var now = Moment(monotonic: 0, wall: 0)
    private var seen: Evaluation?
    /// What the check of the evaluations does when it fails.
    private var action = CheckAction.revert

    /// The text with what came of each input in place of what was expected.
    static func play(_ text: String) throws -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let settings = lines.prefix { !$0.hasPrefix(">") }
        var transcript = try Transcript(settings: settings.filter { !$0.hasPrefix("#") && $0.contains(":") })
        var played: [String] = []
        for line in lines {
            if line.hasPrefix("  ") { continue }
            played.append(line)
            if line.hasPrefix(">") { played += try transcript.play(line: line) }
        }
        return played.joined(separator: "\n")
    }

    private init(settings: [String]) throws {
        declaration = Declaration(
            service: "income", baseline: VersionIdentity(name: "v1"), candidate: VersionIdentity(name: "v2"),
            versions: ["v1", "v2", "v3"].map { VersionIdentity(name: $0) },
            plan: RolloutPlan(strategy: .brief, policies: [.errors()], analysis: AnalysisRules()))
        state = ServiceState(service: "income", serving: VersionIdentity(name: "v1"), seed: 7)
        for line in settings {
            let parts = line.split(separator: ":", maxSplits: 1).map { String($0).trimmed }
            try set(parts[0], parts.count > 1 ? parts[1] : "")
        }
    }

    private mutating func set(_ key: String, _ value: String) throws {
        let words = value.split(separator: " ").map(String.init)
        switch key {
        case "start": declaration.plan.strategy.start = Initiation(rawValue: value)!
        case "promotion": declaration.plan.strategy.promotion = Initiation(rawValue: value)!
        case "warmup": declaration.plan.strategy.warmup = Warmup(requests: Int(words[0])!, within: time(words[1]))
        case "bake":
            declaration.plan.strategy.bake = Bake(duration: time(words[0]), control: weight(words[1]))
        case "deadline":
            declaration.plan.strategy.deadline = Deadline(
                after: time(words[0]), then: Deadline.Consequence(rawValue: words[1])!)
        case "action":
            action = CheckAction(rawValue: value)!
            declaration.plan.policies[0].checks[0].action = action
        case "no data": declaration.plan.policies[0].onNoData = .revert(after: time(words[1]))
        case "steps":
            declaration.plan.strategy.steps = value.split(separator: ",").map { step in
                let words = step.split(separator: " ").map(String.init)
                if words[0] == "pause" { return .pause(words.count > 1 ? time(words[1]) : nil) }
                return .weight(weight(words[0]), hold: time(words[1]))
            }
        default: throw Failure(description: "no such setting: \(key)")
        }
    }

    // MARK: - Inputs

    private mutating func play(line: String) throws -> [String] {
        var words = line.dropFirst().split(separator: " ").map(String.init)
        var times = 1
        if let first = words.first, first.hasSuffix("x"), let n = Int(first.dropLast()) {
            times = n
            words.removeFirst()
        }
        var told: [String] = []
        for _ in 0..<times { told += try play(words: words, line: line) }
        return told + ["  = \(described)"]
    }

    private mutating func play(words: [String], line: String) throws -> [String] {
        let rest = Array(words.dropFirst())
        switch words.first {
        case "declared":
            for word in rest {
                let pair = word.split(separator: "=", maxSplits: 1).map(String.init)
                if pair[0] == "candidate" {
                    declaration.candidate = pair[1] == "none" ? nil : identity(pair[1])
                } else {
                    try set(pair[0], pair[1].replacing("_", with: " "))
                }
            }
            return handle(.declared())
        case "tick":
            let elapsed = time(rest[0])
            pass(elapsed)
            let evaluation = try evaluation(Array(rest.dropFirst()))
            seen = evaluation
            return handle(.evaluated(evaluation, elapsed: elapsed))
        case "restarted":
            seen = nil
            return handle(.recovered(clean: rest.first == "clean"))
        default: return handle(.command(try command(words, line: line)))
        }
    }

    private mutating func pass(_ time: Duration) {
        now.monotonic += time.nanoseconds
        now.wall += time.nanoseconds / 1_000_000
    }

    private func evaluation(_ words: [String]) throws -> Evaluation {
        guard let first = words.first else { throw Failure(description: "a tick needs a verdict") }
        var e = Evaluation.with(Verdict(rawValue: first) ?? .pass, proven: first != "unproven", action: action)
        for word in words.dropFirst() {
            switch word {
            case "silent": e.isDataFlowing = false
            case "blind": e.blindness = "no evaluation ran for 30s"
            case "baseline-down": e.baseline = .unreachable
            case "candidate-down": e.candidate = .unreachable
            case "failing-once":
                e.results[0].verdict = .inconclusive
                e.results[0].measured = .fail
            case "untimed":
                e.results[0].needsMoreThanTraffic = true
                e.results[0].missing = "all of the candidate's responses are 404"
            case "latency-fails": e.results.append(Self.latency(fails: true))
            case "latency-passes": e.results.append(Self.latency(fails: false))
            case _ where word.hasPrefix("evidence="):
                e.results[0].evidence = Self.evidence(Double(word.dropFirst(9))!)
            case _ where word.hasPrefix("failures="): e.results[0].failures = Int(word.dropFirst(9))!
            case _ where word.hasPrefix("groups="):
                e.results[0].measurements = word.dropFirst(7).split(separator: ",").map {
                    Measurement(
                        subject: "sex=\($0)", unit: .points, candidate: 0.4, baseline: 0.6, candidateSamples: 90,
                        baselineSamples: 90, bound: 0.1, value: 0.2, verdict: .fail)
                }
            case "too-often": e.results[0].isOverInconclusiveLimit = true
            case _ where word.hasPrefix("requests="): e.candidate.requests = UInt64(word.dropFirst(9))!
            default: throw Failure(description: "no such condition: \(word)")
            }
        }
        return e
    }

    /// Evidence of this many nats against the candidate; the check fails at 5.
    private static func evidence(_ value: Double) -> CheckEvidence {
        CheckEvidence(
            value: value, revertAt: 5, proof: 0, promoteAt: 3, weight: 1, part: "ceiling", trace: EvidenceTrace())
    }

    /// The result of a second check, which pauses.
    private static func latency(fails: Bool) -> CheckResult {
        CheckResult(
            policy: "standard", check: "p95-latency", action: .pause, verdict: fails ? .fail : .pass,
            measured: fails ? .fail : .pass, proven: !fails)
    }

    private func command(_ words: [String], line: String) throws -> Command {
        let force = words.contains("--force")
        func value(after word: String) -> String? {
            words.firstIndex(of: word).flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
        }
        let verb: Command.Verb
        switch words.first {
        case "start": verb = .start
        case "advance": verb = .advance
        case "promote": verb = .promote(force: force)
        case "revert": verb = .revert(to: value(after: "--to"), force: force)
        case "pause": verb = .pause
        case "resume": verb = .resume
        case "retry": verb = .retry
        case "restart": verb = .restart
        case "freeze": verb = .freeze
        case "unfreeze": verb = .unfreeze
        default: throw Failure(description: "no such input: \(line)")
        }
        return Command(
            verb, by: value(after: "by") ?? "ada", reason: value(after: "--reason") ?? "",
            generation: value(after: "--generation").flatMap { UInt64($0) }, evaluation: seen)
    }

    private mutating func handle(_ input: Input) -> [String] {
        let transition = RolloutStateMachine.handle(input, state: state, declaration: declaration, now: now)
        if transition.state.rollout?.id != state.rollout?.id { seen = nil }
        state = transition.state
        var lines = transition.events.map { "  \($0.kind.rawValue) by \($0.by): \($0.message)" }
        switch transition.response {
        case .done(let message): lines.append("  done: \(message)")
        case .refused(let refused): lines.append("  refused, \(refused.code.rawValue): \(refused.message)")
        case nil: break
        }
        return lines
    }

    // MARK: - State

    private var described: String {
        var parts: [String] = []
        if let rollout = state.rollout {
            var phase = rollout.phase.name
            if case .step(let index) = rollout.phase { phase += " \(index + 1)" }
            parts.append("\(rollout.id) \(phase), \(state.split.candidate) to \(rollout.candidate)")
            if rollout.held > .zero { parts.append("held \(rollout.held.written)") }
            if let pause = rollout.pause { parts.append("paused (\(pause.cause.rawValue))") }
            if rollout.isRecovering { parts.append("recovering") }
            if let holdReason = rollout.holdReason { parts.append("stands: \(holdReason.rawValue)") }
        } else {
            parts.append("\(state.serving) serves all")
        }
        if let refused = state.refused { parts.append("\(refused.identity) refused, \(refused.times)x") }
        if state.freeze != nil { parts.append("frozen") }
        return (parts + ["generation \(state.generation)"]).joined(separator: "; ")
    }
}

private func identity(_ text: String) -> VersionIdentity {
    let parts = text.split(separator: "@").map(String.init)
    return VersionIdentity(name: parts[0], revision: parts.count > 1 ? parts[1] : nil)
}

private func time(_ text: String) -> Duration {
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600]
    return .seconds(Int(text.dropLast())! * units[text.last!]!)
}

private func weight(_ text: String) -> Weight { Weight(clamping: Int(Double(text.dropLast())! * 100)) }

extension String {
    fileprivate var trimmed: String { String(drop { $0 == " " }) }
}
