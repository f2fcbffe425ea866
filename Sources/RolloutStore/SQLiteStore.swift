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
    private var isRunningMarkPending = false
    /// True until `InitializationFile` says that there is state, which the next commit has to write there.
    private var isInitializationPending: Bool
    /// What is on disk of each service that was loaded or written: nobody else writes, so a commit reads nothing back.
    private var kept: [String: Kept] = [:]
    /// What lies in `recent` and not yet in `recording`, by service.
    var gathered: [String: [Stretch]] = [:]
    /// Bytes added to a service's recording since it was pruned.
    var unpruned: [String: Int] = [:]

    /// Reads a clock in milliseconds that nobody sets; `prunedAt` is its reading at the last deletion by age.
    private let uptime: () -> Int64
    private var prunedAt: Int64

    /// - Parameters:
    ///   - path: the state directory; created (0700) if it is missing.
    ///   - uptime: milliseconds of a clock that nobody sets; of the machine, its sleep included, by default.
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

    public static func sinceBoot() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
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
                "the stored state of \(state.service) lies under the name \(service): \(directory.database) is damaged; "
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
                "what the judge of \(service) had gathered cannot be read: \(error); its rollout goes on and "
                + "counts from nothing; canaryctl restart \(service) starts it over"
        }
        agent.services.append(StoredService(state: state, evidence: evidence))
        kept[service] = Kept(state: state, evidence: evidence, text: row["evidence"])
    }

    /// The state as it was last written whole, with the clocks of its rollout, which are written more often.
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

    /// A change that says nothing new (same state, same evidence, no events) touches no page and no disk.
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
            // What was asked for is on disk; where this is not, the next commit tries again.
            isInitializationPending = (try? directory.initialization.recordCommit()) == nil
        }
    }

    /// What of a change is written as JSON; heads by part of the recording.
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
            if change.evidence != nil { try settle(service, db) }
            // Nothing in the history changes without an event.
            if !change.events.isEmpty { try recordHistory(of: change, ids: ids, before: before, db) }
            guard !change.events.isEmpty else { continue }
            let now = uptime()
            try retention.prune(db, after: change, elapsed: now - prunedAt)
            prunedAt = now
        }
        if let at = changes.last?.at { try forgetRecent(at: at, db) }
    }

    /// What a service's rows hold, as far as the next commit asks.
    struct Kept {
        /// The stored state; nil if there is none, or if it cannot be read.
        var state: ServiceState?
        /// Texts whose state nobody could read, so nobody decided to give them up.
        var unreadable: (state: String, evidence: String?)?
        /// Hash of the evidence's text.
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

    /// All of `body` or nothing of it, on disk when it returns.
    func transaction(_ body: (Database) throws -> Void) throws(StoreError) {
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

extension ServiceState {
    /// A rollout's clocks move all the time, and are a small part of a state.
    fileprivate func differsInTimeOnly(from other: ServiceState?) -> Bool {
        guard var other, let rollout, other.rollout != nil else { return false }
        other.rollout?.held = rollout.held
        other.rollout?.active = rollout.active
        other.rollout?.withoutData = rollout.withoutData
        return self == other
    }
}

/// Tells a file from another of the same name.
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
