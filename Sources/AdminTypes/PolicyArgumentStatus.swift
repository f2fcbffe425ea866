/// An argument of a policy with the value by which its checks judge.
public struct PolicyArgumentStatus: Hashable, Codable, Sendable {
    public var policy: String
    public var name: String
    /// The value as it is written in the file, such as `350ms`.
    public var value: String
    /// True if the value is the policy's default, false if the service gives it.
    public var isDefault: Bool

    public init(policy: String, name: String, value: String, isDefault: Bool) {
        self.policy = policy
        self.name = name
        self.value = value
        self.isDefault = isDefault
    }
}
