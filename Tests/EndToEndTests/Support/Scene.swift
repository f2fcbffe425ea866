import AdminClient
import AdminTypes
import Glibc

/// An agent for one test, with its files, two model servers and a port for the service.
final class Scene {
    let folder = TemporaryFolder()
    let old: Upstream
    let new: Upstream
    var service: ServiceFile
    private(set) var agent: Subprocess?
    private var starts = 0
    private var runs = 0

    init(candidate: String? = "new", _ change: (inout ServiceFile) -> Void = { _ in }) throws {
        old = try Upstream()
        new = try Upstream()
        service = ServiceFile(
            port: Ports.free(),
            versions: [("old", ServiceFile.entry(old)), ("new", ServiceFile.entry(new))], candidate: candidate)
        change(&service)
        mkdir(path("services"), 0o700)
        mkdir(path("policies"), 0o700)
        Files.write(
            path("canaryd.yaml"),
            """
            state: state/
            services: services/
            policies: policies/
            admin: {socket: admin.sock}
            feedback: {socket: feedback.sock}
            loops: 2
            log: {format: plain}

            """)
        policy("quick", Policies.quick)
        write()
    }

    deinit { agent?.signal(SIGKILL) }

    func path(_ name: String) -> String { "\(folder.path)/\(name)" }
    func policy(_ name: String, _ text: String) { Files.write(path("policies/\(name).yaml"), text) }
    func write() { Files.write(path("services/\(service.name).yaml"), service.text) }

    /// The log of all runs of the agent.
    var log: String { Files.read(path("canaryd.log")) }

    var admin: AdminClient { AdminClient(path: path("admin.sock")) }
    var feedback: AdminClient { AdminClient(path: path("feedback.sock")) }

    // MARK: - The agent's life

    @discardableResult
    func launch(environment: [String: String] = [:]) throws -> Subprocess {
        let log = path("canaryd.log")
        let started = try Subprocess(
            Binaries.canaryd, ["--config", path("canaryd.yaml")], environment: environment, output: log, error: log)
        agent = started
        starts += 1
        return started
    }

    /// Starts the agent and returns when it is ready.
    func start(environment: [String: String] = [:]) async throws {
        let ready = readiness + 1
        let process = try launch(environment: environment)
        try await until("the agent is ready", or: { self.log }) {
            if let exit = process.ended {
                throw HarnessError("the agent ended with \(exit):\n\(self.log.suffix(4_000))")
            }
            return self.readiness >= ready
        }
    }

    /// The number of times that the agent became ready.
    private var readiness: Int { count("NOTICE ready") }

    /// The number of lines of the log that contain a text.
    func count(_ text: String) -> Int { log.split(separator: "\n").count { $0.contains(text) } }

    func kill() async throws { _ = try await end(SIGKILL) }

    @discardableResult
    func end(_ signal: Int32 = SIGTERM) async throws -> Subprocess.Exit {
        guard let agent else { throw HarnessError("no agent runs") }
        agent.signal(signal)
        return try await agent.wait()
    }

    /// Sends SIGHUP and returns what the log says about the reload.
    func reload() async throws -> String {
        let before = log.utf8.count
        agent?.signal(SIGHUP)
        return try await eventually("the reload is over", or: { self.log }) {
            let news = String(decoding: self.log.utf8.dropFirst(before), as: UTF8.self)
            return news.hasSuffix("\n") && news.contains("reloaded") ? news : nil
        }
    }

    /// Simulates a full disk for this agent alone: none of its files can grow beyond `size` bytes from now on.
    /// - Parameter size: the limit; nil to remove it.
    func limitFiles(to size: Int?) async throws {
        guard let agent else { throw HarnessError("no agent runs") }
        let limit = "--fsize=\(size.map { "\($0)" } ?? "unlimited"):"
        let process = try Subprocess(
            "/usr/bin/prlimit", ["--pid", "\(agent.pid)", limit], output: path("prlimit"), error: path("prlimit"))
        guard try await process.wait() == .code(0) else { throw HarnessError(Files.read(path("prlimit"))) }
    }

    // MARK: - Queries and commands

    func status() throws -> ServiceStatus { try admin.service(service.name) }

    func wait(_ what: String, _ holds: (ServiceStatus) -> Bool) async throws {
        try await until(what, or: { self.summary }) { holds(try self.status()) }
    }

    /// Waits until a rollout has ended, and returns the last one that has.
    func outcome() async throws -> HistoryEntry {
        try await eventually("the rollout ends", or: { self.summary }) {
            try self.admin.history(self.service.name).rollouts.first { $0.result != .running }
        }
    }

    @discardableResult
    func command(_ verb: CommandVerb, reason: String? = nil, force: Bool? = nil, to: String? = nil) throws
        -> CommandResult
    {
        try admin.command(verb, service: service.name, CommandRequest(reason: reason, force: force, to: to))
    }

    private var summary: String {
        let status = (try? self.status()).map { "\($0)" } ?? "no status"
        return "\(status)\n\(log.suffix(3_000))"
    }

    struct Run {
        var status: Int32
        var output: String
        var errors: String
    }

    /// Runs canaryctl against this agent.
    func ctl(_ arguments: String...) async throws -> Run { try await ctl(arguments) }

    func ctl(_ arguments: [String]) async throws -> Run {
        runs += 1
        let process = try Subprocess(
            Binaries.canaryctl, arguments, environment: ["CANARYD_SOCKET": path("admin.sock")],
            output: path("ctl-\(runs).out"), error: path("ctl-\(runs).err"))
        guard case .code(let status) = try await process.wait() else { throw HarnessError("canaryctl crashed") }
        return Run(status: status, output: process.output, errors: process.errors)
    }
}
