import PolicyModel

/// Reads values outside of files, such as those of a command line, in the notation of files.
public enum WrittenValue {
    /// The error of a value: what is wrong, and how to write it instead.
    public struct Invalid: Error, CustomStringConvertible {
        public var description: String
    }

    /// Reads a share such as `0.1%` or `0.001`, 0 ... 1.
    public static func share(_ text: String) throws(Invalid) -> Double {
        let value = try read(text, Units.fraction)
        guard (0...1).contains(value) else { throw Invalid(description: "'\(text)' is no share: write 0% to 100%") }
        return value
    }

    /// Reads a duration > 0, such as `90ms`, `5m` or `1h30m`.
    public static func duration(_ text: String) throws(Invalid) -> Duration {
        let value = try read(text, Units.duration)
        guard value > .zero else { throw Invalid(description: "'\(text)' is no time: write one such as 5m") }
        return value
    }

    private static func read<Value>(
        _ text: String, _ reader: (String) throws(InvalidValue) -> Value
    ) throws(Invalid) -> Value {
        do { return try reader(text) } catch { throw Invalid(description: "'\(text)' \(error.message)") }
    }
}
