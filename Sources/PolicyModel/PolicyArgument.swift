/// A value that a policy leaves to the services that use it, as text such as `200ms`.
public struct PolicyArgument: Hashable, Codable, Sendable {
    public var name: String
    /// The value in force, as it is written in the file.
    public var value: String
    /// True if the service does not set the argument, so that the value is the policy's own.
    public var isDefault: Bool

    public init(name: String, value: String, isDefault: Bool) {
        self.name = name
        self.value = value
        self.isDefault = isDefault
    }
}
