import AdminClient
import AdminTypes
import FileAccess
import Glibc
import ReferenceModel

/// The demo's processes and files: a reference model server for each version and the agent, each a process of its own,
/// and a working folder. `end` ends all processes.
final class DemoStage {
    let folder: String
    /// The port of the service. It is chosen when it is first needed, because a port that was free before the training
    /// may be in use after it.
    private(set) lazy var port = LoopbackClient.freePort(preferred: 8080)
    private(set) var children: [ChildProcess] = []
    private var agent: ChildProcess?
    private let example: String
    /// The versions and the ports of their servers, in the order of their start.
    private var servers: [(version: String, port: UInt16)] = []

    var admin: AdminClient { AdminClient(path: "\(folder)/admin.sock") }
    var feedback: AdminClient { AdminClient(path: "\(folder)/feedback.sock") }

    /// - Parameter example: the folder examples/income, whose service and policies are used unchanged.
    init(example: String) throws(DemoError) {
        self.example = example
        var template = Array("/tmp/canaryd-demo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw DemoError(
                "no working folder below /tmp: \(String(cString: strerror(errno))); make room or correct its mode")
        }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        mkdir("\(folder)/services", 0o700)
        mkdir("\(folder)/policies", 0o700)
        for policy in ["standard.yaml", "sensitive-groups.yaml"] {
            try write("policies/\(policy)", try read("policies/\(policy)"))
        }
    }

    /// Starts a model server and reads its port from its output.
    func startServer(_ version: String, artifact: String) throws(DemoError) {
        let child = try ChildProcess(
            name: "model server \(version)",
            arguments: ["model-server", "--artifact", artifact, "--listen", "127.0.0.1:0"],
            log: "\(folder)/model-\(Self.fileName(version)).log")
        children.append(child)
        while let line = child.readLine(timeout: .seconds(60)) {
            if let port = Self.port(in: line) {
                servers.append((version, port))
                return
            }
        }
        throw DemoError("\(child.name) did not start:\n\(lastLines(of: "model-\(Self.fileName(version)).log"))")
    }

    /// The port of the last `host:port` in a line.
    private static func port(in line: String) -> UInt16? {
        line.split(whereSeparator: { " /,".contains($0) }).last { $0.contains(":") }
            .flatMap { $0.split(separator: ":").last }.flatMap { UInt16($0) }
    }

    private static func fileName(_ version: String) -> String { version.replacing("@", with: "-seed-") }

    /// The port at which Prometheus can scrape the agent.
    private(set) lazy var metricsPort = LoopbackClient.freePort(preferred: 9464)

    func startAgent() throws(DemoError) {
        try write(
            "canaryd.yaml",
            "state: state/\nservices: services/\npolicies: policies/\nadmin: {socket: admin.sock}\n"
                + "feedback: {socket: feedback.sock}\nmetrics: {listen: 127.0.0.1:\(metricsPort)}\n")
        let child = try ChildProcess(
            name: "agent", arguments: ["--config", "\(folder)/canaryd.yaml"], log: "\(folder)/canaryd.log")
        children.append(child)
        agent = child
        for _ in 0..<1_200 {
            if (try? admin.readiness())?.ok == true { return }
            guard child.isRunning else { break }
            usleep(50_000)
        }
        throw DemoError("the agent did not start:\n\(lastLines(of: "canaryd.log"))")
    }

    var agentPID: pid_t { agent?.pid ?? 0 }

    /// Writes the service's file with the servers that run and with this candidate, and makes the agent reload it.
    func declare(candidate: String?) throws(DemoError) {
        var lines: [String] = []
        for line in try read("services/income.yaml").split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("listen:") {
                lines.append("listen: 127.0.0.1:\(port)")
            } else if line.hasPrefix("candidate:") {
                if let candidate { lines.append("candidate: \(Self.yamlName(candidate))") }
            } else if line.hasPrefix("versions:") {
                lines.append(String(line))
                for (version, port) in servers {
                    lines.append("  \(Self.yamlName(version)):")
                    lines.append("    servers: [\"http://127.0.0.1:\(port)\"]")
                    lines.append("    metrics: {preset: reference, interval: 1s, timeout: 500ms}")
                }
            } else if line.hasPrefix("  ") && isVersionLine {
                continue
            } else {
                lines.append(String(line))
            }
            isVersionLine = line.hasPrefix("versions:") || (isVersionLine && line.hasPrefix("  "))
        }
        isVersionLine = false
        try write("services/income.yaml", lines.joined(separator: "\n"))
        if let agent { agent.signal(SIGHUP) }
    }
    /// True while `declare` copies the block of the file's versions, which the demo replaces.
    private var isVersionLine = false

    /// The name of a version in the service's file, where `@` is not allowed: `fp32@2` becomes `fp32-seed-2`.
    static func yamlName(_ version: String) -> String { fileName(version) }

    func lastLines(of log: String, count: Int = 8) -> String {
        let text = (try? Self.contents("\(folder)/\(log)")) ?? ""
        return text.split(separator: "\n").suffix(count).joined(separator: "\n")
    }

    /// Ends every process, the agent first, and removes the folder.
    func end(keepFiles: Bool = false) {
        for child in children.reversed() { child.end() }
        children = []
        if !keepFiles { Self.remove(folder) }
    }

    /// The first process that ended unexpectedly; nil while all run.
    var endedProcess: ChildProcess? { children.first { !$0.isRunning } }

    private func read(_ path: String) throws(DemoError) -> String { try Self.contents("\(example)/\(path)") }

    private func write(_ path: String, _ text: String) throws(DemoError) {
        guard let file = fopen("\(folder)/\(path)", "w") else {
            throw DemoError("\(folder)/\(path) cannot be written: \(String(cString: strerror(errno)))")
        }
        fputs(text, file)
        fclose(file)
    }

    /// The largest file that is read, in bytes.
    private static let maximumFile = 1 << 20

    private static func contents(_ path: String) throws(DemoError) -> String {
        do throws(FileReader.Problem) {
            return String(decoding: try FileReader.read(path, limit: maximumFile), as: UTF8.self)
        } catch {
            switch error {
            case .system(let code): throw DemoError("\(path) cannot be read: \(String(cString: strerror(code)))")
            case .notRegular, .tooLarge: throw DemoError("\(path) is not a file of the demo")
            }
        }
    }

    /// Removes a folder and its content without following symbolic links.
    private static func remove(_ path: String) {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." {
                    let child = "\(path)/\(name)"
                    if unlink(child) != 0 { remove(child) }
                }
            }
            closedir(folder)
        }
        rmdir(path)
    }
}
