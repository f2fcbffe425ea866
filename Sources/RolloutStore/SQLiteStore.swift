import Analysis
import GRDB
import Glibc
import PolicyModel
import RolloutController
import RolloutEngine

/// Keeps states, evidence, journal, history and recordings in `canaryd.sqlite`: SQLite with a write-ahead log and
/// synchronous=FULL, so that an acknowledged commit survives a kill and a power loss. A commit is one transaction and
/// one fsync. The store locks the state directory as long as it exists. Every method throws `StoreError`.
public final class SQLiteStore: StateStore {
    /// The condition in which the database was found.
    public let recovery: StoreRecovery
    /// The limits of the journal and the history.
    public let retention: Retention
    let queue: DatabaseQueue
    let json = StableJSON()
    private let directory: StateDirectory
    private let identity: FileIdentity?
    /// True if `markRunning` failed. The next commit then writes the mark, so that a full disk at the start cannot make
    /// a later crash look like a clean stop.
    private var isRunningMarkPending = false
    /// True until `InitializationFile` says that there is state; the next commit writes that.
    private var isInitializationPending: Bool
    /// The rows of each service that was loaded or written, by service. Nobody else writes them, so that a commit need
    /// not read them back.
    private var kept: [String: Kept] = [:]
    /// The stretches that are in `recent` and not yet in `recording`, by service.
    var gathered: [String: [Stretch]] = [:]
    /// The number of bytes added to a service's recording since it was last pruned.
    var unpruned: [String: Int] = [:]

    /// Reads a clock in milliseconds that nobody sets; `prunedAt` is its reading at the last pruning.
    private let uptime: () -> Int64
    private var prunedAt: Int64

    /// - Parameters:
    ///   - path: the state directory; created (0700) if it is missing.
    ///   - uptime: reads a clock in milliseconds that nobody sets; by default the time since boot, including sleep.
    public init(
        directory path: String, retention: Retention = Retention(),
        uptime: @escaping () -> Int64 = SQLiteStore.sinceBoot
    ) throws(StoreError) {
        self.uptime = uptime
        prunedAt = uptime()
        directory = try StateDirectory(path)
        (queue, recovery) = try Self.open(directory)
        identity = FileIdentity(directory.database)
        isInitializationPending = !directory.initialization.exists || directory.initialization.loss != nil
        self.retention = retention
    }

    /// The time since the machine was booted in milliseconds, including the time for which it slept.
    public static func sinceBoot() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }

    // MARK: - Agent

    public func load() throws -> StoredAgent {
        try convertingErrors(at: directory.database) {
            try queue.read { db in
                let clean = try Bool.fetchOne(db, sql: "SELECT stopped_cleanly FROM agent") ?? false
                var agent = StoredAgent(stoppedCleanly: clean)
                let rows = try Row.fetchAll(
                    db,
                    sql: """
                        SELECT * FROM service_state LEFT JOIN evidence USING (service) LEFT JOIN progress USING (service)
                        ORDER BY service
                        """)
                for row in rows { take(row, into: &agent) }
                try gather(db)
                for i in agent.services.indices { try addTail(i, &agent, db) }
                return agent
            }
        }
    }

    /// Adds a stored service to the agent; one that cannot be read is added to `unreadable`.
    private func take(_ row: Row, into agent: inout StoredAgent) {
        let service: String = row["service"]
        kept[service] = nil
        let state: ServiceState
        do { state = try self.state(row) } catch {
            agent.unreadable[service] =
                "the stored state of \(service) cannot be read: \(error); the row is kept in the table "
                + "unreadable_state of \(directory.database) when the next is written; check what should serve, "
                + "then canaryctl unfreeze \(service)"
            return
        }
        guard state.service == service else {
            // Loading it under its own name would make the other service look new.
            agent.unreadable[state.service] =
                "the state of \(state.service) is stored under the name \(service): \(directory.database) is damaged; "
                + "check what should serve, then canaryctl unfreeze \(state.service)"
            return
        }
        var evidence: Evidence?
        do {
            if let text: String = row["evidence"] {
                try Checksum.check(text, row["evidence_checksum"])
                evidence = try json.value(Evidence.self, text)
            }
        } catch {
            agent.unreadable[service] =
                "what the judge of \(service) had gathered cannot be read: \(error); its rollout continues without "
                + "earlier evidence; canaryctl restart \(service) starts it again"
        }
        agent.services.append(StoredService(state: state, evidence: evidence))
        kept[service] = Kept(state: state, evidence: evidence, text: row["evidence"])
    }

    /// The state as last written, with the newer clocks of its rollout from `progress`, which are written more often.
    private func state(_ row: Row) throws -> ServiceState {
        try Checksum.check(row["state"], row["state_checksum"])
        var state = try json.value(ServiceState.self, row["state"])
        if let held: Int64 = row["held"], state.rollout != nil {
            state.rollout?.held = .nanoseconds(held)
            state.rollout?.active = .nanoseconds(row["active"] as Int64)
            state.rollout?.withoutData = .nanoseconds(row["without_data"] as Int64)
        }
        return state
    }

    public func concernsEveryCommit(_ error: any Error) -> Bool {
        switch (error as? StoreError)?.code {
        case .busy, .damaged, .unusable: true
        case .inUse, .newerSchema, .full, .unreadable, .io, nil: false
        }
    }

    public func markRunning() throws {
        isRunningMarkPending = true
        try transaction { try $0.execute(sql: "UPDATE agent SET stopped_cleanly = 0 WHERE stopped_cleanly <> 0") }
        isRunningMarkPending = false
    }

    public func markStopped() throws {
        try transaction { try $0.execute(sql: "UPDATE agent SET stopped_cleanly = 1 WHERE stopped_cleanly <> 1") }
        isRunningMarkPending = false
    }

    // MARK: - Commit

    /// Commits changes. A change without anything new (same state, same evidence, no events, no recording) writes
    /// nothing.
    public func commit(_ changes: [StateChange]) throws {
        let texts = try changes.map { change in
            (
                evidence: try change.evidence.map { try json.text($0) },
                evaluations: try change.events.map { try $0.evaluation.map { try json.text($0) } },
                heads: try change.recording.map { try $0.head.map { try json.text($0) } }
            )
        }
        var new: [String: Kept] = [:]
        let before = (gathered, unpruned)
        do {
            try transaction { try write(changes, texts, &new, $0) }
        } catch {
            (gathered, unpruned) = before
            throw error
        }
        kept.merge(new) { $1 }
        isRunningMarkPending = false
        if isInitializationPending, !changes.isEmpty {
            // The changes themselves are on disk. If this write fails, the next commit repeats it.
            isInitializationPending = (try? directory.initialization.recordCommit()) == nil
        }
    }

    /// The JSON texts of a change: an evaluation for each event, and a head for each part of the recording.
    private typealias Texts = (evidence: String?, evaluations: [String?], heads: [String?])

    private func write(_ changes: [StateChange], _ texts: [Texts], _ new: inout [String: Kept], _ db: Database) throws {
        if isRunningMarkPending {
            try db.execute(sql: "UPDATE agent SET stopped_cleanly = 0 WHERE stopped_cleanly <> 0")
        }
        for (change, text) in zip(changes, texts) {
            let service = change.state.service
            let before = try new[service] ?? kept[service] ?? read(service, db)
            var after = before
            if before.state != change.state { try write(change, before, db) }
            after.state = change.state
            after.unreadable = nil
            if let evidence = text.evidence, before.evidence != evidence.hashValue {
                try write(evidence, of: service, db)
                after.take(change.evidence, text: evidence)
            }
            new[service] = after
            var ids: [Int64] = []
            for (event, evaluation) in zip(change.events, text.evaluations) {
                ids.append(try append(event, evaluation, of: service, at: change.at, db))
            }
            for (part, head) in zip(change.recording, text.heads) {
                try record(part, head: head, of: service, at: change.at, db)
            }
            if change.evidence != nil { try moveGathered(service, db) }
            // Nothing in the history changes without an event.
            if !change.events.isEmpty { try recordHistory(of: change, ids: ids, before: before, db) }
            guard !change.events.isEmpty else { continue }
            let now = uptime()
            try retention.prune(db, after: change, elapsed: now - prunedAt)
            prunedAt = now
        }
        if let at = changes.last?.at { try forgetRecent(at: at, db) }
    }

    /// What the next commit has to know about a service's rows.
    struct Kept {
        /// The stored state; nil if there is none, or if it cannot be read.
        var state: ServiceState?
        /// The texts of a state that could not be read and of its evidence. They are moved to `unreadable_state` before
        /// they are overwritten.
        var unreadable: (state: String, evidence: String?)?
        /// The hash of the evidence's text.
        var evidence: Int?
        private var rollout = ""
        private var candidateRequests: UInt64 = 0

        init() {}

        init(state: ServiceState, evidence: Evidence?, text: String?) {
            self.state = state
            take(evidence, text: text)
        }

        mutating func take(_ evidence: Evidence?, text: String?) {
            self.evidence = text?.hashValue
            rollout = evidence?.rollout ?? ""
            candidateRequests = evidence?.candidateRequests(of: rollout) ?? 0
        }

        /// The number of the candidate's requests in the evidence; nil if that is of another rollout.
        func candidateRequests(of id: String) -> UInt64? { id == rollout ? candidateRequests : nil }
    }

    private func read(_ service: String, _ db: Database) throws -> Kept {
        let row = try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT * FROM service_state LEFT JOIN evidence USING (service) LEFT JOIN progress USING (service)
                    WHERE service = ?
                    """), arguments: [service])
        guard let row else { return Kept() }
        let text: String? = row["evidence"]
        guard let state = try? state(row) else {
            var kept = Kept()
            kept.unreadable = (row["state"], text)
            return kept
        }
        return Kept(state: state, evidence: text.flatMap { try? json.value(Evidence.self, $0) }, text: text)
    }

    private func write(_ change: StateChange, _ before: Kept, _ db: Database) throws {
        let state = change.state
        if let old = before.unreadable {
            try db.execute(
                sql: "INSERT INTO unreadable_state (service, at, state, evidence) VALUES (?, ?, ?, ?)",
                arguments: [state.service, change.at, old.state, old.evidence])
        }
        if !state.differsInTimeOnly(from: before.state) { try writeWhole(change, db) }
        guard let rollout = state.rollout else { return }
        try db.cachedStatement(
            sql: """
                INSERT INTO progress (service, held, active, without_data) VALUES (?, ?, ?, ?)
                ON CONFLICT (service) DO UPDATE SET held = excluded.held, active = excluded.active,
                    without_data = excluded.without_data
                """
        ).execute(arguments: [
            state.service, rollout.held.nanoseconds, rollout.active.nanoseconds, rollout.withoutData.nanoseconds,
        ])
    }

    private func writeWhole(_ change: StateChange, _ db: Database) throws {
        let state = change.state
        let text = try json.text(state)
        try db.cachedStatement(
            sql: """
                INSERT INTO service_state (service, at, generation, serving, rollout, phase, weight, state, state_checksum)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (service) DO UPDATE SET at = excluded.at, generation = excluded.generation,
                    serving = excluded.serving, rollout = excluded.rollout, phase = excluded.phase,
                    weight = excluded.weight, state = excluded.state, state_checksum = excluded.state_checksum
                """
        ).execute(arguments: [
            state.service, change.at, Int64(bitPattern: state.generation), "\(state.serving)", state.rollout?.id,
            state.rollout?.phase.name, state.split.candidate.basisPoints, text, Checksum.of(text),
        ])
    }

    private func write(_ evidence: String, of service: String, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO evidence (service, evidence, evidence_checksum) VALUES (?, ?, ?)
                ON CONFLICT (service) DO UPDATE
                    SET evidence = excluded.evidence, evidence_checksum = excluded.evidence_checksum
                """
        ).execute(arguments: [service, evidence, Checksum.of(evidence)])
    }

    // MARK: - Plumbing

    /// Runs `body` in a transaction, which is on disk when this returns. If it throws, nothing is written.
    func transaction(_ body: (Database) throws -> Void) throws(StoreError) {
        // If the file was moved or deleted, SQLite would keep writing to it, and the next start would not find it.
        guard identity != nil, identity == FileIdentity(directory.database) else {
            throw StoreError(
                .damaged,
                "\(directory.database): moved or deleted while in use; put it back, or restart the agent to begin anew")
        }
        try convertingErrors(at: directory.database) {
            try queue.inTransaction(.immediate) { db in
                try body(db)
                return .commit
            }
        }
    }

    func reading<T>(_ body: (Database) throws -> T) throws(StoreError) -> T {
        try convertingErrors(at: directory.database) { try queue.read(body) }
    }
}

extension ServiceState {
    /// True if only the clocks of the rollout differ. They change all the time, and are a small part of a state.
    fileprivate func differsInTimeOnly(from other: ServiceState?) -> Bool {
        guard var other, let rollout, other.rollout != nil else { return false }
        other.rollout?.held = rollout.held
        other.rollout?.active = rollout.active
        other.rollout?.withoutData = rollout.withoutData
        return self == other
    }
}

/// The identity of a file, which another file of the same name does not have.
private struct FileIdentity: Equatable {
    let device: dev_t
    let inode: ino_t

    /// Reads the identity of a file; nil if it does not exist.
    init?(_ path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        device = info.st_dev
        inode = info.st_ino
    }
}
