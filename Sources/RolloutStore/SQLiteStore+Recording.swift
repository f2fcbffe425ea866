import Analysis
import FoundationEssentials
import GRDB
import RolloutController

/// Consecutive recorded items of a service.
struct Stretch {
    /// The row of `recent` at which the stretch begins.
    let id: Int64
    /// The id of the rollout; empty between rollouts.
    let rollout: String
    /// The times at which the first and the last part of the stretch were written, in milliseconds since 1970.
    let began: Int64
    var at: Int64
    /// The index of the first item in the recording, and the number of items.
    let first: Int
    var count: Int
    /// True if items before the stretch were lost.
    let hasGap: Bool
    /// The items, encoded by `ItemCoding`.
    var body: [UInt8]
    /// The stored checksum of a body that does not match it; nil if it matches. Such a stretch is not joined with
    /// others and keeps its checksum, so that a reader finds it damaged.
    var failedChecksum: Int64?

    /// The index of the item after the last one. Numbers in a damaged database may have any value, hence the saturating
    /// sum.
    var next: Int { first.addingSaturated(count) }
}

extension FixedWidthInteger {
    /// The saturating sum.
    func addingSaturated(_ other: Self) -> Self {
        let (sum, isOverflow) = addingReportingOverflow(other)
        return isOverflow ? (self < 0 ? .min : .max) : sum
    }
}

/// The recordings of the judges' input.
///
/// Every service adds to its recording every few seconds, but a reader needs the parts of one service together. New
/// parts are therefore appended to one table for all services, `recent`; every two minutes, when the judge itself is
/// stored, those of a service are moved to `recording` as one row. If they were written there at once, each write would
/// dirty pages of every service.
extension SQLiteStore {
    /// The number of bytes of recordings that are kept for a service: two hours at 1,000 requests/s, half a day at 100,
    /// five days at 1. The oldest are pruned first.
    static let recordingLimit = 16 << 20
    /// The size in bytes from which a stretch is moved to `recording` at once, and the number of bytes that a service
    /// records between two prunings.
    static let stretchLimit = 64 << 10
    static let pruneInterval = 1 << 20
    /// The time in milliseconds after which the stretch of an inactive service is moved to `recording`, so that
    /// `recent` stays short.
    static let recentAge: Int64 = 150_000

    /// Appends a part to the recording of a service.
    /// - Parameter head: the judge before the first item, as JSON; nil if the part continues a recording.
    func record(_ part: RecordingPart, head: String?, of service: String, at: Int64, _ db: Database) throws {
        let rollout = part.rollout ?? ""
        if let head {
            try moveGathered(service, db)
            try db.execute(
                sql: """
                    INSERT OR REPLACE INTO recording_head (service, rollout, at, judge, checksum) VALUES (?, ?, ?, ?, ?)
                    """, arguments: [service, rollout, at, head, Checksum.of(head)])
            // Parts that an earlier recording left under this name do not continue from the new head.
            try db.execute(
                sql: "DELETE FROM recording WHERE service = ? AND rollout = ?", arguments: [service, rollout])
            // What was moved may still be in `recent`, which has no index.
            if db.changesCount > 0 {
                try db.execute(
                    sql: "DELETE FROM recent WHERE service = ? AND rollout = ?", arguments: [service, rollout])
            }
        }
        guard !part.items.isEmpty else { return }
        let body = ItemCoding.encode(part.items)
        let first = try part.first ?? next(service, rollout, db)
        try db.cachedStatement(
            sql: """
                INSERT INTO recent (service, rollout, at, first, count, has_gap, body, checksum)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            service, rollout, at, first, part.items.count, part.hasGap, Data(body), Checksum.of(body),
        ])
        add(
            Stretch(
                id: db.lastInsertedRowID, rollout: rollout, began: at, at: at, first: first, count: part.items.count,
                hasGap: part.hasGap, body: body), of: service)
        if gathered[service]?.last?.body.count ?? 0 > Self.stretchLimit { try moveGathered(service, db) }
    }

    /// The index of the next item in a recording.
    private func next(_ service: String, _ rollout: String, _ db: Database) throws -> Int {
        if let last = gathered[service]?.last(where: { $0.rollout == rollout }) { return last.next }
        return try nextMoved(service, rollout, db)
    }

    /// The index of the item after the last one in `recording`.
    private func nextMoved(_ service: String, _ rollout: String, _ db: Database) throws -> Int {
        let last = try Row.fetchOne(
            db.cachedStatement(
                sql: "SELECT first, count FROM recording WHERE service = ? AND rollout = ? ORDER BY id DESC LIMIT 1"),
            arguments: [service, rollout])
        return last.map { ($0["first"] as Int).addingSaturated($0["count"]) } ?? 0
    }

    /// Adds a stretch to `gathered`, joined with the last one if it continues that.
    private func add(_ stretch: Stretch, of service: String) {
        if let last = gathered[service]?.indices.last, gathered[service]![last].rollout == stretch.rollout,
            gathered[service]![last].next == stretch.first, !stretch.hasGap,
            gathered[service]![last].failedChecksum == nil, stretch.failedChecksum == nil
        {
            gathered[service]![last].count = gathered[service]![last].count.addingSaturated(stretch.count)
            gathered[service]![last].at = stretch.at
            gathered[service]![last].body += stretch.body
        } else {
            gathered[service, default: []].append(stretch)
        }
    }

    /// Reads into `gathered` the rows of `recent` that are not in `recording` yet. Rows that were moved stay in
    /// `recent` while an older row of another service is not moved.
    func gather(_ db: Database) throws {
        gathered = [:]
        var moved: [String: [String: Int]] = [:]
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM recent ORDER BY id")
        while let row = try rows.next() {
            var stretch = Stretch(
                id: row["id"], rollout: row["rollout"], began: row["at"], at: row["at"], first: row["first"],
                count: row["count"], hasGap: row["has_gap"], body: [UInt8](row["body"] as Data))
            let service: String = row["service"]
            let known = try moved[service]?[stretch.rollout] ?? nextMoved(service, stretch.rollout, db)
            moved[service, default: [:]][stretch.rollout] = known
            if stretch.next <= known { continue }
            do { try Checksum.check(stretch.body, row["checksum"]) } catch { stretch.failedChecksum = row["checksum"] }
            add(stretch, of: service)
        }
    }

    /// Moves the gathered stretches of a service to `recording`; `forgetRecent` deletes them from `recent`.
    func moveGathered(_ service: String, _ db: Database) throws {
        guard let stretches = gathered.removeValue(forKey: service) else { return }
        for stretch in stretches {
            try db.cachedStatement(
                sql: """
                    INSERT INTO recording (service, rollout, at, first, count, has_gap, body, checksum)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(arguments: [
                service, stretch.rollout, stretch.at, stretch.first, stretch.count, stretch.hasGap, Data(stretch.body),
                stretch.failedChecksum ?? Checksum.of(stretch.body),
            ])
            unpruned[service, default: 0] += stretch.body.count
        }
        guard unpruned[service, default: 0] > Self.pruneInterval else { return }
        unpruned[service] = nil
        try pruneRecording(of: service, db)
    }

    /// Moves old stretches to `recording`, and deletes from `recent` the rows before the first that is not moved yet,
    /// so that whole pages become free.
    func forgetRecent(at: Int64, _ db: Database) throws {
        let moved = at.addingSaturated(-Self.recentAge)
        for (service, stretches) in gathered where stretches[0].began < moved { try moveGathered(service, db) }
        let oldest = gathered.values.map { $0[0].id }.min() ?? .max
        try db.cachedStatement(sql: "DELETE FROM recent WHERE id < ?").execute(arguments: [oldest])
    }

    /// Moves the stretches of a service to `recording` before it is read. If the disk cannot be written, a reader
    /// misses the last minute.
    private func moveGatheredNow(_ service: String) {
        let before = (gathered, unpruned)
        do { try transaction { try moveGathered(service, $0) } } catch { (gathered, unpruned) = before }
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

    /// Adds to a loaded service the recorded items that its judge took after its evidence was written.
    func addTail(_ index: Int, _ agent: inout StoredAgent, _ db: Database) throws {
        let stored = agent.services[index]
        let service = stored.state.service
        guard let evidence = stored.evidence, !evidence.rollout.isEmpty, case .sequential(let judge) = evidence.judge
        else { return }
        let moved = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT first, has_gap, body, checksum FROM recording
                    WHERE service = ? AND rollout = ? AND first + count > ? ORDER BY id
                    """), arguments: [service, evidence.rollout, judge.items])
        let recent = (gathered[service] ?? []).filter { $0.rollout == evidence.rollout && $0.next > judge.items }
        var chunks: [(first: Int, hasGap: Bool, body: [UInt8], checksum: Int64?)] = moved.map {
            ($0["first"], $0["has_gap"], [UInt8]($0["body"] as Data), $0["checksum"])
        }
        chunks += recent.map { ($0.first, $0.hasGap, $0.body, $0.failedChecksum) }
        do {
            for chunk in chunks {
                let known = judge.items.addingSaturated(agent.services[index].tail.count)
                guard chunk.first <= known, !chunk.hasGap || chunk.first == known else { break }
                // A damaged `first` may be so negative that the difference overflows; such a chunk adds nothing.
                let (seen, isOverflow) = known.subtractingReportingOverflow(chunk.first)
                try Checksum.check(chunk.body, chunk.checksum)
                let items = try ItemCoding.decode(chunk.body)
                agent.services[index].tail += items.dropFirst(isOverflow ? items.count : seen)
            }
        } catch {
            agent.services[index].tail = []
            agent.unreadable[service] =
                "the last input of the judge of \(service) cannot be read: \(error); its rollout continues with the "
                + "evidence that was written up to two minutes before"
        }
    }

    /// The judge before the first item, as JSON; nil if none is kept, or if it is damaged, for which `isSound` is
    /// false.
    private static func head(_ service: String, _ rollout: String, _ db: Database) throws -> (String?, isSound: Bool) {
        let row = try Row.fetchOne(
            db, sql: "SELECT judge, checksum FROM recording_head WHERE service = ? AND rollout = ?",
            arguments: [service, rollout])
        guard let row else { return (nil, true) }
        let text: String = row["judge"]
        do { try Checksum.check(text, row["checksum"]) } catch { return (nil, false) }
        return (text, true)
    }

    /// The largest number of rows of a page. A quiet service writes only a few bytes in each.
    private static let rowsOfPage = 4096

    public func recordingPage(service: String, rollout: String, after: Int64, limit: Int) throws -> StoredPage? {
        moveGatheredNow(service)
        return try reading { db in
            var page = StoredPage()
            var isHeadSound = true
            if after == 0 {
                (page.head, isHeadSound) = try Self.head(service, rollout, db)
            }
            let rows = try Row.fetchCursor(
                db.cachedStatement(
                    sql: """
                        SELECT id, at, first, count, has_gap, body, checksum FROM recording
                        WHERE service = ? AND rollout = ? AND id > ? ORDER BY id
                        """), arguments: [service, rollout, after])
            var last: Int64 = 0
            var read = 0
            var expected = 0
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
                page.end = row["at"]
                let first: Int = row["first"]
                if row["has_gap"] || read > 1 && first != expected { page.isWhole = false }
                expected = first.addingSaturated(row["count"])
                let body: Data = row["body"]
                do { try Checksum.check(body, row["checksum"]) } catch {
                    page.isWhole = false
                    continue
                }
                page.count = page.count.addingSaturated(row["count"])
                page.items += body
            }
            if !isHeadSound { page.isWhole = false }
            // There may be no further rows, if the oldest were pruned meanwhile.
            return read > 0 || page.head != nil || !isHeadSound || after > 0 ? page : nil
        }
    }
}
