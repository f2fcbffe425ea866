import PolicyModel

/// A policy that a service uses, with the arguments that it gives.
struct PolicyUse {
    var name: Located<String>
    /// The values by argument, each a scalar, in the order of the file.
    var arguments: [Node.Entry]
}

extension PolicyUse {
    /// Reads the policy of this use with its arguments. Errors are reported to the service's file, since the policy by
    /// itself has none: at a value that does not fit its place, or at the policy's name.
    /// - Parameters:
    ///   - draft: the policy as its file has it, without errors.
    ///   - report: the report of the service's file.
    /// - Returns: the policy; nil if there is an error.
    func policy(from draft: PolicyDraft, report: FileReport) -> Policy? {
        guard !arguments.isEmpty else { return draft.policy }
        let declared = PolicyArguments(draft.root, report: draft.report.anew())
        let accepted = declared.accepted(arguments, of: name.value, report: report)
        let values = accepted.map { entry in
            var value = entry.value
            value.argument = Node.Argument(name: entry.name, mark: value.mark, report: report)
            return (entry.name, value)
        }
        let again = draft.report.anew()
        let policy = PolicyReader.read(
            draft.root, report: again, values: Dictionary(values, uniquingKeysWith: { first, _ in first })
        ).policy
        for error in again.diagnostics where error.severity == .error {
            let place = error.line.map { "\(error.file):\($0)" } ?? error.file
            report.error(name.mark, "policy '\(name.value)' does not take these arguments: \(error.message) (\(place))")
        }
        return policy
    }
}
