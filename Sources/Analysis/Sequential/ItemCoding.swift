import PolicyModel

/// The binary coding of a recording of judged items. It takes some 35 bytes for each second and two to four for each
/// request, and two more for a request with a key. Numbers are coded in LEB128: seven bits a byte, the lowest first,
/// the top bit set if more follow. Signed numbers are zigzag-coded first.
public enum ItemCoding {
    /// The error of bytes that cannot be decoded.
    public struct Damaged: Error, CustomStringConvertible {
        /// The offset of the byte at which decoding failed.
        public var place: Int
        /// True for a recording of an earlier build, which did not keep the statuses of responses.
        public var isOutdated = false
        public var description: String {
            isOutdated
                ? "the recording was made by an earlier build, which did not keep the statuses of responses"
                : "the recording is damaged at byte \(place)"
        }
    }

    public static func encode(_ items: [JudgedItem]) -> [UInt8] {
        var writer = Writer()
        for item in items {
            switch item {
            case .errors(let tick): writer.write(tick)
            case .latencies(let tick): writer.write(tick)
            case .rows(let rows): writer.write(rows)
            }
        }
        return writer.bytes
    }

    /// - Throws: `Damaged`.
    public static func decode(_ bytes: [UInt8]) throws(Damaged) -> [JudgedItem] {
        var reader = Reader(bytes: bytes)
        var items: [JudgedItem] = []
        while !reader.isAtEnd { items.append(try reader.item()) }
        return items
    }

    private enum Tag {
        /// Error ticks of earlier builds, which kept only whether a request failed: they cannot be judged by status.
        static let errorsWithoutStatus: UInt64 = 1
        static let latencies: UInt64 = 2
        static let rows: UInt64 = 3
        static let errors: UInt64 = 4
        /// Latencies and rows with keys.
        static let keyedLatencies: UInt64 = 5
        static let keyedRows: UInt64 = 6
    }

    private struct Writer {
        var bytes: [UInt8] = []

        mutating func write(_ value: UInt64) {
            var rest = value
            while rest >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            bytes.append(UInt8(rest))
        }

        mutating func write(signed value: Int64) { write(UInt64(bitPattern: (value << 1) ^ (value >> 63))) }

        /// Writes 0 for nil, and n + 1 for the number n.
        mutating func write(optional value: Int?) { write(value.map { UInt64(bitPattern: Int64($0)) &+ 1 } ?? 0) }

        mutating func write(_ text: String) {
            write(UInt64(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }

        mutating func write(_ tick: ErrorTick) {
            write(Tag.errors)
            write(signed: tick.second)
            write(UInt64(tick.step))
            for i in tick.trials.indices {
                write(UInt64(tick.trials[i]))
                guard tick.trials[i] > 0 else { continue }
                write(UInt64(tick.responses[i].entries.count))
                for entry in tick.responses[i].entries {
                    write(UInt64(entry.code.rawValue))
                    write(entry.count)
                }
            }
            // Most requests succeed, which takes one bit; only for the others a code follows.
            write(UInt64(tick.keys.count))
            var last: UInt64 = 0
            for response in tick.keys.sorted() {
                let fails = response.code != .success
                let head = UInt64(response.key) << 2 | UInt64(response.arm.rawValue) << 1 | (fails ? 1 : 0)
                write(head - last)
                if fails { write(UInt64(response.code.rawValue)) }
                last = head
            }
        }

        mutating func write(_ tick: LatencyTick) {
            let isKeyed = !tick.keys.isEmpty && tick.keys.count == tick.entries.count
            write(isKeyed ? Tag.keyedLatencies : Tag.latencies)
            write(signed: tick.second)
            write(UInt64(tick.step))
            write(UInt64(tick.share.basisPoints))
            for n in tick.assigned { write(UInt64(n)) }
            // Sorting brings similar entries together, so that their differences are small numbers.
            if isKeyed {
                writeSorted(zip(tick.entries, tick.keys).map { $0.sortable << 32 | UInt64($1) })
            } else {
                writeSorted(tick.entries.map { $0.sortable })
            }
        }

        /// Writes numbers in ascending order, each as the difference from the one before.
        mutating func writeSorted(_ values: [UInt64]) {
            write(UInt64(values.count))
            var last: UInt64 = 0
            for value in values.sorted() {
                write(value - last)
                last = value
            }
        }

        mutating func write(_ rows: [QualityRow]) {
            let isKeyed = rows.contains { $0.key != nil }
            write(isKeyed ? Tag.keyedRows : Tag.rows)
            write(UInt64(rows.count))
            for row in rows {
                if isKeyed { write(UInt64(row.key ?? 0)) }
                write(UInt64(row.arm.rawValue))
                write(UInt64(row.step))
                write(optional: row.label)
                write(optional: row.prediction)
                // The low bit says whether a score follows, the next one whether the row is late.
                write((row.score == nil ? 0 : 1) | (row.isLate ? 2 : 0))
                if let score = row.score {
                    for i in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: score.bitPattern >> (8 * UInt64(i)))) }
                }
                write(UInt64(row.groups.count))
                for group in row.groups { write(group) }
            }
        }
    }

    private struct Reader {
        let bytes: [UInt8]
        var place = 0

        var isAtEnd: Bool { place >= bytes.count }
        private var damaged: Damaged { Damaged(place: place) }

        mutating func number(atMost limit: UInt64 = .max) throws(Damaged) -> UInt64 {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while true {
                guard place < bytes.count, shift < 64 else { throw damaged }
                let byte = bytes[place]
                place += 1
                value |= UInt64(byte & 0x7f) << shift
                if byte & 0x80 == 0 { break }
                shift += 7
            }
            guard value <= limit else { throw damaged }
            return value
        }

        /// Reads the number of elements that follow. As each takes at least one byte, a larger number is damaged.
        mutating func count() throws(Damaged) -> Int {
            let count = try number()
            guard count <= UInt64(bytes.count - place) else { throw damaged }
            return Int(count)
        }

        mutating func signed() throws(Damaged) -> Int64 {
            let raw = try number()
            return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
        }

        mutating func optional() throws(Damaged) -> Int? {
            let raw = try number()
            return raw == 0 ? nil : Int(Int64(bitPattern: raw &- 1))
        }

        mutating func text() throws(Damaged) -> String {
            let length = try count()
            defer { place += length }
            return String(decoding: bytes[place..<place + length], as: UTF8.self)
        }

        /// Reads a monotonic second, whose nanoseconds must fit into an Int64. Within that range sums and differences
        /// of seconds do not overflow in the judges.
        mutating func second() throws(Damaged) -> Int64 {
            let second = try signed()
            guard second.magnitude <= UInt64(Int64.max / 1_000_000_000) else { throw damaged }
            return second
        }

        mutating func item() throws(Damaged) -> JudgedItem {
            switch try number() {
            case Tag.errors: return .errors(try errorTick())
            case Tag.latencies: return .latencies(try latencyTick(isKeyed: false))
            case Tag.rows: return .rows(try rows(isKeyed: false))
            case Tag.keyedRows: return .rows(try rows(isKeyed: true))
            case Tag.keyedLatencies: return .latencies(try latencyTick(isKeyed: true))
            case Tag.errorsWithoutStatus: throw Damaged(place: place, isOutdated: true)
            default: throw damaged
            }
        }

        mutating func errorTick() throws(Damaged) -> ErrorTick {
            var tick = ErrorTick(second: try second(), step: UInt16(try number(atMost: 0xffff)))
            for i in tick.trials.indices {
                tick.trials[i] = UInt32(try number(atMost: UInt64(ErrorTick.mostTrials)))
                guard tick.trials[i] > 0 else { continue }
                var left = UInt64(tick.trials[i])
                for _ in 0..<(try count()) {
                    let code = try code()
                    let n = try number(atMost: left)
                    left -= n
                    tick.responses[i].add(code, n)
                }
            }
            let n = try count()
            tick.keys.reserveCapacity(n)
            var last: UInt64 = 0
            for _ in 0..<n {
                let (head, overflow) = last.addingReportingOverflow(try number())
                guard !overflow, head >> 34 == 0 else { throw damaged }
                last = head
                let code = head & 1 == 0 ? ResponseCode.success : try code()
                tick.keys.append(
                    KeyedResponse(
                        key: UInt32(truncatingIfNeeded: head >> 2), head & 2 == 0 ? .baseline : .candidate, code))
            }
            return tick
        }

        private static let mostAssigned = UInt64(ErrorTick.mostTrials) * UInt64(ErrorTick.shards)

        /// Reads the response code of a request that did not succeed.
        mutating func code() throws(Damaged) -> ResponseCode {
            let code = ResponseCode(rawValue: UInt16(try number(atMost: UInt64(ResponseCode.largest.rawValue))))
            guard code != .success else { throw damaged }
            return code
        }

        mutating func latencyTick(isKeyed: Bool) throws(Damaged) -> LatencyTick {
            let second = try second()
            let step = UInt16(try number(atMost: 0xffff))
            var tick = LatencyTick(
                second: second, step: step, share: Weight(clamping: Int(try number(atMost: 10_000))))
            for i in 0..<2 { tick.assigned[i] = UInt32(try number(atMost: Self.mostAssigned)) }
            for value in try sorted() {
                let entry = isKeyed ? value >> 32 : value
                guard entry < 1 << 28 else { throw damaged }
                tick.entries.append(LatencyEntry(sortable: entry))
                if isKeyed { tick.keys.append(UInt32(truncatingIfNeeded: value)) }
            }
            return tick
        }

        mutating func sorted() throws(Damaged) -> [UInt64] {
            let n = try count()
            var values: [UInt64] = []
            values.reserveCapacity(n)
            var last: UInt64 = 0
            for _ in 0..<n {
                let (next, overflow) = last.addingReportingOverflow(try number())
                if overflow { throw damaged }
                last = next
                values.append(last)
            }
            return values
        }

        mutating func rows(isKeyed: Bool) throws(Damaged) -> [QualityRow] {
            var rows: [QualityRow] = []
            for _ in 0..<(try count()) {
                let key = isKeyed ? UInt32(try number(atMost: UInt64(UInt32.max))) : nil
                guard let arm = Arm(rawValue: UInt8(try number(atMost: 1))) else { throw damaged }
                let step = UInt16(try number(atMost: 0xffff))
                let label = try optional()
                let prediction = try optional()
                var score: Double?
                let flags = try number(atMost: 3)
                if flags & 1 == 1 {
                    guard place + 8 <= bytes.count else { throw damaged }
                    var pattern: UInt64 = 0
                    for i in 0..<8 { pattern |= UInt64(bytes[place + i]) << (8 * UInt64(i)) }
                    place += 8
                    score = Double(bitPattern: pattern)
                }
                var groups: [String] = []
                for _ in 0..<(try count()) { groups.append(try text()) }
                rows.append(
                    QualityRow(
                        arm: arm, step: step, label: label, prediction: prediction, score: score, groups: groups,
                        key: key, isLate: flags & 2 == 2))
            }
            return rows
        }
    }
}

extension LatencyEntry {
    /// The entry as a number by which similar entries are close together: from the top, arm, shard, bucket of the total
    /// latency, flags, and the distance from there to the bucket of the first byte.
    var sortable: UInt64 {
        let (total, isCensored) = bucket(.total)
        let (first, isFirstCensored) = bucket(.firstByte)
        let head = UInt64(arm.rawValue) << 3 | UInt64(shard)
        // The distance is mostly 0.
        let distance = UInt64((total - first) & 0x7ff)
        return head << 24 | UInt64(total) << 13 | UInt64(isCensored ? 1 : 0) << 12
            | UInt64(isFirstCensored ? 1 : 0) << 11 | distance
    }

    fileprivate init(sortable v: UInt64) {
        let total = Int(v >> 13 & 0x7ff)
        self.init(
            v >> 27 & 1 == 0 ? .baseline : .candidate, shard: Int(v >> 24 & 7), total: total,
            isCensored: v >> 12 & 1 == 1, firstByte: (total - Int(v & 0x7ff)) & 0x7ff,
            isFirstByteCensored: v >> 11 & 1 == 1)
    }
}
