import PolicyModel

/// The content of a service file, as far as it could be read, with the places of what is checked against other files.
struct ServiceDraft {
    var name: Located<String>?
    /// The service; nil if the file has any error.
    var service: Service?
    var listen: [Located<ListenAddress>] = []
    var route = Route()
    var routeMark: Mark?
    var trafficMark: Mark?
    var policies: [PolicyUse] = []
    var report: FileReport
}

/// Reads a service.
struct ServiceReader {
    let report: FileReport
    /// The folder that relative paths are relative to.
    let base: String

    static func read(_ root: Node, base: String, report: FileReport) -> ServiceDraft {
        ServiceReader(report: report, base: base).service(root)
    }

    private static let keys = [
        "service", "listen", "route", "versions", "baseline", "candidate", "policies", "traffic", "strategy",
        "analysis",
    ]

    private func service(_ root: Node) -> ServiceDraft {
        var draft = ServiceDraft(report: report)
        guard let section = Section(root, "a service", keys: Self.keys, report: report) else { return draft }
        draft.name = section.name("service", "service: income")
        draft.listen = listen(section)
        (draft.route, draft.routeMark) = route(section)
        let versions = versions(section, listen: draft.listen)
        let baseline = versionName("baseline", section, versions)
        let candidate = versionName("candidate", section, versions)
        draft.policies = policies(section)
        draft.trafficMark = section.has("traffic") ? section.mark("traffic") : nil
        let traffic = traffic(section, route: draft.route, versions: versions ?? [])
        let strategy = section.has("strategy") ? StrategyReader.read(section) : Strategy()
        let analysis = analysis(section, route: draft.route)
        if let rule = analysis.risk.promotion, let deadline = strategy.deadline, deadline.after <= rule.after {
            report.error(
                section.mark("analysis"),
                "the deadline passes after \(deadline.after.written), before proofs are waived after \(rule.after.written): "
                    + "write a longer deadline, or a shorter time under 'promotion'")
        }
        if candidate != nil, candidate != baseline, draft.policies.isEmpty, !section.has("policies") {
            report.warning(
                section.mark("candidate"),
                "no policy judges this candidate, so nothing is proven and only a person promotes it: write policies: [standard]"
            )
        }
        guard let name = draft.name, let versions, let baseline, !report.hasErrors else { return draft }
        draft.service = Service(
            name: name.value, listen: draft.listen.map(\.value), route: draft.route, versions: versions.map(\.value),
            baseline: baseline, candidate: candidate, policies: draft.policies.map(\.name.value), traffic: traffic,
            strategy: strategy, analysis: analysis)
        return draft
    }

    private func listen(_ section: Section) -> [Located<ListenAddress>] {
        section.require("listen", "listen: 127.0.0.1:8080")
        guard
            let items = section.list(
                "listen", "'listen'", atMost: ConfigurationLimits.listenAddresses, orOne: true)
        else { return [] }
        if items.isEmpty { report.error(section.mark("listen"), "'listen' is empty: write at least one address") }
        var seen: [ListenAddress] = []
        return items.compactMap { item in
            let address = report.read(item, "127.0.0.1:8080") { (text) throws(InvalidValue) -> ListenAddress in
                let address = try Addresses.listen(text, base: base)
                if seen.contains(address) { throw InvalidValue("is repeated: remove one of them") }
                return address
            }
            guard let address else { return nil }
            seen.append(address)
            return Located(value: address, mark: item.mark)
        }
    }

    private func route(_ section: Section) -> (Route, Mark?) {
        guard let part = section.section("route", "route", keys: ["host", "path"]) else { return (Route(), nil) }
        let host = part.read("host", "models.example") { (text) throws(InvalidValue) -> String in
            if text.contains(":") { throw InvalidValue("has a port or scheme in it: write the host name alone") }
            guard !text.isEmpty, text.utf8.count <= 253,
                text.utf8.allSatisfy({ Names.isAlphanumeric($0) || ".-_".utf8.contains($0) })
            else { throw InvalidValue("is no host name: write one such as models.example; wildcards are not matched") }
            return text.lowercased()
        }
        let path = part.read("path", "/v2/models/income") { (text) throws(InvalidValue) -> String in
            try Self.path(text)
            if text.count > 1, text.hasSuffix("/") {
                throw InvalidValue("ends with '/': whole segments are matched anyway; write \(text.dropLast())")
            }
            return text
        }
        return (Route(host: host, path: path ?? "/"), section.mark("route"))
    }

    /// - Parameter allowsQuery: true if a query may follow the path.
    static func path(_ text: String, allowsQuery: Bool = false) throws(InvalidValue) {
        guard text.hasPrefix("/") else { throw InvalidValue("does not start with '/': write /\(text)") }
        if text.contains(where: { $0 == "#" || ($0 == "?" && !allowsQuery) }) {
            throw InvalidValue(
                allowsQuery ? "has a fragment: remove it" : "has a query or fragment: write the path alone")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw InvalidValue("holds spaces or other than ASCII: write it percent-encoded, as it is on the wire")
        }
    }

    /// Reads the policies, each a name, or `{use: standard, with: {p95: 350ms}}`.
    private func policies(_ section: Section) -> [PolicyUse] {
        guard let items = section.list("policies", "'policies'", atMost: 64) else { return [] }
        var seen: Set<String> = []
        return items.compactMap { item in
            var (node, arguments): (Node?, [Node.Entry]) = (item, [])
            if case .mapping = item.content {
                guard let part = Section(item, "a policy in use", keys: ["use", "with"], report: report) else {
                    return nil
                }
                part.require("use", "use: standard")
                node = part.node("use")
                arguments = self.arguments(part)
            }
            let name = node.flatMap { node in
                report.read(node, "standard") { (text) throws(InvalidValue) -> String in
                    let name = try Names.checked(text)
                    guard seen.insert(name).inserted else { throw InvalidValue("is repeated: remove one of them") }
                    return name
                }
            }
            guard let node, let name else { return nil }
            return PolicyUse(name: Located(value: name, mark: node.mark), arguments: arguments)
        }
    }

    /// Reads the arguments of a policy in use. The values are checked when the policy is read with them.
    private func arguments(_ part: Section) -> [Node.Entry] {
        guard let node = part.node("with") else { return [] }
        guard case .mapping(let entries) = node.content else {
            if case .unusable = node.content { return [] }
            report.error(
                node.mark, "'with' is a mapping of arguments: write {p95: 350ms}; found \(node.kind)")
            return []
        }
        return entries.filter { entry in
            if entry.value.isEmpty {
                report.error(entry.key, "argument '\(entry.name)' has no value: write one, or remove it")
                return false
            }
            switch entry.value.content {
            case .scalar: return true
            case .unusable: return false
            case .list, .mapping:
                report.error(
                    entry.value.mark, "an argument is a plain value such as 350ms; found \(entry.value.kind)")
                return false
            }
        }
    }

    /// Reads the name of a version of this file. It is not checked if the versions could not be read.
    private func versionName(_ key: String, _ section: Section, _ versions: [Located<Version>]?) -> String? {
        if key == "baseline" { section.require(key, "the name of the version that serves first") }
        guard section.has(key) else { return nil }
        return section.read(key, "fp32-v1") { (text) throws(InvalidValue) -> String in
            guard let versions else { return text }
            if versions.contains(where: { $0.value.name == text }) { return text }
            let hint = Suggestion.hint(for: text, among: versions.map(\.value.name))
            throw InvalidValue("is not among the versions: \(hint)")
        }
    }
}
