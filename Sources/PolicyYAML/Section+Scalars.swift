import PolicyModel

extension FileReport {
    /// Reads a single value. Anything else is reported, and the result is nil.
    func read<T>(_ node: Node, _ example: String, _ parse: (String) throws(InvalidValue) -> T) -> T? {
        guard case .scalar(let text, _) = node.content, !node.isEmpty else {
            if case .unusable = node.content { return nil }
            error(in: node, "expected a value such as \(example); found \(node.kind)")
            return nil
        }
        do {
            return try parse(text)
        } catch {
            self.error(in: node, "'\(shown(text))' \(error.message)")
            return nil
        }
    }

    /// Reports an error at the place where the value of a node is written.
    private func error(in node: Node, _ message: String) {
        guard let argument = node.argument else { return error(node.mark, message) }
        (argument.report ?? self).error(argument.mark, "\(message) (used as argument '\(argument.name)')")
        if argument.report != nil { hasErrorElsewhere = true }
    }

    /// Short enough for one line.
    private func shown(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        return line.count > 60 ? line.prefix(57) + "..." : line
    }
}

extension Section {
    func read<T>(_ key: String, _ example: String, _ parse: (String) throws(InvalidValue) -> T) -> T? {
        node(key).flatMap { report.read($0, example, parse) }
    }

    /// Free text of one line or several.
    func text(_ key: String) -> String? { read(key, "some text") { $0 } }

    /// Longer than nothing, unless `zero`.
    func duration(
        _ key: String, zero: Bool = false, atLeast: Duration? = nil, atMost: Duration? = nil
    ) -> Duration? {
        read(key, "5s or 10m") { (text) throws(InvalidValue) in
            try checked(try Units.duration(text), zero: zero, atLeast: atLeast, atMost: atMost)
        }
    }

    private func checked(
        _ value: Duration, zero: Bool, atLeast: Duration?, atMost: Duration?
    ) throws(InvalidValue) -> Duration {
        if value == .zero, !zero { throw InvalidValue("is no time at all: write a longer one, such as 5s") }
        if let atLeast, value < atLeast { throw InvalidValue("is too short: write \(atLeast.written) or more") }
        if let atMost, value > atMost { throw InvalidValue("is too long: write \(atMost.written) or less") }
        return value
    }

    /// 0 ... 1 by default.
    func fraction(_ key: String, in range: ClosedRange<Double> = 0...1) -> Double? {
        read(key, "1% or 0.01") { (text) throws(InvalidValue) in
            let value = try Units.fraction(text)
            guard range.contains(value) else {
                let (low, high) = (Units.percent(range.lowerBound), Units.percent(range.upperBound))
                throw InvalidValue("is out of range: write a share from \(low) to \(high)")
            }
            return value
        }
    }

    /// A relative increase: 0 or more, and above 100 % only with its unit.
    func increase(_ key: String) -> Double? {
        read(key, "50% or 0.5") { (text) throws(InvalidValue) in
            let value = try Units.fraction(text)
            guard value >= 0, value <= 1000 else {
                throw InvalidValue("is out of range: write an increase of 0% or more")
            }
            return value
        }
    }

    func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
        read(key, "\(max(range.lowerBound, 3))") { (text) throws(InvalidValue) in
            let value = try Units.integer(text)
            guard range.contains(value) else {
                if range.upperBound == .max { throw InvalidValue("is out of range: write \(range.lowerBound) or more") }
                throw InvalidValue("is out of range: write \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
    }

    /// - Parameter limit: bytes; with its text as files write it.
    func bytes(_ key: String, atLeast least: Int = 0, atMost limit: (bytes: Int, text: String)) -> Int? {
        read(key, limit.text) { (text) throws(InvalidValue) in
            let value = try Units.bytes(text)
            guard value >= least else { throw InvalidValue("is too small: write \(least)B or more") }
            guard value <= limit.bytes else { throw InvalidValue("is too large: write \(limit.text) or less") }
            return value
        }
    }

    func boolean(_ key: String) -> Bool? { read(key, "true", Units.boolean) }

    func weight(_ key: String) -> Weight? {
        read(key, "10%") { (text) throws(InvalidValue) in
            let value = try Units.fraction(text)
            let points = (value * 10_000).rounded()
            guard value > 0, value <= 1 else {
                throw InvalidValue("is out of range: write more than 0% and at most 100%")
            }
            guard abs(points - value * 10_000) < 1e-6 else { throw InvalidValue("is finer than 0.01%: round it") }
            return Weight(clamping: Int(points))
        }
    }

    /// One of a few words.
    func choice<T>(_ key: String, _ words: [(String, T)], refused: [String: String] = [:]) -> T? {
        read(key, words[0].0) { (text) throws(InvalidValue) in
            if let match = words.first(where: { $0.0 == text }) { return match.1 }
            if let why = refused[text] { throw InvalidValue(why) }
            throw InvalidValue("is not known here: \(Suggestion.hint(for: text, among: words.map(\.0)))")
        }
    }

    func choice<T: RawRepresentable & CaseIterable>(_ key: String, _: T.Type) -> T? where T.RawValue == String {
        choice(key, T.allCases.map { ($0.rawValue, $0) })
    }

    /// A name: letters, digits, `.`, `_`, `-`; the first a letter or digit.
    func name(_ key: String, _ example: String) -> Located<String>? {
        require(key, example)
        return node(key).flatMap { node in
            report.read(node, example, Names.checked).map { Located(value: $0, mark: node.mark) }
        }
    }
}

/// A value and where it was written.
struct Located<Value> {
    var value: Value
    var mark: Mark
}

enum Names {
    static func checked(_ text: String) throws(InvalidValue) -> String {
        guard text.count <= ConfigurationLimits.name else {
            throw InvalidValue("is longer than \(ConfigurationLimits.name) characters: shorten it")
        }
        guard let first = text.utf8.first, isAlphanumeric(first),
            text.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f })
        else { throw InvalidValue("is no name: write letters, digits, '-', '_' and '.', a letter or digit first") }
        return text
    }

    /// A token of HTTP, as methods, header and cookie names are.
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 256
            && text.utf8.allSatisfy { isAlphanumeric($0) || "!#$%&'*+-.^_`|~".utf8.contains($0) }
    }

    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }
}
