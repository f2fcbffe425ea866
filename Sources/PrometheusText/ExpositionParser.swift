/// Reads the Prometheus text exposition format 0.0.4
/// (https://prometheus.io/docs/instrumenting/exposition_formats/), with what real servers add to it: a comma after the
/// last label, white space between tokens, CRLF, NaN and Inf in any case, OpenMetrics' exemplars and `# EOF`,
/// repeated HELP and TYPE lines (the last TYPE counts, as in Prometheus itself). Timestamps are checked and left out.
///
/// A text whose last line has no newline is refused: it was cut off, and a number that lost its last digits looks
/// like any other number.
public enum ExpositionParser {
    public static func parse(
        _ bytes: [UInt8], limits: ExpositionLimits = ExpositionLimits()
    ) throws(ExpositionError) -> Exposition {
        try bytes.withUnsafeBufferPointer { (buffer) throws(ExpositionError) in
            try parse(buffer, limits: limits)
        }
    }

    public static func parse(
        _ bytes: UnsafeBufferPointer<UInt8>, limits: ExpositionLimits = ExpositionLimits()
    ) throws(ExpositionError) -> Exposition {
        var reader = ExpositionReader(limits: limits)
        var lineStart = 0
        var number = 0
        while lineStart < bytes.count {
            number += 1
            guard let lineEnd = bytes[lineStart...].firstIndex(of: UInt8(ascii: "\n")) else {
                throw ExpositionError(
                    line: number, reason: "the text does not end with a newline: the reply was cut off")
            }
            guard lineEnd - lineStart <= limits.lineLength else {
                throw ExpositionError(line: number, reason: "longer than \(limits.lineLength) bytes")
            }
            var end = lineEnd
            if end > lineStart, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
            let line = LineCursor(bytes: UnsafeBufferPointer(rebasing: bytes[lineStart..<end]), number: number)
            try reader.read(line)
            lineStart = lineEnd + 1
        }
        return reader.finish()
    }
}

/// Takes line after line and keeps what they declared.
private struct ExpositionReader {
    let limits: ExpositionLimits
    private var families: [Family] = []
    private var familyIndex: [String: Int] = [:]
    private var samples: [Sample] = []

    init(limits: ExpositionLimits) { self.limits = limits }

    consuming func finish() -> Exposition { Exposition(families: families, samples: samples) }

    mutating func read(_ line: LineCursor) throws(ExpositionError) {
        var line = line
        line.skipBlanks()
        guard let first = line.peek else { return }
        if first == UInt8(ascii: "#") {
            line.advance()
            try readComment(&line)
        } else {
            try readSample(&line)
        }
    }

    /// Anything but HELP and TYPE is a comment, `# EOF` and `# UNIT` included.
    private mutating func readComment(_ line: inout LineCursor) throws(ExpositionError) {
        line.skipBlanks()
        let keyword = line.takeWord()
        let isType = keyword.elementsEqual("TYPE".utf8)
        guard isType || keyword.elementsEqual("HELP".utf8) else { return }
        line.skipBlanks()
        let name = try line.takeMetricName(limit: limits.textLength)
        guard line.atBlankOrEnd else { throw line.unexpected("a space after the metric name") }
        line.skipBlanks()
        // Bounded by the samples' limit as well: a text of TYPE lines only is no way around it.
        guard familyIndex[name] != nil || families.count < limits.samples else {
            throw line.failure("more than \(limits.samples) metric families")
        }
        let index = declare(name)
        if isType {
            let word = line.takeWord()
            families[index].kind = try Self.kind(word, line)
            line.skipBlanks()
            guard line.peek == nil else { throw line.unexpected("the end of the TYPE line") }
        } else {
            families[index].help = line.takeHelp()
        }
    }

    private static func kind(_ word: Slice<UnsafeBufferPointer<UInt8>>, _ line: LineCursor) throws(ExpositionError)
        -> FamilyKind
    {
        let text = String(decoding: word, as: UTF8.self)
        if let kind = FamilyKind(rawValue: text) { return kind }
        switch text {
        case "unknown", "info", "stateset", "gaugehistogram": return .untyped
        default:
            throw line.failure(
                "TYPE must be counter, gauge, histogram, summary or untyped, not \(LineCursor.quoted(word))")
        }
    }

    private mutating func declare(_ name: String) -> Int {
        if let index = familyIndex[name] { return index }
        families.append(Family(name: name))
        familyIndex[name] = families.count - 1
        return families.count - 1
    }

    private mutating func readSample(_ line: inout LineCursor) throws(ExpositionError) {
        guard samples.count < limits.samples else { throw line.failure("more than \(limits.samples) samples") }
        // Neighbours mostly share the name and most labels; their strings are shared instead of made again.
        let last = samples.last
        let name = try line.takeMetricName(limit: limits.textLength, like: last?.name)
        line.skipBlanks()
        var labels: [Label] = []
        if line.peek == UInt8(ascii: "{") {
            line.advance()
            labels = try line.takeLabels(limits: limits, like: last?.labels ?? [])
            line.skipBlanks()
        }
        let value = try line.takeNumber("a value")
        line.skipBlanks()
        if let next = line.peek, next != UInt8(ascii: "#") {
            _ = try line.takeNumber("a timestamp, an exemplar or the end of the line")
            line.skipBlanks()
            if let rest = line.peek, rest != UInt8(ascii: "#") { throw line.unexpected("the end of the line") }
        }
        let family = last.map { $0.name == name } == true ? last!.family : self.family(of: name)
        samples.append(Sample(name: name, labels: labels, value: value, family: family))
    }

    /// The declared family that a sample belongs to, by its name or by its name without the suffix of its kind.
    private mutating func family(of name: String) -> Int {
        if let index = familyIndex[name] { return index }
        for (suffix, kinds) in Self.suffixes where name.hasSuffix(suffix) {
            let stem = String(name.dropLast(suffix.count))
            if let index = familyIndex[stem], kinds.contains(families[index].kind) { return index }
        }
        return declare(name)
    }

    private static let suffixes: [(String, [FamilyKind])] = [
        ("_bucket", [.histogram]), ("_sum", [.histogram, .summary]), ("_count", [.histogram, .summary]),
        ("_total", [.counter]),
    ]
}
