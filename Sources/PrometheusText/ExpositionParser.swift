/// The specification that a text follows, as its Content-Type states.
public enum ExpositionFormat: Hashable, Sendable {
    /// Prometheus text, 0.0.4 and 1.0.0.
    case prometheus
    /// OpenMetrics 1.0: the text ends with `# EOF`, and what follows a value is a timestamp or an exemplar.
    case openMetrics

    public init(contentType: String) {
        let type = contentType.prefix { $0 != ";" && $0 != " " }
        self = type.lowercased() == "application/openmetrics-text" ? .openMetrics : .prometheus
    }
}

/// Reads the Prometheus text exposition formats 0.0.4 and 1.0.0 (names in quotes, which may be any text)
/// (https://prometheus.io/docs/instrumenting/exposition_formats/), with what real servers add to it: a comma after the
/// last label, white space between tokens, CRLF, NaN and Inf in any case, OpenMetrics' exemplars and `# EOF`,
/// repeated HELP and TYPE lines (the last TYPE counts, as in Prometheus itself); and OpenMetrics, whose `# EOF` is
/// required and whose exemplars are checked. Exemplars are checked and left out; of timestamps only the newest is kept.
///
/// A text whose last line has no newline is refused: it was cut off, and a number that lost its last digits looks
/// like any other number.
public enum ExpositionParser {
    public static func parse(
        _ bytes: [UInt8], as format: ExpositionFormat = .prometheus, limits: ExpositionLimits = ExpositionLimits()
    ) throws(ExpositionError) -> Exposition {
        try bytes.withUnsafeBufferPointer { (buffer) throws(ExpositionError) in
            try parse(buffer, as: format, limits: limits)
        }
    }

    public static func parse(
        _ bytes: UnsafeBufferPointer<UInt8>, as format: ExpositionFormat = .prometheus,
        limits: ExpositionLimits = ExpositionLimits()
    ) throws(ExpositionError) -> Exposition {
        var reader = ExpositionReader(limits: limits, format: format)
        var lineStart = 0
        var number = 0
        while lineStart < bytes.count {
            number += 1
            let found = bytes[lineStart...].firstIndex(of: UInt8(ascii: "\n"))
            // OpenMetrics may leave out the newline behind its last line, which cannot be mistaken for another.
            let isEnd = format == .openMetrics && bytes[lineStart...].elementsEqual("# EOF".utf8)
            guard let lineEnd = found ?? (isEnd ? bytes.count : nil) else {
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
        return try reader.finish(line: number + 1)
    }
}

/// Takes line after line and keeps what they declared.
private struct ExpositionReader {
    let limits: ExpositionLimits
    let format: ExpositionFormat
    private var hasEnded = false
    private var families: [Family] = []
    private var familyIndex: [Bytewise: Int] = [:]
    private var samples: [Sample] = []
    private var newestTimestamp: Double?

    init(limits: ExpositionLimits, format: ExpositionFormat) {
        self.limits = limits
        self.format = format
    }

    consuming func finish(line: Int) throws(ExpositionError) -> Exposition {
        guard format == .prometheus || hasEnded else {
            throw ExpositionError(
                line: line, reason: "the text does not end with # EOF, as OpenMetrics does: the response was cut off")
        }
        return Exposition(families: families, samples: samples, newestTimestamp: newestTimestamp)
    }

    mutating func read(_ line: LineCursor) throws(ExpositionError) {
        var line = line
        guard !hasEnded else { throw line.failure("a line after # EOF") }
        if format == .openMetrics, line.bytes.elementsEqual("# EOF".utf8) {
            hasEnded = true
            return
        }
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
        let name =
            line.peek == UInt8(ascii: "\"")
            ? try line.takeQuotedName(limit: limits.textLength)
            : try line.takeMetricName(limit: limits.textLength)
        guard line.atBlankOrEnd else { throw line.unexpected("a space after the metric name") }
        line.skipBlanks()
        // Bounded by the samples' limit as well: a text of TYPE lines only is no way around it.
        guard familyIndex[Bytewise(name)] != nil || families.count < limits.samples else {
            throw tooMany("metric families", line)
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

    private func tooMany(_ what: String, _ line: LineCursor) -> ExpositionError {
        ExpositionError(line: line.number, reason: "more than \(limits.samples) \(what)", isTooMany: true)
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
        if let index = familyIndex[Bytewise(name)] { return index }
        families.append(Family(name: name))
        familyIndex[Bytewise(name)] = families.count - 1
        return families.count - 1
    }

    private mutating func readSample(_ line: inout LineCursor) throws(ExpositionError) {
        guard samples.count < limits.samples else { throw tooMany("samples", line) }
        // Neighboring lines mostly share the name and most labels; their strings are shared instead of made again.
        let last = samples.last
        var metric: String?
        if line.peek != UInt8(ascii: "{") {
            metric = try line.takeMetricName(limit: limits.textLength, like: last?.name)
            line.skipBlanks()
        }
        var labels: [Label] = []
        if line.peek == UInt8(ascii: "{") {
            line.advance()
            labels = try line.takeLabels(limits: limits, like: last?.labels ?? [], metric: &metric)
            line.skipBlanks()
        }
        guard let name = metric else { throw line.failure("labels without a metric name") }
        let value = try line.takeNumber("a value")
        line.skipBlanks()
        if let next = line.peek, next != UInt8(ascii: "#") {
            let timestamp = try line.takeNumber("a timestamp, an exemplar or the end of the line")
            // OpenMetrics writes seconds, and so do servers that send it under another Content-Type; as milliseconds
            // they would be of 1970.
            let isSeconds = format == .openMetrics || abs(timestamp) < 1e11
            let milliseconds = isSeconds ? timestamp * 1000 : timestamp
            if milliseconds.isFinite { newestTimestamp = max(newestTimestamp ?? milliseconds, milliseconds) }
            line.skipBlanks()
            if let rest = line.peek, rest != UInt8(ascii: "#") { throw line.unexpected("the end of the line") }
        }
        if format == .openMetrics, line.peek != nil { try readExemplar(&line) }
        let family = last.map { $0.name.hasBytes(of: name) } == true ? last!.family : self.family(of: name)
        samples.append(Sample(name: name, labels: labels, value: value, family: family))
    }

    /// `# {trace_id="a"} 0.67 1520879607.789`: checked and left out.
    private func readExemplar(_ line: inout LineCursor) throws(ExpositionError) {
        line.advance()
        line.skipBlanks()
        try line.expect("{", "the labels of an exemplar")
        var metric: String? = ""
        _ = try line.takeLabels(limits: limits, like: [], metric: &metric)
        line.skipBlanks()
        _ = try line.takeNumber("an exemplar's value")
        line.skipBlanks()
        if line.peek != nil { _ = try line.takeNumber("an exemplar's timestamp or the end of the line") }
        line.skipBlanks()
        guard line.peek == nil else { throw line.unexpected("the end of the line") }
    }

    /// The declared family that a sample belongs to, by its name or by its name without the suffix of its kind.
    private mutating func family(of name: String) -> Int {
        if let index = familyIndex[Bytewise(name)] { return index }
        for (suffix, kinds) in format == .openMetrics ? Self.openMetricsSuffixes : Self.suffixes
        where name.hasSuffixBytes(of: suffix) {
            let stem = Bytewise(String(name.utf8.dropLast(suffix.utf8.count))!)
            if let index = familyIndex[stem], kinds.contains(families[index].kind) { return index }
        }
        return declare(name)
    }

    private static let suffixes: [(String, [FamilyKind])] = [
        ("_bucket", [.histogram]), ("_sum", [.histogram, .summary]), ("_count", [.histogram, .summary]),
        ("_total", [.counter]),
    ]
    private static let openMetricsSuffixes = suffixes + [("_created", [.counter, .histogram, .summary])]
}
