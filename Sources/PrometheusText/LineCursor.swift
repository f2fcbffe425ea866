/// A position in a line, from which tokens are read.
struct LineCursor {
    /// The line without its newline.
    let bytes: UnsafeBufferPointer<UInt8>
    let number: Int
    private(set) var position = 0

    init(bytes: UnsafeBufferPointer<UInt8>, number: Int) {
        self.bytes = bytes
        self.number = number
    }

    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }
    var peekNext: UInt8? { position + 1 < bytes.count ? bytes[position + 1] : nil }
    var atBlankOrEnd: Bool { peek.map(Self.isBlank) ?? true }

    mutating func advance() { position += 1 }

    mutating func skipBlanks() {
        while position < bytes.count, Self.isBlank(bytes[position]) { position += 1 }
    }

    mutating func takeWord() -> Slice<UnsafeBufferPointer<UInt8>> {
        let start = position
        while position < bytes.count, !Self.isBlank(bytes[position]) { position += 1 }
        return bytes[start..<position]
    }

    /// `like`: handed back where the name is the same.
    mutating func takeMetricName(limit: Int, like previous: String? = nil) throws(ExpositionError) -> String {
        try takeName("a metric name", colons: true, limit: limit, like: previous)
    }

    mutating func takeLabelName(limit: Int, like previous: String? = nil) throws(ExpositionError) -> String {
        try takeName("a label name or }", colons: false, limit: limit, like: previous)
    }

    /// A name in quotes, which may be any text: metrics and labels of Prometheus 3.
    mutating func takeQuotedName(limit: Int) throws(ExpositionError) -> String {
        try expect("\"", "a name in quotes")
        let name = try takeQuotedRest(limit: limit, "a name")
        guard !name.isEmpty else { throw failure("an empty name") }
        return name
    }

    private mutating func takeName(
        _ what: StaticString, colons: Bool, limit: Int, like previous: String?
    ) throws(ExpositionError) -> String {
        let start = position
        while position < bytes.count, Self.isNameByte(bytes[position], colons: colons, first: position == start) {
            position += 1
        }
        guard position > start else { throw unexpected("\(what)") }
        guard position - start <= limit else { throw failure("a name of more than \(limit) bytes") }
        return shared(start..<position, previous)
    }

    /// Takes the labels, from behind the opening brace to behind the closing one.
    ///
    /// - Parameter metric: nil if the line did not begin with a metric name: then it is among the labels, in quotes,
    ///   and is stored here.
    mutating func takeLabels(
        limits: ExpositionLimits, like previous: [Label], metric: inout String?
    ) throws(ExpositionError) -> [Label] {
        var labels: [Label] = []
        labels.reserveCapacity(previous.count)
        // While the names are those of the line before, they are different from each other.
        var isLikePrevious = true
        var names: Set<Bytewise> = []
        while true {
            skipBlanks()
            if peek == UInt8(ascii: "}") {
                advance()
                return labels
            }
            guard labels.count < limits.labels else { throw failure("more than \(limits.labels) labels") }
            let like = labels.count < previous.count ? previous[labels.count] : nil
            guard let name = try takeNameInBraces(limits: limits, like: like?.name, metric: &metric) else { continue }
            if isLikePrevious, like.map({ !$0.name.hasBytes(of: name) }) ?? true {
                isLikePrevious = false
                names = Set(labels.map { Bytewise($0.name) })
            }
            guard isLikePrevious || names.insert(Bytewise(name)).inserted else {
                throw failure("the label \(name.prefix(24)) occurs twice")
            }
            try expect("=", "= after the label name")
            skipBlanks()
            try expect("\"", "a quoted label value")
            labels.append(Label(name, try takeQuotedRest(limit: limits.textLength, like: like?.value)))
            skipBlanks()
            if peek == UInt8(ascii: ",") {
                advance()
            } else if peek != UInt8(ascii: "}") {
                throw unexpected(", or } after the label value")
            }
        }
    }

    /// Takes the name of a label, quoted or not, and the blanks behind it. A quoted name without a value is the
    /// metric's: then it is stored in `metric`, and nil is returned.
    mutating func takeNameInBraces(
        limits: ExpositionLimits, like previous: String? = nil, metric: inout String?
    ) throws(ExpositionError) -> String? {
        guard peek == UInt8(ascii: "\"") else {
            let name = try takeLabelName(limit: limits.textLength, like: previous)
            skipBlanks()
            return name
        }
        let name = try takeQuotedName(limit: limits.textLength)
        skipBlanks()
        guard peek == UInt8(ascii: ",") || peek == UInt8(ascii: "}") else { return name }
        guard metric == nil else { throw failure("a second metric name, \"\(name.prefix(24))\"") }
        metric = name
        if peek == UInt8(ascii: ",") { advance() }
        return nil
    }

    /// Takes a quoted text, from behind the opening quote to behind the closing one. An escape that the format does not
    /// know stays as it is written, as Prometheus has it.
    mutating func takeQuotedRest(
        limit: Int, _ what: StaticString = "a label value", like previous: String? = nil
    ) throws(ExpositionError) -> String {
        let start = position
        var escapes = false
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            if bytes[position] == UInt8(ascii: "\\") {
                escapes = true
                position += 1
            }
            position += 1
        }
        guard position < bytes.count else {
            position = bytes.count
            throw failure("\(what) without its closing quote")
        }
        let range = start..<position
        advance()
        guard range.count <= limit else { throw failure("\(what) of more than \(limit) bytes") }
        if !escapes, let previous, Self.same(bytes[range], previous) { return previous }
        let text =
            escapes
            ? String(validating: unescaped(range), as: UTF8.self)
            : String(validating: bytes[range], as: UTF8.self)
        guard let text else { throw failure("\(what) that is not UTF-8") }
        return text
    }

    mutating func takeNumber(_ what: StaticString) throws(ExpositionError) -> Double {
        let start = position
        let word = takeWord()
        guard let value = NumberText.parse(word) else {
            position = start
            throw unexpected("\(what)")
        }
        return value
    }

    mutating func takeHelp() -> String {
        let range = position..<bytes.count
        position = bytes.count
        return String(decoding: unescaped(range), as: UTF8.self)
    }

    mutating func expect(_ character: Unicode.Scalar, _ what: StaticString) throws(ExpositionError) {
        guard peek == UInt8(ascii: character) else { throw unexpected("\(what)") }
        advance()
    }

    private func unescaped(_ range: Range<Int>) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(range.count)
        var place = range.lowerBound
        while place < range.upperBound {
            let byte = bytes[place]
            place += 1
            guard byte == UInt8(ascii: "\\"), place < range.upperBound else {
                text.append(byte)
                continue
            }
            switch bytes[place] {
            case UInt8(ascii: "n"): text.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "\\"): text.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "\""): text.append(UInt8(ascii: "\""))
            default: text += [byte, bytes[place]]
            }
            place += 1
        }
        return text
    }

    private func shared(_ range: Range<Int>, _ previous: String?) -> String {
        if let previous, Self.same(bytes[range], previous) { return previous }
        return String(decoding: bytes[range], as: UTF8.self)
    }

    private static func same(_ bytes: Slice<UnsafeBufferPointer<UInt8>>, _ text: String) -> Bool {
        guard bytes.count == text.utf8.count else { return false }
        // Names and labels are what a scrape is made of; through a string's iterator each byte costs several times
        // this.
        return text.utf8.withContiguousStorageIfAvailable { stored in
            stored.indices.allSatisfy { stored[$0] == bytes[bytes.startIndex + $0] }
        } ?? bytes.elementsEqual(text.utf8)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    static func isNameByte(_ byte: UInt8, colons: Bool, first: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): !first
        case UInt8(ascii: ":"): colons
        default: false
        }
    }
}

extension LineCursor {
    /// Bytes of the offending text that a message repeats.
    private static let excerptLength = 24

    func failure(_ reason: String) -> ExpositionError { ExpositionError(line: number, reason: reason) }

    func unexpected(_ wanted: String) -> ExpositionError {
        guard position < bytes.count else { return failure("expected \(wanted), found the end of the line") }
        return failure("expected \(wanted) at column \(position + 1), found \(Self.quoted(bytes[position...]))")
    }

    /// Printable, short and in quotes: it may be anything, and it goes to logs and terminals.
    static func quoted(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        var text = "\""
        for byte in bytes.prefix(excerptLength) {
            text.unicodeScalars.append((0x20..<0x7F).contains(byte) ? Unicode.Scalar(byte) : "?")
        }
        return text + (bytes.count > excerptLength ? "…\"" : "\"")
    }
}
