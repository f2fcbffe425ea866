import AdminTypes
import RolloutController
import RolloutEngine
import Vocabulary

extension EventRecord {
    /// - Parameter id: the journal id; nil while the event is not in the journal.
    init(_ event: Event, id: Int64?, service: String, at: Int64) {
        self.init(
            id: id, service: service, at: Timestamp(milliseconds: at), kind: event.kind.rawValue,
            rollout: event.rollout, message: event.message, by: event.by, generation: event.generation,
            candidateWeight: Share(event.weight), decision: event.isDecision)
    }

    init(_ entry: JournalEntry) { self.init(entry.event, id: entry.id, service: entry.service, at: entry.at) }
}

extension DecisionRecord {
    init(_ entry: JournalEntry) {
        self.init(
            event: EventRecord(entry), evaluation: entry.event.evaluation.map { EvaluationStatus($0, traced: true) })
    }
}

extension HistoryEntry {
    init(_ record: RolloutRecord) {
        self.init(
            id: record.id, baseline: record.baseline.description, candidate: record.candidate.description,
            startedAt: Timestamp(milliseconds: record.startedAt),
            endedAt: record.endedAt.map { Timestamp(milliseconds: $0) }, result: record.result, reason: record.reason,
            decision: record.decision, candidateRequests: record.candidateRequests)
    }
}

extension RecordingPage {
    init(_ page: StoredPage, service: String, rollout: String) {
        self.init(
            service: service, rollout: rollout, head: page.head, whole: page.isWhole, first: page.first,
            count: page.count, items: page.items, next: page.next,
            begin: page.begin.map { Timestamp(milliseconds: $0) }, end: page.end.map { Timestamp(milliseconds: $0) })
    }
}
