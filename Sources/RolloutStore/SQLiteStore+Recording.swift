import Analysis
import FoundationEssentials
import GRDB
import RolloutController

/// What judges took in, as it was recorded.
extension SQLiteStore {
    /// Bytes of recordings that a service keeps: at 1,000 requests/s two hours, at 100 half a day, at 1 five days. The
    /// oldest go first.
    static let recordingLimit = 16 << 20

    func record(_ part: RecordingPart, head: String?, of service: String, at: Int64, _ db: Database) throws {
        let rollout = part.rollout ?? ""
        if let head {
            try db.execute(
                sql: "INSERT OR REPLACE INTO recording_head (service, rollout, at, judge) VALUES (?, ?, ?, ?)",
                arguments: [service, rollout, at, head])
            // What was kept under this name began from another judge.
            try db.execute(
                sql: "DELETE FROM recording WHERE service = ? AND rollout = ?", arguments: [service, rollout])
        }
        guard !part.items.isEmpty else { return }
        let last = try Row.fetchOne(
            db.cachedStatement(
                sql:
                    "SELECT first + count AS next FROM recording WHERE service = ? AND rollout = ? ORDER BY id DESC LIMIT 1"
            ),
            arguments: [service, rollout])
        try db.cachedStatement(
            sql: """
                INSERT INTO recording (service, rollout, at, first, count, has_gap, body) VALUES (?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            service, rollout, at, part.first ?? last?["next"] ?? 0, part.items.count, part.hasGap,
            Data(ItemCoding.encode(part.items)),
        ])
        // Now and then is enough: a stretch is a few kilobytes.
        stretches[service, default: 0] += 1
        if stretches[service, default: 0] % 128 == 0 { try pruneRecording(of: service, db) }
    }

    private func pruneRecording(of service: String, _ db: Database) throws {
        let cut = try Int64.fetchOne(
            db,
            sql: """
                SELECT max(id) FROM (
                    SELECT id, sum(length(body)) OVER (ORDER BY id DESC) AS size FROM recording WHERE service = ?)
                WHERE size > ?
                """, arguments: [service, Self.recordingLimit])
        guard let cut else { return }
        try db.execute(sql: "DELETE FROM recording WHERE service = ? AND id <= ?", arguments: [service, cut])
        try db.execute(
            sql: """
                DELETE FROM recording_head WHERE service = ?1 AND rollout NOT IN
                    (SELECT DISTINCT rollout FROM recording WHERE service = ?1)
                    AND at < (SELECT min(at) FROM recording WHERE service = ?1)
                """, arguments: [service])
    }

    /// What the judge took in after its evidence was written.
    func addTail(_ index: Int, _ agent: inout StoredAgent, _ db: Database) throws {
        let stored = agent.services[index]
        let service = stored.state.service
        guard let evidence = stored.evidence, !evidence.rollout.isEmpty, case .sequential(let judge) = evidence.judge
        else { return }
        let chunks = try Row.fetchAll(
            db,
            sql: """
                SELECT first, count, has_gap, body FROM recording
                WHERE service = ? AND rollout = ? AND first + count > ? ORDER BY id
                """, arguments: [service, evidence.rollout, judge.items])
        do {
            for chunk in chunks {
                let first: Int = chunk["first"]
                let known = judge.items + agent.services[index].tail.count
                guard first <= known, !(chunk["has_gap"] as Bool) || first == known else { break }
                let items = try ItemCoding.decode([UInt8](chunk["body"] as Data))
                agent.services[index].tail += items.dropFirst(max(0, known - first))
            }
        } catch {
            agent.services[index].tail = []
            agent.unreadable[service] =
                "what the judge of \(service) took in last cannot be read: \(error); its rollout goes on from what was "
                + "written up to a minute before"
        }
    }

    /// Rows of one page: a quiet service writes a few bytes in each.
    private static let rowsOfPage = 4096

    public func recordingPage(service: String, rollout: String, after: Int64, limit: Int) throws -> StoredPage? {
        try reading { db in
            var page = StoredPage()
            if after == 0 {
                page.head = try String.fetchOne(
                    db, sql: "SELECT judge FROM recording_head WHERE service = ? AND rollout = ?",
                    arguments: [service, rollout])
            }
            let rows = try Row.fetchCursor(
                db.cachedStatement(
                    sql: """
                        SELECT id, at, first, count, has_gap, body FROM recording
                        WHERE service = ? AND rollout = ? AND id > ? ORDER BY id
                        """), arguments: [service, rollout, after])
            var last: Int64 = 0
            var read = 0
            while let row = try rows.next() {
                if read == Self.rowsOfPage || page.items.count >= limit {
                    page.next = last
                    break
                }
                if read == 0 {
                    page.first = row["first"]
                    page.begin = row["at"]
                    page.isWhole = after > 0 || page.first == 0
                }
                read += 1
                last = row["id"]
                page.count += row["count"] as Int
                page.end = row["at"]
                if row["has_gap"] { page.isWhole = false }
                page.items += row["body"] as Data
            }
            // After the last page there may be none, where the oldest rows were pruned meanwhile.
            return read > 0 || page.head != nil || after > 0 ? page : nil
        }
    }
}
