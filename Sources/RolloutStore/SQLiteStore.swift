import Analysis
import GRDB
import Glibc
import PolicyModel
import RolloutController
import RolloutEngine

/// States, evidence, journal and history in `canaryd.sqlite`: SQLite with a write-ahead log and synchronous=FULL, so
/// that what a commit acknowledged survives a kill and a power loss. One change is one transaction and one fsync.
/// The directory is the store's alone while this value lives. Every method throws `StoreError`.
public final class SQLiteStore: StateStore {
    /// How the database was found.
    public let recovery: StoreRecovery
    /// Bounds of the journal and the history.
    public let retention: Retention
    let queue: DatabaseQueue
    let json = StableJSON()
    private let directory: StateDirectory
    private let identity: FileIdentity?
    /// `markRunning` could not be written: the next commit carries it, so that a full disk at start cannot make a
    /// later crash look like a clean stop.
    private var owesRunning = false
    /// Stretches of recordings written, by service: each prunes its own once in a while.
    var stretches: [String: Int] = [:]

    /// - Parameter path: the state directory; created (0700) where it is missing.
    public init(directory path: String, retention: Retention = Retention()) throws(StoreError) {
        directory = try StateDirectory(path)
        (queue, recovery) = try Self.open(directory)
        identity = FileIdentity(directory.database)
        self.retention = retention
    }

    // MARK: - Agent

    public func load() throws -> StoredAgent {
        try wording(directory.database) {
            try queue.read { db in
                let clean = try Bool.fetchOne(db, sql: "SELECT stopped_cleanly FROM agent") ?? false
                var agent = StoredAgent(stoppedCleanly: clean)
                let rows = try Row.fetchAll(
                    db,
                    sql: """
                        SELECT service, state, evidence FROM service_state LEFT JOIN evidence USING (service)
                        ORDER BY service
                        """)
                for row in rows { take(row, into: &agent) }
                for i in agent.services.indices { try addTail(i, &agent, db) }
                return agent
            }
        }
    }

    private func take(_ row: Row, into agent: inout StoredAgent) {
        let service: String = row["service"]
        let state: ServiceState
        do { state = try json.value(ServiceState.self, row["state"]) } catch {
            agent.unreadable[service] =
                "the stored state of \(service) cannot be read: \(error); the row is kept in the table "
                + "unreadable_state of \(directory.database) when the next is written; check what should serve, "
                + "then canaryctl unfreeze \(service)"
            return
        }
        var evidence: Evidence?
        do {
            if let text: String = row["evidence"] { evidence = try json.value(Evidence.self, text) }
        } catch {
            agent.unreadable[service] =
                "what the judge of \(service) had gathered cannot be read: \(error); its rollout goes on and "
                + "counts from nothing; canaryctl restart \(service) starts it over"
        }
        agent.services.append(StoredService(state: state, evidence: evidence))
    }

    public func markRunning() throws {
        owesRunning = true
        try transaction { try $0.execute(sql: "UPDATE agent SET stopped_cleanly = 0 WHERE stopped_cleanly <> 0") }
        owesRunning = false
    }

    public func markStopped() throws {
        try transaction { try $0.execute(sql: "UPDATE agent SET stopped_cleanly = 1 WHERE stopped_cleanly <> 1") }
        owesRunning = false
    }

    // MARK: - Commit

    /// A change that says nothing new (same state, same evidence, no events) touches no page and no disk.
    public func commit(_ changes: [StateChange]) throws {
        let texts = try changes.map { change in
            (
                state: try json.text(change.state), evidence: try change.evidence.map { try json.text($0) },
                evaluations: try change.events.map { try $0.evaluation.map { try json.text($0) } },
                heads: try change.recording.map { try $0.head.map { try json.text($0) } }
            )
        }
        try transaction { db in
            if owesRunning { try db.execute(sql: "UPDATE agent SET stopped_cleanly = 0 WHERE stopped_cleanly <> 0") }
            for (change, text) in zip(changes, texts) {
                let before = try stored(change.state.service, db)
                if before.state != text.state { try write(change, text.state, before, db) }
                if let evidence = text.evidence, before.evidence != evidence {
                    try write(evidence, of: change.state.service, db)
                }
                var ids: [Int64] = []
                for (event, evaluation) in zip(change.events, text.evaluations) {
                    ids.append(try append(event, evaluation, of: change.state.service, at: change.at, db))
                }
                for (part, head) in zip(change.recording, text.heads) {
                    try record(part, head: head, of: change.state.service, at: change.at, db)
                }
                // Nothing in the history changes without an event.
                if !change.events.isEmpty { try recordHistory(of: change, ids: ids, before: before.values(json), db) }
                try retention.prune(db, after: change)
            }
        }
        owesRunning = false
    }

    /// What a service's rows hold now, as text; decoded only where somebody asks.
    struct Before {
        var state: String?
        var evidence: String?

        /// Nil where there is none, and where it cannot be read.
        func values(_ json: StableJSON) -> StoredService? {
            guard let text = state, let state = try? json.value(ServiceState.self, text) else { return nil }
            return StoredService(state: state, evidence: evidence.flatMap { try? json.value(Evidence.self, $0) })
        }
    }

    private func stored(_ service: String, _ db: Database) throws -> Before {
        let row = try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT state, evidence FROM service_state LEFT JOIN evidence USING (service) WHERE service = ?
                    """), arguments: [service])
        guard let row else { return Before() }
        return Before(state: row["state"], evidence: row["evidence"])
    }

    private func write(_ change: StateChange, _ text: String, _ before: Before, _ db: Database) throws {
        let state = change.state
        if let old = before.state, before.values(json) == nil {
            // Nobody could read it, so nobody decided to give it up.
            try db.execute(
                sql: "INSERT INTO unreadable_state (service, at, state, evidence) VALUES (?, ?, ?, ?)",
                arguments: [state.service, change.at, old, before.evidence])
        }
        try db.cachedStatement(
            sql: """
                INSERT INTO service_state (service, at, generation, serving, rollout, phase, weight, state)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (service) DO UPDATE SET at = excluded.at, generation = excluded.generation,
                    serving = excluded.serving, rollout = excluded.rollout, phase = excluded.phase,
                    weight = excluded.weight, state = excluded.state
                """
        ).execute(arguments: [
            state.service, change.at, Int64(bitPattern: state.generation), "\(state.serving)", state.rollout?.id,
            state.rollout?.phase.name, state.split.candidate.basisPoints, text,
        ])
    }

    private func write(_ evidence: String, of service: String, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO evidence (service, evidence) VALUES (?, ?)
                ON CONFLICT (service) DO UPDATE SET evidence = excluded.evidence
                """
        ).execute(arguments: [service, evidence])
    }

    // MARK: - Plumbing

    /// All of `body` or nothing of it, on disk when it returns.
    private func transaction(_ body: (Database) throws -> Void) throws(StoreError) {
        // SQLite would go on writing into a file that nobody finds again.
        guard identity != nil, identity == FileIdentity(directory.database) else {
            throw StoreError(
                .damaged,
                "\(directory.database): moved or deleted while in use; put it back, or restart the agent to begin anew")
        }
        try wording(directory.database) {
            try queue.inTransaction(.immediate) { db in
                try body(db)
                return .commit
            }
        }
    }

    func reading<T>(_ body: (Database) throws -> T) throws(StoreError) -> T {
        try wording(directory.database) { try queue.read(body) }
    }
}

/// Tells a file from another of the same name.
private struct FileIdentity: Equatable {
    let device: dev_t
    let inode: ino_t

    /// Nil where there is no such file.
    init?(_ path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        device = info.st_dev
        inode = info.st_ino
    }
}
