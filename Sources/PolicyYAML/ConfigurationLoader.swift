import PolicyModel

/// The result of reading configuration files.
public struct Loaded<Value: Sendable>: Sendable {
    /// The value; nil if any diagnostic is an error.
    public var value: Value?
    /// The diagnostics of all files, sorted by file, line and column. With a value, these are only warnings.
    public var diagnostics: [Diagnostic]

    public var hasErrors: Bool { diagnostics.contains { $0.severity == .error } }

    init(_ value: Value?, _ reports: [FileReport]) {
        diagnostics = FileReport.diagnostics(of: reports)
        self.value = reports.contains(where: \.hasErrors) ? nil : value
    }
}

extension Loaded where Value == Configuration {
    public var configuration: Configuration? { value }
}

/// Reads configuration files. Every file is read to its end, and all errors of all files are reported at once.
public enum ConfigurationLoader {
    /// Loads the agent's file and all services and policies that it names. Relative paths, also those in service files,
    /// are relative to the agent's file. Diagnostics name files relative to the folder of `agentFile`.
    public static func load(agentFile: String) -> Loaded<Configuration> {
        let (configuration, reports) = read(agentFile: agentFile)
        return Loaded(configuration, reports)
    }

    /// Loads a single service without checking that its policies exist. Paths are relative to its file.
    public static func load(serviceFile: String) -> Loaded<Service> {
        let (root, report) = Document.read(serviceFile)
        let base = FilePaths.folder(of: serviceFile)
        return Loaded(root.flatMap { ServiceReader.read($0, base: base, report: report).service }, [report])
    }

    public static func load(policyFile: String) -> Loaded<Policy> {
        let (root, report) = Document.read(policyFile)
        return Loaded(root.flatMap { PolicyReader.read($0, report: report).policy }, [report])
    }

    /// Loads a policy test and the policies that it names.
    public static func load(policyTestFile: String) -> Loaded<PolicyTest> {
        let (root, report) = Document.read(policyTestFile)
        guard let root else { return Loaded(nil, [report]) }
        let (test, others) = PolicyTestReader.read(root, file: policyTestFile, report: report)
        return Loaded(test, [report] + others)
    }

    /// Checks files of any kind, each recognized by its keys. A folder stands for the policies, services and tests in
    /// it.
    public static func lint(files: [String]) -> Loaded<LintedFiles> {
        var run = LintRun()
        for file in files { run.take(file) }
        CrossChecks.policyNames(run.policies)
        var linted = LintedFiles()
        linted.count = run.count
        linted.policies = run.policies.compactMap(\.policy)
        linted.services = run.services.compactMap(\.service)
        linted.adapted = CrossChecks.adapted(run.services, run.policies, warns: true)
        return Loaded(linted, run.reports)
    }

    static func read(agentFile: String) -> (Configuration?, [FileReport]) {
        let (root, report) = Document.read(agentFile, mayBeEmpty: true)
        guard let root else {
            // The caller adds where else the agent might look for its file.
            return (nil, [report])
        }
        let folder = FilePaths.folder(of: agentFile)
        let agent = AgentReader.read(root, base: folder, report: report)
        let set = ConfigurationSet.read(agent, folder: folder)
        let adapted = CrossChecks.run(set, agent: agent)
        let policies = set.policies.compactMap(\.policy).map { ($0.name, $0) }
        var configuration = Configuration(
            agent: agent.settings, services: set.services.compactMap(\.service).sorted { $0.name < $1.name },
            policies: Dictionary(policies, uniquingKeysWith: { first, _ in first }))
        configuration.adapted = adapted
        configuration.files = [agentFile] + set.reports.map(\.file)
        return (configuration, [report] + set.reports)
    }
}

/// What `lint` read. Only what has no error is complete.
public struct LintedFiles: Sendable {
    /// The number of files.
    public var count = 0
    public var policies: [Policy] = []
    public var services: [Service] = []
    /// The policies with the arguments of the services that give some, by service and policy.
    var adapted: [String: [String: Policy]] = [:]

    public init() {}

    /// Those policies of a service that are among the files, with its arguments, in its order.
    public func policies(of service: Service) -> [Policy] {
        service.policies.compactMap { name in
            adapted[service.name]?[name] ?? policies.first { $0.name == name }
        }
    }
}

/// The state of a run of `lint`.
private struct LintRun {
    var reports: [FileReport] = []
    var policies: [PolicyDraft] = []
    var services: [ServiceDraft] = []
    var count = 0

    mutating func take(_ file: String) {
        guard Files.kind(file) == .folder else { return takeFile(file) }
        do {
            let files = try Files.configurations(in: file, tests: true)
            files.forEach { takeFile($0) }
            guard files.isEmpty else { return }
            let report = FileReport(file: file)
            report.error(nil, "no .yaml file in this folder: name the folders that hold the policies and services")
            reports.append(report)
        } catch {
            let report = FileReport(file: file)
            report.error(nil, error.message)
            reports.append(report)
        }
    }

    private mutating func takeFile(_ file: String) {
        count += 1
        let (root, report) = Document.read(file)
        reports.append(report)
        guard let root else { return }
        switch Document.kind(of: root, file: file) {
        case .policy: policies.append(PolicyReader.read(root, report: report))
        case .service:
            services.append(ServiceReader.read(root, base: FilePaths.folder(of: file), report: report))
        case .policyTest: reports += PolicyTestReader.read(root, file: file, report: report).others
        case .agent:
            reports.removeLast()
            reports += ConfigurationLoader.read(agentFile: file).1
        }
    }
}
