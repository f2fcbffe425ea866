import PolicyModel

/// The arguments of a policy file, and the replacement of their uses, written `${name}`, by their values.
struct PolicyArguments {
    /// An argument, with the node of its default.
    private struct Declared {
        var name: String
        var mark: Mark
        var value: Node
    }

    private let report: FileReport
    private var declared: [Declared] = []
    /// The names of all arguments, those with an error included.
    private var names: [String] = []

    /// Reads the arguments that a policy declares.
    /// - Parameter root: the document of the policy.
    init(_ root: Node, report: FileReport) {
        self.report = report
        guard case .mapping(let entries) = root.content, let entry = entries.first(where: { $0.name == Self.key })
        else { return }
        guard case .mapping(let list) = entry.value.content else {
            if case .unusable = entry.value.content { return }
            report.error(
                entry.value.mark,
                "'arguments' is a mapping of names: write {p95: {default: 200ms}}; found \(entry.value.kind)")
            return
        }
        if list.count > ConfigurationLimits.arguments {
            report.error(
                entry.value.mark,
                "'arguments' has \(list.count) entries: at most \(ConfigurationLimits.arguments) are read")
            return
        }
        names = list.map(\.name)
        declared = list.compactMap { Self.declared($0, report) }
    }

    private static func declared(_ entry: Node.Entry, _ report: FileReport) -> Declared? {
        do { _ = try Names.checked(entry.name) } catch {
            report.error(entry.key, "'\(entry.name)' \(error.message)")
            return nil
        }
        guard let part = Section(entry.value, "an argument", keys: ["default", "description"], report: report) else {
            return nil
        }
        part.require("default", "default: 200ms")
        _ = part.text("description")
        guard let value = part.node("default") else { return nil }
        switch value.content {
        case .scalar: return Declared(name: entry.name, mark: entry.key, value: value)
        case .unusable: return nil
        case .list, .mapping:
            report.error(value.mark, "the default of an argument is a plain value such as 200ms; found \(value.kind)")
            return nil
        }
    }

    static let key = "arguments"

    /// The arguments with their values, in the order of the file.
    func values(_ given: [String: Node]) -> [PolicyArgument] {
        declared.map { argument in
            let value = given[argument.name] ?? argument.value
            guard case .scalar(let text, _) = value.content else {
                return PolicyArgument(name: argument.name, value: "", isDefault: true)
            }
            return PolicyArgument(name: argument.name, value: text, isDefault: given[argument.name] == nil)
        }
    }

    /// Checks that the policy declares the arguments that a service gives, and that each has the unit of its default.
    /// - Parameter report: the report of the service's file.
    /// - Returns: the arguments that the policy declares.
    func accepted(_ given: [Node.Entry], of policy: String, report: FileReport) -> [Node.Entry] {
        given.filter { entry in
            guard let argument = declared.first(where: { $0.name == entry.name }) else {
                let hint =
                    names.isEmpty
                    ? "it has none; declare it in the policy, under 'arguments'"
                    : Suggestion.hint(for: entry.name, among: names)
                report.error(entry.key, "policy '\(policy)' has no argument '\(entry.name)': \(hint)")
                return false
            }
            if let (own, usual) = Self.differentUnits(entry.value, argument.value) {
                report.error(
                    entry.value.mark,
                    "'\(own)' has another unit than the default of argument '\(entry.name)', \(usual): write a value like that"
                )
            }
            return true
        }
    }

    /// The texts of two quantities with different units; nil for anything else.
    private static func differentUnits(_ value: Node, _ other: Node) -> (String, String)? {
        guard case .scalar(let own, _) = value.content, case .scalar(let usual, _) = other.content,
            let unit = try? Units.measure(own).unit, let usualUnit = try? Units.measure(usual).unit, unit != usualUnit
        else { return nil }
        return (own, usual)
    }

    /// The document in which each argument is replaced by its value. Arguments that are used and not declared are
    /// reported, and those that are declared and not used.
    /// - Parameter given: the values that a service gives, by argument.
    func replaced(in root: Node, by given: [String: Node]) -> Node {
        let values = Dictionary(
            declared.map { ($0.name, given[$0.name] ?? $0.value) }, uniquingKeysWith: { first, _ in first })
        var used: Set<String> = []
        guard case .mapping(var entries) = root.content else { return root }
        for i in entries.indices where entries[i].name != Self.key {
            guard entries[i].name != "policy" else {
                if refusesName(entries[i].value) { entries[i].value.content = .unusable }
                continue
            }
            entries[i].value = replaced(entries[i].value, values, &used)
        }
        for argument in declared where !used.contains(argument.name) {
            report.warning(
                argument.mark,
                "argument '\(argument.name)' is not used: write ${\(argument.name)} where its value belongs, or remove it"
            )
        }
        var root = root
        root.content = .mapping(entries)
        return root
    }

    private func replaced(_ node: Node, _ values: [String: Node], _ used: inout Set<String>) -> Node {
        var node = node
        switch node.content {
        case .unusable: break
        case .list(let items): node.content = .list(items.map { replaced($0, values, &used) })
        case .mapping(var entries):
            for i in entries.indices {
                if entries[i].name == "name", refusesName(entries[i].value) { entries[i].value.content = .unusable }
                entries[i].value = replaced(entries[i].value, values, &used)
            }
            node.content = .mapping(entries)
        case .scalar(let text, _):
            guard text.contains("${") else { break }
            for name in names where text.contains("${\(name)}") { used.insert(name) }
            let name = String(text.dropFirst(2).dropLast())
            guard text.hasPrefix("${"), text.hasSuffix("}"), (try? Names.checked(name)) != nil else {
                report.error(
                    node.mark,
                    "an argument such as ${p95} stands for a whole value, never for a part of one: make the whole value an "
                        + "argument")
                node.content = .unusable
                break
            }
            guard let value = values[name] else {
                // The error of its declaration was reported.
                if !names.contains(name) {
                    let hint =
                        names.isEmpty
                        ? "declare it under 'arguments': {\(name): {default: VALUE}}"
                        : Suggestion.hint(for: name, among: names)
                    report.error(node.mark, "there is no argument '\(name)': \(hint)")
                }
                node.content = .unusable
                break
            }
            used.insert(name)
            node.content = value.content
            node.argument = Node.Argument(name: name, mark: value.mark, report: value.argument?.report)
        }
        return node
    }

    /// Reports a name that is an argument. Names identify policies and checks in the journal and in metrics.
    private func refusesName(_ node: Node) -> Bool {
        guard case .scalar(let text, _) = node.content, text.contains("${") else { return false }
        report.error(node.mark, "a name cannot be an argument: write it out")
        return true
    }
}
