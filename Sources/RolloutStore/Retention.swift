import GRDB
import RolloutController

/// The limits of the journal, the history and the unreadable states. Rows beyond them are deleted in small numbers
/// inside later commits, so that no commit takes long; the file reuses the space. A journal entry is deleted if it is
/// beyond the limit of its number or of its age.
public struct Retention: Hashable, Sendable {
    /// An entry that is no decision is kept only while it is among this many newest entries, decisions included.
    /// 100,000 entries are about 30 MB.
    public var entries = 100_000
    /// The age in milliseconds from which such an entry is deleted: a quarter of a year.
    public var entryAge: Int64 = 90 * 86_400_000
    /// The maximum number of decisions. They carry their numbers, some kilobytes each, and are what an audit asks for.
    /// 20,000 decisions are about 100 MB.
    public var decisions = 20_000
    /// The age in milliseconds from which a decision is deleted: two years.
    public var decisionAge: Int64 = 730 * 86_400_000
    /// The maximum number of rollouts in the history of a service; one that runs is always kept.
    public var rollouts = 1_000
    /// The maximum number of unreadable states of a service.
    public var unreadableStates = 10

    /// The largest number of rows of each kind that a commit deletes, or twice the number of its events if that is
    /// larger, so that pruning catches up.
    static let batchSize = 64

    public init() {}

    /// Deletes some of the rows that are beyond the limits. Decisions, rollouts and unreadable states are pruned only
    /// after a decision.
    /// - Parameter elapsed: the milliseconds since the last call, by a clock that nobody sets.
    func prune(_ db: Database, after change: StateChange, elapsed: Int64) throws {
        let batch = max(Self.batchSize, 2 * change.events.count)
        let aged = try ageLimits(db, at: change.at, elapsed: elapsed)
        try delete(batch, decision: false, before: aged.entries, db, upTo: try newest(db) - Int64(entries))
        guard change.events.contains(where: \.isDecision) else { return }
        let surplus = try cut(
            "SELECT id FROM journal WHERE decision = 1 ORDER BY id DESC LIMIT 1 OFFSET ?", [decisions], db)
        try delete(batch, decision: true, before: aged.decisions, db, upTo: surplus)
        let old = try cut(
            "SELECT number FROM rollouts WHERE service = ? ORDER BY number DESC LIMIT 1 OFFSET ?",
            [change.state.service, rollouts], db)
        try db.execute(
            sql: """
                DELETE FROM rollouts WHERE number IN (
                    SELECT number FROM rollouts WHERE service = ? AND number <= ? AND result <> 'running'
                    ORDER BY number LIMIT ?)
                """, arguments: [change.state.service, old, batch])
        let unreadable = try cut(
            "SELECT id FROM unreadable_state WHERE service = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
            [change.state.service, unreadableStates], db)
        try db.execute(
            sql: "DELETE FROM unreadable_state WHERE service = ? AND id <= ?",
            arguments: [change.state.service, unreadable])
    }

    /// The times before which entries and decisions are deleted by age. A wall clock that is years ahead makes
    /// everything look old, so the limits advance by no more than the time that passed. They begin at the oldest entry
    /// and survive restarts. Time in which no agent ran is not counted, so entries may be kept longer.
    private func ageLimits(_ db: Database, at now: Int64, elapsed: Int64) throws -> (entries: Int64, decisions: Int64) {
        let stored = try Row.fetchOne(
            db.cachedStatement(sql: "SELECT entries_aged_until, decisions_aged_until FROM agent"))
        func limit(_ column: String, isDecision: Bool, age: Int64) throws -> (now: Int64, next: Int64?) {
            let due = now.addingSaturated(-age)
            let reached: Int64?
            if let value = stored?[column] as Int64? {
                reached = value
            } else {
                reached = try Int64.fetchOne(
                    db.cachedStatement(sql: "SELECT at FROM journal WHERE decision = ? ORDER BY id LIMIT 1"),
                    arguments: [isDecision])
            }
            guard let reached else { return (.min, nil) }
            let next = min(reached.addingSaturated(max(elapsed, 0)), max(due, reached))
            return (min(due, next), next)
        }
        let entries = try limit("entries_aged_until", isDecision: false, age: entryAge)
        let decisions = try limit("decisions_aged_until", isDecision: true, age: decisionAge)
        try db.cachedStatement(sql: "UPDATE agent SET entries_aged_until = ?, decisions_aged_until = ?")
            .execute(arguments: [entries.next, decisions.next])
        return (entries.now, decisions.now)
    }

    private func newest(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT max(id) FROM journal") ?? 0
    }

    /// The newest id beyond the limit; 0 if there is none.
    private func cut(_ sql: String, _ arguments: StatementArguments, _ db: Database) throws -> Int64 {
        try Int64.fetchOne(db.cachedStatement(sql: sql), arguments: arguments) ?? 0
    }

    private func delete(_ batch: Int, decision: Bool, before: Int64, _ db: Database, upTo id: Int64) throws {
        // Only the oldest rows are examined, since ids grow with time.
        try db.cachedStatement(
            sql: """
                DELETE FROM journal WHERE id IN (
                    SELECT id FROM (SELECT id, at FROM journal WHERE decision = ? ORDER BY id LIMIT ?)
                    WHERE id <= ? OR at < ?)
                """
        ).execute(arguments: [decision, batch, id, before])
    }
}
