import PolicyModel

/// Values outside a file, such as those of a command line, written as files write them.
public enum WrittenValue {
    /// What is wrong, and how to write it instead.
    public struct Invalid: Error, CustomStringConvertible {
        public var description: String
    }

    /// `0.1%` or `0.001`: 0 ... 1.
    public static func share(_ text: String) throws(Invalid) -> Double {
        let value = try read(text, Units.fraction)
        guard (0...1).contains(value) else { throw Invalid(description: "'\(text)' is no share: write 0% to 100%") }
        return value
    }

    /// `90ms`, `5m`, `1h30m`: more than nothing.
    public static func duration(_ text: String) throws(Invalid) -> Duration {
        let value = try read(text, Units.duration)
        guard value > .zero else { throw Invalid(description: "'\(text)' is no time: write one such as 5m") }
        return value
    }

    private static func read<Value>(
        _ text: String, _ reader: (String) throws(Mend) -> Value
    ) throws(Invalid) -> Value {
        do { return try reader(text) } catch { throw Invalid(description: "'\(text)' \(error.message)") }
    }
}
