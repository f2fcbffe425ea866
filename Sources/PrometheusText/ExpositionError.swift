/// Why a text is no exposition.
public struct ExpositionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The line's number, from 1.
    public var line: Int
    public var reason: String
    /// The text has more samples, or families, than the limits allow.
    public var isTooMany: Bool

    public init(line: Int, reason: String, isTooMany: Bool = false) {
        self.line = line
        self.reason = reason
        self.isTooMany = isTooMany
    }

    public var description: String { "line \(line): \(reason)" }
}

/// The limits of a page, beyond which it is refused. A scrape comes from a process that may be broken, so nothing
/// in it may make the agent's memory grow without bound.
public struct ExpositionLimits: Hashable, Sendable {
    /// Samples in a reply. A model server with a dozen models shows about 2 000.
    public var samples: Int
    /// Labels of a sample; Prometheus users rarely pass 20.
    public var labels: Int
    /// Bytes of a name or of a label's value, before unescaping.
    public var textLength: Int
    /// Bytes of a line, HELP lines included.
    public var lineLength: Int

    public init(samples: Int = 20_000, labels: Int = 64, textLength: Int = 4_096, lineLength: Int = 65_536) {
        self.samples = samples
        self.labels = labels
        self.textLength = textLength
        self.lineLength = lineLength
    }
}
