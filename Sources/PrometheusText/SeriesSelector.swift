/// A selection of samples: a name, and conditions on labels that all must hold.
public struct SeriesSelector: Hashable, Sendable, CustomStringConvertible {
    public var name: String
    public var matchers: [LabelMatcher]

    public init(_ name: String, _ matchers: [LabelMatcher] = []) {
        self.name = name
        self.matchers = matchers
    }

    /// The buckets of the histogram that this selector names.
    public var buckets: SeriesSelector { SeriesSelector(name + "_bucket", matchers) }

    public func matches(_ sample: Sample) -> Bool {
        sample.name.hasBytes(of: name) && matchers.allSatisfy { $0.matches(sample) }
    }

    public var description: String {
        let conditions = matchers.map(\.description)
        guard ExpositionWriter.isName(name) else {
            return "{\((["\"\(ExpositionWriter.escaped(name))\""] + conditions).joined(separator: ","))}"
        }
        return conditions.isEmpty ? name : "\(name){\(conditions.joined(separator: ","))}"
    }
}

/// A condition on one label. A label that is not there counts as empty.
public struct LabelMatcher: Hashable, Sendable, CustomStringConvertible {
    public enum Condition: Hashable, Sendable {
        case equals(String)
        case differs(String)
        /// The rest cannot be written in a selector; presets use them.
        case isOneOf([String])
        case isNoneOf([String])
        case startsWith(String)
        case startsNotWith(String)
    }

    public var label: String
    public var condition: Condition

    public init(_ label: String, _ condition: Condition) {
        self.label = label
        self.condition = condition
    }

    public func matches(_ sample: Sample) -> Bool {
        let value = sample[label]
        return switch condition {
        case .equals(let wanted): value.hasBytes(of: wanted)
        case .differs(let unwanted): !value.hasBytes(of: unwanted)
        case .isOneOf(let wanted): wanted.contains { value.hasBytes(of: $0) }
        case .isNoneOf(let unwanted): !unwanted.contains { value.hasBytes(of: $0) }
        case .startsWith(let prefix): value.hasPrefixBytes(of: prefix)
        case .startsNotWith(let prefix): !value.hasPrefixBytes(of: prefix)
        }
    }

    public var description: String {
        let label = ExpositionWriter.isLabelName(label) ? label : "\"\(ExpositionWriter.escaped(label))\""
        return switch condition {
        case .equals(let value): "\(label)=\"\(ExpositionWriter.escaped(value))\""
        case .differs(let value): "\(label)!=\"\(ExpositionWriter.escaped(value))\""
        case .isOneOf(let values): "\(label)=~\"\(values.joined(separator: "|"))\""
        case .isNoneOf(let values): "\(label)!~\"\(values.joined(separator: "|"))\""
        case .startsWith(let prefix): "\(label)=~\"\(prefix).*\""
        case .startsNotWith(let prefix): "\(label)!~\"\(prefix).*\""
        }
    }
}

/// An error in a written selector, with its place.
public struct SelectorError: Error, Hashable, Sendable, CustomStringConvertible {
    public var reason: String

    public var description: String { reason }
}

extension SeriesSelector {
    /// The selector as policies write it: `name`, `name{gpu="0"}`, `name{code!="200",model="income"}`, and
    /// `{"any.name",gpu="0"}` for a name that needs quotes. Values are quoted and escaped as in the exposition format;
    /// regular expressions are refused.
    public init(parsing text: String) throws(SelectorError) {
        do throws(ExpositionError) {
            self = try Array(text.utf8).withUnsafeBufferPointer { (bytes) throws(ExpositionError) in
                try Self.read(LineCursor(bytes: bytes, number: 1))
            }
        } catch {
            throw SelectorError(reason: "\(error.reason) in the series \(text)")
        }
    }

    private static func read(_ start: LineCursor) throws(ExpositionError) -> SeriesSelector {
        let limits = ExpositionLimits()
        var cursor = start
        cursor.skipBlanks()
        var name: String?
        if cursor.peek != UInt8(ascii: "{") {
            name = try cursor.takeMetricName(limit: limits.textLength)
            cursor.skipBlanks()
        }
        var matchers: [LabelMatcher] = []
        if cursor.peek == UInt8(ascii: "{") {
            cursor.advance()
            matchers = try cursor.takeMatchers(limits: limits, metric: &name)
            cursor.skipBlanks()
        }
        guard cursor.peek == nil else { throw cursor.unexpected("{ or the end") }
        guard let name else { throw cursor.failure("no metric name") }
        return SeriesSelector(name, matchers)
    }
}

extension LineCursor {
    fileprivate mutating func takeMatchers(
        limits: ExpositionLimits, metric: inout String?
    ) throws(ExpositionError) -> [LabelMatcher] {
        var matchers: [LabelMatcher] = []
        while true {
            skipBlanks()
            if peek == UInt8(ascii: "}") {
                advance()
                return matchers
            }
            guard matchers.count < limits.labels else { throw failure("more than \(limits.labels) conditions") }
            guard let name = try takeNameInBraces(limits: limits, metric: &metric) else { continue }
            let negated = peek == UInt8(ascii: "!")
            if negated { advance() }
            if peek == UInt8(ascii: "~") || (!negated && peek == UInt8(ascii: "=") && peekNext == UInt8(ascii: "~")) {
                throw failure("regular expressions (=~, !~) are not supported: use = or !=")
            }
            try expect("=", negated ? "= after !" : "= or != after the label name")
            skipBlanks()
            try expect("\"", "a quoted label value")
            let value = try takeQuotedRest(limit: limits.textLength)
            matchers.append(LabelMatcher(name, negated ? .differs(value) : .equals(value)))
            skipBlanks()
            if peek == UInt8(ascii: ",") {
                advance()
            } else if peek != UInt8(ascii: "}") {
                throw unexpected(", or } after the label value")
            }
        }
    }
}
