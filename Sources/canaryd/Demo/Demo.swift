import AdminTypes
import Analysis
import Glibc
import PlainText
import ReferenceModel
import Synchronization
import Threading
import Vocabulary

/// Runs the demo: trains the models, starts the processes, replays traffic, rolls out one candidate after the other and
/// explains the decisions.
final class Demo: @unchecked Sendable {
    /// The timeout of a rollout. A rollout of the example takes a minute on average and less than four minutes in 399
    /// of 400 runs, so a longer one is most likely stuck.
    static let rolloutTimeout: Duration = .seconds(300)

    private let candidates: [ArtifactName]
    private let rate: Double
    private let data: String
    private let artifacts: String
    private let show: DemoShow
    private let stage: DemoStage
    private var traffic: DemoTraffic?
    private let isInterrupted = Mutex(false)

    init(
        candidates: [ArtifactName], rate: Double, data: String, artifacts: String, show: DemoShow
    ) throws {
        self.candidates = candidates
        self.rate = rate
        self.data = data
        self.artifacts = artifacts
        self.show = show
        stage = try DemoStage(example: Self.parent(of: data))
    }

    private static func parent(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }

    /// Ends all processes in order and exits when a signal arrives: Ctrl-C, SIGTERM or the closing of the terminal.
    func endOn(_ signals: Signals) {
        WorkerThread.run("demo") { [self] in
            _ = signals.next()
            isInterrupted.withLock { $0 = true }
            close()
            show.say("ended")
            exit(130)
        }
    }

    private func close() {
        traffic?.end()
        stage.end()
        show.close()
    }

    /// Runs the demo and ends everything that it started.
    /// - Parameter keep: true to keep the processes running at the end, until a signal arrives.
    func run(keep: Bool) throws {
        do {
            try runAll(keep: keep)
        } catch {
            // An interrupt ends the agent, which may be the cause of this error; then `endOn` exits the process.
            while isInterrupted.withLock({ $0 }) { sleep(1) }
            close()
            throw error
        }
        close()
    }

    private func runAll(keep: Bool) throws {
        let models = try train()
        try startProcesses(models)
        let traffic = DemoTraffic(rows: models.traffic, port: stage.port, rate: rate) { [feedback = stage.feedback] in
            (try? feedback.postFeedback($0, service: "income")) != nil
        }
        self.traffic = traffic
        show.say(
            "replaying \(models.traffic.count) rows that no model has seen, \(Int(rate)) requests a second, "
                + "in a new order for each rollout")
        for (number, candidate) in candidates.enumerated() {
            traffic.restart(seed: UInt64(number + 1))
            try rollOut(DemoStage.yamlName("\(candidate)"), number: number + 1)
        }
        try showHistory()
        if keep {
            show.title("It goes on running until Ctrl-C. In another terminal:")
            suggestCommands()
            show.close()
            while stage.endedProcess == nil { sleep(1) }
            throw DemoError("\(stage.endedProcess?.name ?? "") ended:\n\(stage.lastLines(of: "canaryd.log"))")
        } else {
            show.title("To play with it yourself, run the demo with --keep and, in another terminal:")
            suggestCommands()
        }
    }

    // MARK: - Preparation

    private func train() throws -> ArtifactStore.Result {
        show.title("Models")
        let usual = [Artifact.Kind.fp32, .int8, .pruned, .skewed].map { ArtifactName(kind: $0) }
        var names = usual
        for name in candidates where !names.contains(name) { names.append(name) }
        let began = SystemClock().now.monotonic
        let show = show
        let result = try ArtifactStore.prepare(names, directory: artifacts, data: data) { progress in
            switch progress {
            case .training(let name, let epoch, let of):
                show.update(
                    ["training \(name.description.displayable): epoch \(epoch) of \(of)"], plain: "training \(name)")
            case .wrote, .found: break
            }
        }
        let seconds = Double(SystemClock().now.monotonic - began) / 1e9
        show.say(
            result.trained.isEmpty
                ? "found in \(artifacts)"
                : "trained \(result.trained.map(\.description).joined(separator: ", ")) in \(Int(seconds.rounded())) s; kept in \(artifacts)"
        )
        show.say("on the test set:")
        for line in result.table.text.split(separator: "\n") { show.say("  " + line) }
        return result
    }

    private func startProcesses(_ models: ArtifactStore.Result) throws {
        show.title("Processes")
        for name in [ArtifactName(kind: .fp32)] + candidates {
            guard let path = models.paths[name] else { continue }
            if name == ArtifactName(kind: .fp32), candidates.contains(name) { continue }
            try stage.startServer("\(name)", artifact: path)
        }
        if candidates.contains(ArtifactName(kind: .fp32)), let path = models.paths[ArtifactName(kind: .fp32)] {
            try stage.startServer("fp32", artifact: path)
        }
        try stage.declare(candidate: nil)
        try stage.startAgent()
        show.say(
            "\(stage.children.count - 1) model servers and the agent (pid \(stage.agentPID)); "
                + "the service is at http://127.0.0.1:\(stage.port), its files in \(stage.folder)")
        show.say("metrics: http://127.0.0.1:\(stage.metricsPort)/metrics, for Prometheus")
    }

    // MARK: - A rollout

    private func rollOut(_ candidate: String, number: Int) throws {
        let before = try stage.admin.service("income")
        show.title("Rollout \(number): \(candidate) against \(before.serving)")
        try stage.declare(candidate: candidate)
        let began = SystemClock().now.monotonic
        while SystemClock().now.monotonic - began < Self.rolloutTimeout.nanoseconds {
            usleep(250_000)
            if let process = stage.endedProcess {
                throw DemoError("\(process.name) ended:\n\(stage.lastLines(of: "canaryd.log"))")
            }
            let status = try stage.admin.service("income")
            let seconds = Double(SystemClock().now.monotonic - began) / 1e9
            let ended = try stage.admin.history("income").rollouts.first {
                $0.candidate == candidate && $0.result != .running
            }
            if let ended, status.rollout == nil {
                show.update([], plain: "")
                return showResult(ended, seconds: seconds)
            }
            show.update(block(status, seconds: seconds), plain: line(status))
        }
        throw DemoError(
            "\(candidate) was neither promoted nor reverted within \(Self.rolloutTimeout.written):\n"
                + line(try stage.admin.service("income")))
    }

    private func showResult(_ ended: HistoryEntry, seconds: Double) {
        let counts = traffic?.counts ?? DemoTraffic.Counts()
        show.say("\(ended.result.rawValue.uppercased()) after \(Int(seconds.rounded())) s: \(ended.reason)")
        show.say(
            "\(counts.sent) requests, \(counts.failed) failed; \(ended.candidateRequests) judged ones went to "
                + "\(ended.candidate); \(counts.labeled) labels were posted")
    }

    /// The status in one line that changes only when the rollout does. The progress of a proof, which changes with
    /// every evaluation, is left out.
    private func line(_ status: ServiceStatus) -> String {
        let rollout = status.rollout.map { "\($0.candidate) \(status.candidateWeight.words)" } ?? "no rollout"
        let causes = status.waitsFor.compactMap { $0.split(separator: ":").first.map(String.init) }
        let waits = causes.isEmpty ? "" : "; waits for \(causes.joined(separator: ", "))"
        return "\(status.phase.rawValue)\(status.rollout?.step.map { " \($0)" } ?? ""): \(rollout)\(waits)"
    }

    private func block(_ status: ServiceStatus, seconds: Double) -> [String] {
        let counts = traffic?.counts ?? DemoTraffic.Counts()
        let share = Double(status.candidateWeight.basisPoints) / 10_000
        let filled = Int((share * 40).rounded())
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 40 - filled)
        var lines = [
            "\(Int(seconds)) s  \(line(status))",
            "\(status.serving) \(bar) \(status.rollout?.candidate ?? "-") \(status.candidateWeight.words)",
        ]
        for (_, arm) in status.arms {
            let p95 = arm.p95Seconds.map { "  P95 \(Measurement.format($0.value, .seconds))" } ?? ""
            lines.append(
                "  \(arm.version): \(Int(arm.requestsPerSecond.rounded())) requests/s, \(arm.errors) of \(arm.requests) failed\(p95)"
            )
        }
        lines = lines.map(\.displayable)
        for check in status.evaluation?.checks ?? [] {
            let note = check.isRequired ? "" : " (notifies only)"
            lines.append("  " + show.marked(check.verdict, check.summary + note))
        }
        let left = status.holdLeftSeconds.map { " (\(Int($0.rounded(.up))) s left)" } ?? ""
        lines.append("  then: \(status.next.displayable)\(left)")
        lines.append("  \(counts.sent) requests sent, \(counts.failed) failed, \(counts.labeled) labeled")
        return lines
    }

    // MARK: - Summary

    private func showHistory() throws {
        show.title("History")
        for entry in try stage.admin.history("income").rollouts {
            show.say(
                "  \(entry.id)  \(entry.candidate) against \(entry.baseline): \(entry.result.rawValue), "
                    + "\(entry.candidateRequests) requests to \(entry.candidate)")
        }
        guard let reverted = try stage.admin.history("income").rollouts.first(where: { $0.result == .reverted }),
            let id = reverted.decision
        else { return }
        show.title("Why \(reverted.candidate) was reverted (canaryctl explain \(id))")
        let decision = try stage.admin.decision(id, of: "income")
        show.say("  \(decision.event.message)")
        for check in decision.evaluation?.checks ?? [] {
            let note = check.isRequired ? "" : " (notifies only)"
            show.say(check.verdict, check.summary + note)
            for m in check.measurements where m.unit == .points && check.measurements.count > 1 {
                show.say("        \(Self.words(m))")
            }
            let small = check.measurements.filter { $0.value == nil }.map(\.subject)
            if !check.isRequired, !small.isEmpty {
                show.say(
                    "        notifies only, because the data cannot prove a bound for \(small.joined(separator: ", ")): "
                        + "too few positives an arm")
            }
        }
    }

    private static func words(_ m: MeasurementStatus) -> String {
        let unit = MeasureUnit(rawValue: m.unit.rawValue) ?? .plain
        let candidate = m.candidate.map { Measurement.format($0.value, unit.ofValues) } ?? "-"
        let baseline = m.baseline.map { Measurement.format($0.value, unit.ofValues) } ?? "-"
        return "\(m.subject): \(candidate) against \(baseline), \(m.candidateSamples) and \(m.baselineSamples) samples"
            + (m.note.isEmpty ? "" : " (\(m.note))")
    }

    private func suggestCommands() {
        show.say("  export CANARYD_SOCKET=\(stage.folder)/admin.sock")
        for command in [
            "watch", "explain", "history", "events", "retry --reason 'look again'", "freeze --reason 'it is Friday'",
            "revert --reason 'I say so'", "doctor",
        ] {
            show.say("  canaryctl \(command)")
        }
    }
}
