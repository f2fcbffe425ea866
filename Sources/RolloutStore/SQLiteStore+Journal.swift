import Analysis
import GRDB
import PolicyModel
import RolloutController
import RolloutEngine
import Vocabulary

extension SQLiteStore {
    /// The maximum number of entries that one call returns, even if more are requested.
    public static let maximumPage = 1_000

    public func events(service: String?, after: Int64, limit: Int) throws -> [JournalEntry] {
        try entries("id > ?", [after], service: service, order: "id", limit: limit)
    }

    public func latestEvents(service: String?, limit: Int) throws -> [JournalEntry] {
        try entries("true", [], service: service, order: "id DESC", limit: limit).reversed()
    }

    public func entry(id: Int64) throws -> JournalEntry? {
        try entries("id = ?", [id], service: nil, order: "id", limit: 1).first
    }

    func append(
        _ event: Event, _ evaluation: String?, of service: String, at: Int64, _ db: Database
    ) throws -> Int64 {
        try db.cachedStatement(
            sql: """
                INSERT INTO journal (at, service, rollout, kind, decision, generation, weight, by, message, reason, evaluation)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            at, service, event.rollout, event.kind.rawValue, event.isDecision, Int64(bitPattern: event.generation),
            event.weight.basisPoints, event.by, event.message, event.reason, evaluation,
        ])
        return db.lastInsertedRowID
    }

    /// The event kinds as an SQL list. Entries of kinds that only a later version knows are not returned.
    private static let knownKinds = EventKind.allCases.map { "'\($0.rawValue)'" }.joined(separator: ",")

    private func entries(
        _ condition: String, _ arguments: StatementArguments, service: String?, order: String, limit: Int
    ) throws -> [JournalEntry] {
        guard limit > 0 else { return [] }
        var arguments = arguments
        var sql = "SELECT * FROM journal WHERE \(condition) AND kind IN (\(Self.knownKinds))"
        if let service {
            sql += " AND service = ?"
            arguments += [service]
        }
        sql += " ORDER BY \(order) LIMIT \(min(limit, Self.maximumPage))"
        return try reading { try Row.fetchAll($0, sql: sql, arguments: arguments).compactMap(entry) }
    }

    private func entry(_ row: Row) -> JournalEntry? {
        guard let kind = EventKind(rawValue: row["kind"]) else { return nil }
        var message: String = row["message"]
        var evaluation: Evaluation?
        if let text: String = row["evaluation"] {
            do { evaluation = try json.value(Evaluation.self, text) } catch {
                message += " (its numbers were written by another version and cannot be read: \(error))"
            }
        }
        let event = Event(
            kind, rollout: row["rollout"], message: message, reason: row["reason"], by: row["by"],
            generation: UInt64(bitPattern: row["generation"]), weight: Weight(clamping: row["weight"]),
            evaluation: evaluation)
        return JournalEntry(id: row["id"], service: row["service"], at: row["at"], event: event)
    }
}
