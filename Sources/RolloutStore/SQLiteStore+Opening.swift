import GRDB
import Glibc

/// The condition in which the database was found when the store was opened.
public enum StoreRecovery: Hashable, Sendable, CustomStringConvertible {
    case opened
    /// There was no database, and no sign that there ever was one. An empty one was created.
    case createdNew
    /// The database could not be read. It was moved to `path`, and the store is empty. The state is lost, so the agent
    /// raises an alarm and starts no rollout.
    case keptAside(path: String, reason: String)
    /// The state that an agent kept in this directory before is gone, and the store is empty. The agent treats this
    /// like `keptAside`.
    case lost(reason: String)

    public var description: String {
        switch self {
        case .opened: "opened"
        case .createdNew: "created anew"
        case .keptAside(let path, let reason): "the database was damaged (\(reason)); it is kept as \(path)"
        case .lost(let reason): reason
        }
    }

    /// The reason why the stored state is gone; nil if it is there, and on a first start.
    public var lostState: String? {
        switch self {
        case .opened, .createdNew: nil
        case .keptAside, .lost: description
        }
    }
}

extension SQLiteStore {
    static func open(_ directory: StateDirectory) throws(StoreError) -> (DatabaseQueue, StoreRecovery) {
        let path = directory.database
        var info = stat()
        guard lstat(path, &info) == 0 else {
            guard errno == ENOENT else { throw StateDirectory.unusable(path, "cannot be read", hint: .file) }
            // A new database is complete when it is renamed into place, so a log without a database means that the
            // database was removed.
            if StateDirectory.exists(path + "-wal") {
                return try replace(directory, reason: "its log is there, the database is not")
            }
            guard directory.initialization.exists else { return (try create(directory), .createdNew) }
            let reason =
                directory.initialization.loss
                ?? "\(path) is missing, although an agent has kept its state there before"
            try directory.initialization.record(loss: reason)
            return (try create(directory), .lost(reason: reason))
        }
        guard info.st_mode & S_IFMT == S_IFREG else {
            throw StateDirectory.unusable(
                path, "is not a file", info.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL, hint: .file)
        }
        guard access(path, R_OK | W_OK) == 0, access(directory.path, W_OK | X_OK) == 0 else {
            throw StateDirectory.unusable(path, "cannot be written", hint: .file)
        }
        do {
            let queue = try openExisting(path)
            // Every commit contains a service, so an empty database in a directory that has seen a commit was created
            // after a loss, by an agent that ended before its first commit.
            guard directory.initialization.exists, try isEmpty(queue) else { return (queue, .opened) }
            let reason =
                directory.initialization.loss
                ?? "\(path) holds no service, although an agent has kept its state there before"
            return (queue, .lost(reason: reason))
        } catch let error as DatabaseError where isDamage(error) {
            return try replace(directory, reason: error.message ?? "\(error.resultCode)")
        } catch let damage as Damage {
            return try replace(directory, reason: damage.reason)
        } catch {
            throw try reworded(error, path)
        }
    }

    /// The error for a database file that cannot be trusted.
    private struct Damage: Error { let reason: String }

    /// True if the file could be read, but its content is not what canaryd wrote. SQLITE_ERROR stands for a missing
    /// table or column. False for errors of the disk and of permissions.
    private static func isDamage(_ error: DatabaseError) -> Bool {
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR, .SQLITE_SCHEMA, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH,
            .SQLITE_FORMAT, .SQLITE_TOOBIG:
            true
        default: false
        }
    }

    private static func reworded(_ error: any Error, _ path: String) throws(StoreError) -> StoreError {
        try convertingErrors(at: path) { throw error }
    }

    /// Moves a damaged database aside and creates an empty one.
    private static func replace(
        _ directory: StateDirectory, reason: String
    ) throws(StoreError) -> (DatabaseQueue, StoreRecovery) {
        let aside = directory.pathAside()
        let recovery = StoreRecovery.keptAside(path: aside, reason: reason)
        // The loss is recorded first: if the agent dies in between, the next start must not look like the first one.
        try directory.initialization.record(loss: recovery.description)
        try directory.keepAside(as: aside)
        return (try create(directory), recovery)
    }

    private static func isEmpty(_ queue: DatabaseQueue) throws -> Bool {
        try queue.inDatabase { try Bool.fetchOne($0, sql: "SELECT NOT EXISTS (SELECT 1 FROM service_state)") ?? true }
    }

    /// Opens a database, checks that it is complete, and migrates it.
    private static func openExisting(_ path: String) throws -> DatabaseQueue {
        try inspectHeader(path)
        let queue = try DatabaseQueue(path: path, configuration: Schema.configuration())
        try queue.inDatabase { db in
            let findings = try String.fetchAll(db, sql: "PRAGMA quick_check(1)")
            guard findings == ["ok"] else { throw Damage(reason: findings.first ?? "no answer to quick_check") }
            try inspectMigrations(db, path)
        }
        try Schema.migrate(queue)
        try queue.inDatabase { db in
            let missing = try Schema.parts.subtracting(Schema.parts(of: db)).sorted()
            guard missing.isEmpty else { throw Damage(reason: "it lacks \(missing.joined(separator: ", "))") }
            guard try Int.fetchOne(db, sql: "SELECT count(*) FROM agent") == 1 else {
                throw Damage(reason: "a table is empty that never is")
            }
        }
        return queue
    }

    /// Refuses a database of a newer canaryd, which has all known migrations and further ones. A list that has an
    /// unknown migration in place of a known one, or that lacks one before its last, is damage.
    private static func inspectMigrations(_ db: Database, _ path: String) throws {
        let migrator = Schema.migrator
        let known = migrator.migrations
        let applied = try migrator.appliedIdentifiers(db)
        let unknown = applied.subtracting(known).sorted()
        let missing = known.filter { !applied.contains($0) }
        if unknown.isEmpty {
            guard missing == Array(known.suffix(missing.count)), missing.count < known.count else {
                throw Damage(reason: "the list of migrations lacks \(missing.joined(separator: ", "))")
            }
        } else if missing.isEmpty {
            throw StoreError(
                .newerSchema,
                "\(path): written by a newer canaryd (\(unknown.joined(separator: ", "))); "
                    + "install that version again, or set another directory as `state`; nothing was changed")
        } else {
            throw Damage(
                reason: "the list of migrations has \(unknown.joined(separator: ", ").debugDescription) where "
                    + "\(missing.joined(separator: ", ")) should be")
        }
    }

    /// Checks the header of the file before SQLite opens it: SQLite takes a file of a few bytes for an empty database,
    /// overwrites it, and deletes a log that does not belong to it.
    private static func inspectHeader(_ path: String) throws {
        let fd = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw StateDirectory.unusable(path, "cannot be read", hint: .file) }
        defer { close(fd) }
        var header = [UInt8](repeating: 0, count: 100)
        guard pread(fd, &header, header.count, 0) == header.count, header.starts(with: "SQLite format 3\0".utf8) else {
            throw Damage(reason: "the file is not a database")
        }
        func number(at offset: Int, bytes: Int) -> Int {
            header[offset..<offset + bytes].reduce(0) { $0 << 8 | Int($1) }
        }
        guard number(at: 68, bytes: 4) == Schema.applicationID else {
            throw Damage(reason: "not a database of canaryd")
        }
        // The versions of the file format for writing and for reading: 1 is a rollback journal, 2 a write-ahead log.
        guard (1...2).contains(header[18]), (1...2).contains(header[19]) else {
            throw Damage(reason: "the file is of an unknown format")
        }
        var info = stat()
        let hasLog = stat(path + "-wal", &info) == 0 && info.st_size > 0
        // Pages may be in the log alone, if there is one. A page size of 1 stands for 65 536.
        let pageSize = number(at: 16, bytes: 2) == 1 ? 65_536 : number(at: 16, bytes: 2)
        guard hasLog || (fstat(fd, &info) == 0 && info.st_size >= pageSize * number(at: 28, bytes: 4)) else {
            throw Damage(reason: "the file is cut off")
        }
    }

    /// Creates the database under another name and renames it, so that a file `canaryd.sqlite` is always complete.
    private static func create(_ directory: StateDirectory) throws(StoreError) -> DatabaseQueue {
        let path = directory.database
        let new = path + ".new"
        for suffix in ["", "-wal", "-shm"] { unlink(new + suffix) }
        do {
            let queue = try DatabaseQueue(path: new, configuration: Schema.configuration())
            try Schema.migrate(queue)
            try queue.close()
            chmod(new, 0o600)
            guard rename(new, path) == 0 else { throw StateDirectory.unusable(path, "cannot be created", hint: .file) }
            directory.sync()
            return try DatabaseQueue(path: path, configuration: Schema.configuration())
        } catch {
            for suffix in ["", "-wal", "-shm"] { unlink(new + suffix) }
            throw try reworded(error, path)
        }
    }
}
