import GRDB
import RolloutController

/// How much of the past is kept. What is too old is deleted a bite at a time inside later commits, so that no commit
/// takes long; the file reuses the space.
public struct Retention: Hashable, Sendable {
    /// An entry that is no decision is kept while it is among this many newest entries of the agent. 100 000 are
    /// about 30 MB.
    public var entries = 100_000
    /// And for this long: a quarter of a year, in milliseconds.
    public var entryAge: Int64 = 90 * 86_400_000
    /// Decisions carry their numbers, some kilobytes each, and are what an audit asks for. 20 000 are about 100 MB.
    public var decisions = 20_000
    /// Two years, in milliseconds.
    public var decisionAge: Int64 = 730 * 86_400_000
    /// Rollouts of a service in its history; one that runs is always kept.
    public var rollouts = 1_000
    /// Unreadable states kept for each service.
    public var unreadableStates = 10

    /// Rows that a commit deletes of each kind at most, or twice what it adds where that is more: enough to catch up.
    static let bite = 64

    public init() {}

    func prune(_ db: Database, after change: StateChange) throws {
        guard !change.events.isEmpty else { return }
        let bite = max(Self.bite, 2 * change.events.count)
        try delete(bite, decision: false, before: change.at - entryAge, db, upTo: try newest(db) - Int64(entries))
        guard change.events.contains(where: \.isDecision) else { return }
        let surplus = try cut(
            "SELECT id FROM journal WHERE decision = 1 ORDER BY id DESC LIMIT 1 OFFSET ?", [decisions], db)
        try delete(bite, decision: true, before: change.at - decisionAge, db, upTo: surplus)
        let old = try cut(
            "SELECT number FROM rollouts WHERE service = ? ORDER BY number DESC LIMIT 1 OFFSET ?",
            [change.state.service, rollouts], db)
        try db.execute(
            sql: """
                DELETE FROM rollouts WHERE number IN (
                    SELECT number FROM rollouts WHERE service = ? AND number <= ? AND result <> 'running'
                    ORDER BY number LIMIT ?)
                """, arguments: [change.state.service, old, bite])
        let unreadable = try cut(
            "SELECT id FROM unreadable_state WHERE service = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
            [change.state.service, unreadableStates], db)
        try db.execute(
            sql: "DELETE FROM unreadable_state WHERE service = ? AND id <= ?",
            arguments: [change.state.service, unreadable])
    }

    private func newest(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT max(id) FROM journal") ?? 0
    }

    /// The newest id that is one too many; 0 where none is.
    private func cut(_ sql: String, _ arguments: StatementArguments, _ db: Database) throws -> Int64 {
        try Int64.fetchOne(db.cachedStatement(sql: sql), arguments: arguments) ?? 0
    }

    private func delete(_ bite: Int, decision: Bool, before: Int64, _ db: Database, upTo id: Int64) throws {
        // By age only from the oldest on: ids grow with time, so the first that is young enough ends the search.
        try db.cachedStatement(
            sql: """
                DELETE FROM journal WHERE id IN (
                    SELECT id FROM (SELECT id, at FROM journal WHERE decision = ? ORDER BY id LIMIT ?)
                    WHERE id <= ? OR at < ?)
                """
        ).execute(arguments: [decision, bite, id, before])
    }
}
