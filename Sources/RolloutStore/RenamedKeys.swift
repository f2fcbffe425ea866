import GRDB

/// Migration 5: keys of stored JSON and kinds of events that were renamed, and notes on measurements, which were a text
/// and are a list of facts now.
enum RenamedKeys {
    private static let keys = [
        "standstill": "holdReason", "ratioLane": "ratioByTick", "temper": "discount", "clumping": "clustering",
    ]

    static func migrate(_ db: Database) throws {
        // The trigger that keeps the journal append-only is dropped for this migration and created again after it.
        let trigger = try String.fetchOne(
            db, sql: "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = 'journal_is_append_only'")
        try db.execute(
            sql: """
                DROP TRIGGER IF EXISTS journal_is_append_only;
                UPDATE journal SET kind = 'held' WHERE kind = 'standstill';
                UPDATE journal SET kind = 'hold_cleared' WHERE kind = 'moving';
                """)
        try rename("evaluation", in: "journal", db)
        if let trigger { try db.execute(sql: trigger) }
        try rename("state", in: "service_state", checksum: "state_checksum", db)
        try rename("evidence", in: "evidence", checksum: "evidence_checksum", db)
        try rename("judge", in: "recording_head", db)
    }

    /// Renames the keys in a column of JSON. A text that its checksum says is damaged stays as it is, so that it is
    /// still found to be damaged.
    private static func rename(
        _ column: String, in table: String, checksum: String? = nil, _ db: Database
    ) throws {
        let ids = try Int64.fetchAll(db, sql: "SELECT rowid FROM \(table) WHERE \(column) IS NOT NULL")
        for id in ids {
            let row = try Row.fetchOne(
                db, sql: "SELECT \(column), \(checksum ?? "NULL") FROM \(table) WHERE rowid = ?", arguments: [id])
            guard let row, let text = String.fromDatabaseValue(row[0]) else { continue }
            let stored: Int64? = row[1]
            guard (try? Checksum.check(text, stored)) != nil else { continue }
            let new = renamed(text)
            guard new != text else { continue }
            try db.execute(sql: "UPDATE \(table) SET \(column) = ? WHERE rowid = ?", arguments: [new, id])
            if let checksum, stored != nil {
                try db.execute(
                    sql: "UPDATE \(table) SET \(checksum) = ? WHERE rowid = ?", arguments: [Checksum.of(new), id])
            }
        }
    }

    /// The JSON text with its keys renamed, in one pass over its strings.
    static func renamed(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + 64)
        var place = 0
        while place < bytes.count {
            guard bytes[place] == UInt8(ascii: "\""), let end = endOfString(bytes, from: place) else {
                result.append(bytes[place])
                place += 1
                continue
            }
            guard end < bytes.count, bytes[end] == UInt8(ascii: ":") else {
                result += bytes[place..<end]
                place = end
                continue
            }
            let key = String(decoding: bytes[place + 1..<end - 1], as: UTF8.self)
            let value = end + 1
            place = value
            if key == "note", let valueEnd = endOfString(bytes, from: value) {
                result += #""notes":["#.utf8
                if valueEnd - value > 2 {
                    result += #"{"other":{"_0":"#.utf8
                    result += bytes[value..<valueEnd]
                    result += "}}".utf8
                }
                result += "]".utf8
                place = valueEnd
            } else if key == "lane" {
                // The key `lane` had two meanings: a counting mode, which is `mode` now, and the process of a bound
                // that is judged tick by tick, which is `byTick` now. An attribute of labels may have that name as
                // well, and keeps it.
                let isMode = [#"{"counts""#, #"{"ticks""#].contains { bytes[value...].starts(with: $0.utf8) }
                let isProcess = bytes[value...].starts(with: #"{"factor""#.utf8)
                result += (isMode ? #""mode":"# : isProcess ? #""byTick":"# : #""lane":"#).utf8
            } else {
                result += "\"\(keys[key] ?? key)\":".utf8
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The index after the closing quote of the string that begins at `start`; nil if no string begins there, or if it
    /// does not end.
    private static func endOfString(_ bytes: [UInt8], from start: Int) -> Int? {
        guard start < bytes.count, bytes[start] == UInt8(ascii: "\"") else { return nil }
        var place = start + 1
        while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: "\""): return place + 1
            case UInt8(ascii: "\\"): place += 2
            default: place += 1
            }
        }
        return nil
    }
}
