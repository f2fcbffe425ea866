import AdminClient
import AdminTypes
import ArgumentParser

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Explain a decision, with every number on which it is based.",
        discussion:
            "DECISION is an event number from history or events, a rollout such as income-3, or a service.")

    @Argument(help: "An event's number, a rollout's name, or a service for its last decision.") var decision: String?
    @Option(help: "The service; may be omitted if there is only one, or if DECISION implies it.") var service: String?
    @Flag(
        help: ArgumentHelp(
            "Compute the evidence again from the recording, and say whether it is identical bit for bit.",
            discussion: "Exit status 1 if it is not, or if the recording is gone."))
    var replay = false
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let console = Console.current
        let record = try find(connection.client)
        guard !replay else {
            let report = try ReplayReport(record, connection.client)
            try console.show(report, as: output.output) { report.lines(colored: console.isColored) }
            if let failure = report.failure { throw failure }
            return
        }
        let proof = try provenAt(record, connection.client)
        try console.show(record, as: output.output) {
            DecisionText.lines(record, colored: console.isColored, isUnicode: console.isUnicode, provenAt: proof)
        }
    }

    /// The id of the decision to start the bake, if `record` is the promotion after it: the proof was complete when the
    /// bake started, and the bake gathers no more. Nil for other decisions.
    private func provenAt(_ record: DecisionRecord, _ client: AdminClient) throws -> Int64? {
        let event = record.event
        guard output.output == .table, event.knownKind == .promoted, record.evaluation?.isProven == false,
            let id = event.id
        else { return nil }
        let before = try client.events(event.service, after: max(0, id - 1_000), limit: 1_000)
        let start = before.last { $0.knownKind == .bakeStarted && $0.rollout == event.rollout && $0.id ?? .max < id }?
            .id
        // A bake may also begin with proofs that were waived, or by hand.
        guard let start, let evaluation = try client.decision(start, of: event.service).evaluation else { return nil }
        return evaluation.isProven ? start : nil
    }

    private func find(_ client: AdminClient) throws -> DecisionRecord {
        guard let decision else { return try client.decision(nil, of: service ?? chooseOnly(client)) }
        let names = try service.map { [$0] } ?? client.services().map(\.service)
        if service == nil, names.contains(decision) { return try client.decision(nil, of: decision) }
        let text = decision.hasPrefix("#") ? String(decision.dropFirst()) : decision
        if let id = Int64(text) {
            for name in names {
                do { return try client.decision(id, of: name) } catch {
                    guard case .refused(404, let problem) = error, problem.code == "unknown_decision" else {
                        throw error
                    }
                }
            }
            throw Failure(ExitStatus.failed, "there is no decision \(id); canaryctl events lists them")
        }
        for name in names {
            for entry in try client.history(name, limit: 1000).rollouts where entry.id == text {
                if let id = entry.decision { return try client.decision(id, of: name) }
                throw Failure(
                    ExitStatus.failed, "\(text) is running: nothing has ended it; see canaryctl status \(name)")
            }
        }
        throw Failure(
            ExitStatus.failed, "there is no decision and no rollout \(text); canaryctl history lists the rollouts")
    }
}
