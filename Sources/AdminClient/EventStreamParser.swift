/// An incremental parser of a stream of Server-Sent Events.
struct EventStreamParser {
    /// The largest event in bytes; the agent's events have a few hundred.
    static let maximumEvent = 1 << 20

    private var line: [UInt8] = []
    private var data: [UInt8] = []

    /// Parses the next bytes of the stream.
    /// - Returns: the data of each event that is now complete.
    mutating func parse(_ bytes: some Sequence<UInt8>) throws(ResponseReader.Malformed) -> [[UInt8]] {
        var events: [[UInt8]] = []
        for byte in bytes {
            guard byte == 10 else {
                line.append(byte)
                guard line.count + data.count <= Self.maximumEvent else { throw ResponseReader.Malformed() }
                continue
            }
            if line.last == 13 { line.removeLast() }
            if line.isEmpty {
                if !data.isEmpty { events.append(data) }
                data = []
            } else if line.starts(with: "data:".utf8) {
                var value = line.dropFirst(5)
                if value.first == 0x20 { value.removeFirst() }
                if !data.isEmpty { data.append(10) }
                data += value
            }
            line = []
        }
        return events
    }
}
