import AdminTypes

/// Formats the arguments of policies.
enum PolicyArgumentText {
    /// A line for each policy with arguments, such as `standard with p95 350ms, floor 0.2% (default)`.
    static func lines(_ evaluation: EvaluationStatus?) -> [String] {
        var policies: [(name: String, arguments: [String])] = []
        for argument in evaluation?.arguments ?? [] {
            let text = "\(argument.name) \(argument.value)" + (argument.isDefault ? " (default)" : "")
            if policies.last?.name == argument.policy {
                policies[policies.count - 1].arguments.append(text)
            } else {
                policies.append((argument.policy, [text]))
            }
        }
        return policies.map { "\($0.name) with \($0.arguments.joined(separator: ", "))" }
    }
}
