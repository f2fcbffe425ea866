/// Writes the text exposition format 0.0.4 into one buffer. Declare a family, then write its samples.
///
/// Names, help texts and label values may be any text. A name that needs quotes is written in the form of format 1.0.0;
/// the agent's own names do not.
public struct ExpositionWriter: Sendable {
    /// The Content-Type of the text.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public private(set) var bytes: [UInt8] = []

    public init(reserving capacity: Int = 8_192) { bytes.reserveCapacity(capacity) }

    /// Writes the HELP and TYPE lines of a family. Call it once for each family, before its samples.
    public mutating func family(_ name: String, _ kind: FamilyKind, _ help: String) {
        let name = Self.isName(name) ? name : "\"\(Self.escaped(name))\""
        bytes += "# HELP \(name) ".utf8
        appendEscaped(help, quotes: false)
        bytes += "\n# TYPE \(name) \(kind.rawValue)\n".utf8
    }

    /// Writes a sample: a counter, a gauge, or one line of another type.
    public mutating func sample(_ name: String, _ labels: [(String, String)] = [], value: Double) {
        line(name, suffix: "", labels, extra: nil, value)
    }

    public mutating func sample(_ name: String, _ labels: [(String, String)] = [], value: some BinaryInteger) {
        line(name, suffix: "", labels, extra: nil, Double(value))
    }

    /// Writes a histogram.
    /// - Parameters:
    ///   - bounds: the upper bounds, ascending, without +Inf.
    ///   - counts: the observations of each bucket, not cumulative. There is one more than bounds, for observations
    ///     above all of them.
    public mutating func histogram(
        _ name: String, _ labels: [(String, String)] = [], bounds: [Double], counts: [UInt64], sum: Double
    ) {
        precondition(counts.count == bounds.count + 1, "a histogram needs a count above its last bound")
        var total: UInt64 = 0
        for (place, count) in counts.enumerated() {
            total += count
            var bound: [UInt8] = []
            NumberText.append(place < bounds.count ? bounds[place] : .infinity, to: &bound)
            line(name, suffix: "_bucket", labels, extra: ("le", String(decoding: bound, as: UTF8.self)), Double(total))
        }
        line(name, suffix: "_sum", labels, extra: nil, sum)
        line(name, suffix: "_count", labels, extra: nil, Double(total))
    }

    private mutating func line(
        _ name: String, suffix: String, _ labels: [(String, String)], extra: (String, String)?, _ value: Double
    ) {
        let isPlain = Self.isName(name)
        if isPlain {
            bytes += name.utf8
            bytes += suffix.utf8
        }
        if !labels.isEmpty || extra != nil || !isPlain {
            bytes.append(UInt8(ascii: "{"))
            if !isPlain { appendQuoted(name + suffix) }
            for (place, label) in labels.enumerated() { append(label, first: isPlain && place == 0) }
            if let extra { append(extra, first: isPlain && labels.isEmpty) }
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: " "))
        NumberText.append(value, to: &bytes)
        bytes.append(UInt8(ascii: "\n"))
    }

    private mutating func append(_ label: (String, String), first: Bool) {
        if !first { bytes.append(UInt8(ascii: ",")) }
        if Self.isLabelName(label.0) { bytes += label.0.utf8 } else { appendQuoted(label.0) }
        bytes.append(UInt8(ascii: "="))
        appendQuoted(label.1)
    }

    private mutating func appendQuoted(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        appendEscaped(text, quotes: true)
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscaped(_ text: String, quotes: Bool) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes += #"\\"#.utf8
            case UInt8(ascii: "\n"): bytes += #"\n"#.utf8
            case UInt8(ascii: "\"") where quotes: bytes += #"\""#.utf8
            default: bytes.append(byte)
            }
        }
    }

    /// A label value, escaped for use within quotes.
    static func escaped(_ value: String) -> String {
        var writer = ExpositionWriter(reserving: value.utf8.count)
        writer.appendEscaped(value, quotes: true)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// True if a metric name can be written without quotes.
    static func isName(_ name: String) -> Bool { isName(name, colons: true) }
    static func isLabelName(_ name: String) -> Bool { isName(name, colons: false) }

    private static func isName(_ name: String, colons: Bool) -> Bool {
        var isFirst = true
        for byte in name.utf8 {
            guard LineCursor.isNameByte(byte, colons: colons, first: isFirst) else { return false }
            isFirst = false
        }
        return !isFirst
    }
}
