import PolicyModel

/// The files that an agent's file names.
struct ConfigurationSet {
    var services: [ServiceDraft] = []
    var policies: [PolicyDraft] = []
    var reports: [FileReport] = []
    /// False if a policy's name could not be read, so that a name that seems to be missing may be that policy's.
    var knowsAllPolicies = true

    static func read(_ agent: AgentDraft, folder: String) -> ConfigurationSet {
        var set = ConfigurationSet()
        let report = agent.report
        let services = set.files(agent.services, key: "services", folder: folder, report: report)
        if let services, services.isEmpty, !report.hasErrors {
            report.warning(nil, "no service is configured: put NAME.yaml files into the services folder")
        }
        for file in services ?? [] {
            let (root, report) = Document.read(file)
            set.reports.append(report)
            if let root { set.services.append(ServiceReader.read(root, base: folder, report: report)) }
        }
        let policies = set.files(agent.policies, key: "policies", folder: folder, report: report)
        if policies == nil { set.knowsAllPolicies = false }
        for file in policies ?? [] {
            let (root, report) = Document.read(file)
            set.reports.append(report)
            let draft = root.map { PolicyReader.read($0, report: report) }
            if let draft { set.policies.append(draft) }
            if draft?.name == nil { set.knowsAllPolicies = false }
        }
        return set
    }

    /// The files under the named files and folders; nil if one of these does not exist. The default folder of policies
    /// need not exist.
    private func files(
        _ sources: [Located<String>]?, key: String, folder: String, report: FileReport
    ) -> [String]? {
        guard let sources else {
            let path = FilePaths.join(folder, key)
            if key == "policies", Files.kind(path) == .missing { return [] }
            return files(in: path, shown: key, mark: nil, report: report)
        }
        var found: [String]? = []
        for source in sources {
            let path = FilePaths.join(folder, source.value)
            let more = files(in: path, shown: source.value, mark: source.mark, report: report)
            guard let more else {
                found = nil
                continue
            }
            for file in more {
                if found?.contains(file) == true {
                    report.error(source.mark, "'\(source.value)' brings \(file) a second time: mention it once")
                } else {
                    found?.append(file)
                }
            }
        }
        return found
    }

    private func files(in path: String, shown: String, mark: Mark?, report: FileReport) -> [String]? {
        switch Files.kind(path) {
        case .file: return [path]
        case .folder:
            do {
                return try Files.configurations(in: path)
            } catch {
                report.error(mark, "'\(shown)' \(error.message)")
            }
        case .other: report.error(mark, "'\(shown)' is neither a file nor a folder: correct the path")
        case .missing:
            let full = FilePaths.absolute(path, base: ".")
            let key = mark == nil ? "; it is the default of '\(shown)'" : ""
            report.error(mark, "'\(shown)' does not exist: create \(full), or correct the path\(key)")
        }
        return nil
    }
}
