import GRDB

/// The tables of the database, as a list of migrations. A migration that has shipped is never edited; changes are made
/// by a new one.
enum Schema {
    /// `cana` in ASCII, by which `file` and SQLite's tools recognize the database.
    static let applicationID: Int32 = 0x6361_6E61

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1-states-journal-history") { db in
            try db.execute(
                sql: """
                    CREATE TABLE agent (
                        id INTEGER PRIMARY KEY CHECK (id = 1),
                        stopped_cleanly INTEGER NOT NULL
                    ) STRICT;
                    INSERT INTO agent VALUES (1, 1);

                    CREATE TABLE service_state (
                        service TEXT PRIMARY KEY,
                        at INTEGER NOT NULL,
                        generation INTEGER NOT NULL,
                        serving TEXT NOT NULL,
                        rollout TEXT,
                        phase TEXT,
                        weight INTEGER NOT NULL,
                        state TEXT NOT NULL
                    ) STRICT;

                    CREATE TABLE evidence (
                        service TEXT PRIMARY KEY REFERENCES service_state (service),
                        evidence TEXT NOT NULL
                    ) STRICT;

                    CREATE TABLE unreadable_state (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        service TEXT NOT NULL,
                        at INTEGER NOT NULL,
                        state TEXT NOT NULL,
                        evidence TEXT
                    ) STRICT;

                    CREATE TABLE journal (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        at INTEGER NOT NULL,
                        service TEXT NOT NULL REFERENCES service_state (service),
                        rollout TEXT,
                        kind TEXT NOT NULL,
                        decision INTEGER NOT NULL,
                        generation INTEGER NOT NULL,
                        weight INTEGER NOT NULL,
                        by TEXT NOT NULL,
                        message TEXT NOT NULL,
                        evaluation TEXT
                    ) STRICT;
                    CREATE INDEX journal_of_service ON journal (service, id);
                    CREATE INDEX journal_by_age ON journal (decision, id);
                    CREATE TRIGGER journal_is_append_only BEFORE UPDATE ON journal
                        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

                    CREATE TABLE rollouts (
                        number INTEGER PRIMARY KEY AUTOINCREMENT,
                        id TEXT NOT NULL,
                        service TEXT NOT NULL REFERENCES service_state (service),
                        baseline TEXT NOT NULL,
                        baseline_revision TEXT,
                        candidate TEXT NOT NULL,
                        candidate_revision TEXT,
                        started_at INTEGER NOT NULL,
                        ended_at INTEGER,
                        result TEXT NOT NULL,
                        reason TEXT NOT NULL DEFAULT '',
                        decision INTEGER REFERENCES journal (id) ON DELETE SET NULL,
                        candidate_requests INTEGER NOT NULL DEFAULT 0
                    ) STRICT;
                    CREATE INDEX rollouts_of_service ON rollouts (service, number);
                    CREATE INDEX rollouts_by_decision ON rollouts (decision) WHERE decision IS NOT NULL;
                    """)
        }
        migrator.registerMigration("2-recording") { db in
            try db.execute(
                sql: """
                    CREATE TABLE recording_head (
                        service TEXT NOT NULL,
                        rollout TEXT NOT NULL,
                        at INTEGER NOT NULL,
                        judge TEXT NOT NULL,
                        PRIMARY KEY (service, rollout)
                    ) STRICT;
                    CREATE TABLE recording (
                        id INTEGER PRIMARY KEY AUTOINCREMENT,
                        service TEXT NOT NULL,
                        rollout TEXT NOT NULL,
                        at INTEGER NOT NULL,
                        first INTEGER NOT NULL,
                        count INTEGER NOT NULL,
                        has_gap INTEGER NOT NULL,
                        body BLOB NOT NULL
                    ) STRICT;
                    CREATE INDEX recording_of_service ON recording (service, rollout, id);
                    """)
        }
        migrator.registerMigration("3-progress-recent") { db in
            try db.execute(
                sql: """
                    CREATE TABLE progress (
                        service TEXT PRIMARY KEY REFERENCES service_state (service),
                        held INTEGER NOT NULL,
                        active INTEGER NOT NULL,
                        without_data INTEGER NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    CREATE TABLE recent (
                        id INTEGER PRIMARY KEY,
                        service TEXT NOT NULL,
                        rollout TEXT NOT NULL,
                        at INTEGER NOT NULL,
                        first INTEGER NOT NULL,
                        count INTEGER NOT NULL,
                        has_gap INTEGER NOT NULL,
                        body BLOB NOT NULL
                    ) STRICT;
                    """)
        }
        migrator.registerMigration("4-age-limits-checksums") { db in
            try db.execute(
                sql: """
                    ALTER TABLE agent ADD COLUMN entries_aged_until INTEGER;
                    ALTER TABLE agent ADD COLUMN decisions_aged_until INTEGER;
                    ALTER TABLE service_state ADD COLUMN state_checksum INTEGER;
                    ALTER TABLE evidence ADD COLUMN evidence_checksum INTEGER;
                    """)
        }
        migrator.registerMigration("5-renamed-keys") { db in
            try db.execute(sql: "ALTER TABLE journal ADD COLUMN reason TEXT")
            try RenamedKeys.migrate(db)
        }
        migrator.registerMigration("6-recording-checksums") { db in
            try db.execute(
                sql: """
                    ALTER TABLE recording_head ADD COLUMN checksum INTEGER;
                    ALTER TABLE recording ADD COLUMN checksum INTEGER;
                    ALTER TABLE recent ADD COLUMN checksum INTEGER;
                    """)
        }
        return migrator
    }

    /// The parts that a complete database has, such as `table recent`, `trigger journal_is_append_only` and
    /// `column recent.body`.
    static let parts: Set<String> = {
        do {
            let queue = try DatabaseQueue()
            try migrator.migrate(queue)
            return try queue.inDatabase { try parts(of: $0) }
        } catch {
            preconditionFailure("the migrations do not work on an empty database: \(error)")
        }
    }()

    static func parts(of db: Database) throws -> Set<String> {
        let objects = try String.fetchAll(db, sql: "SELECT type || ' ' || name FROM sqlite_schema")
        let columns = try String.fetchAll(
            db,
            sql: """
                SELECT 'column ' || t.name || '.' || c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
                WHERE t.type = 'table'
                """)
        return Set(objects + columns)
    }

    /// Sets up one connection.
    static func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.label = "canaryd.store"
        // A person with sqlite3 may hold the lock for a moment; the control thread must not wait long.
        configuration.busyMode = .timeout(1)
        configuration.foreignKeysEnabled = true
        configuration.prepareDatabase { db in
            // FULL: an acknowledged commit must survive a power loss, above all that of a revert.
            try db.execute(
                sql: """
                    PRAGMA journal_mode = WAL;
                    PRAGMA synchronous = FULL;
                    PRAGMA journal_size_limit = \(walSizeLimit);
                    """)
        }
        return configuration
    }

    /// The size in bytes to which the write-ahead log is truncated after a checkpoint: that of the 1,000 pages after
    /// which SQLite makes one, so that a burst does not keep the space for good.
    static let walSizeLimit = 4 << 20

    /// Brings the tables up to date.
    static func migrate(_ db: some DatabaseWriter) throws {
        try migrator.migrate(db)
        let version = migrator.migrations.count
        try db.writeWithoutTransaction { db in
            if try Int32.fetchOne(db, sql: "PRAGMA application_id") != applicationID {
                try db.execute(sql: "PRAGMA application_id = \(applicationID)")
            }
            if try Int.fetchOne(db, sql: "PRAGMA user_version") != version {
                try db.execute(sql: "PRAGMA user_version = \(version)")
            }
        }
    }
}
