import AdminAPI
import AdminTypes
import CProcess
import Glibc
import HTTPEngine
import Logging
import MetricsScrape
import PolicyModel
import PolicyYAML
import RolloutController
import RolloutEngine
import RolloutStore
import TrafficProxy
import Vocabulary

/// The agent, which creates all parts and connects them. One control thread ticks, decides and serves the admin API;
/// the data plane and the scrapes have threads of their own; the main thread waits for signals.
final class Agent: @unchecked Sendable {
    /// The time that requests in flight have to finish after SIGTERM.
    static let grace: Duration = .seconds(30)
    /// The time after a start or a reload at which its unused memory is released.
    static let releaseDelay: Duration = .seconds(5)

    /// The number of ticks between two updates of the line that `systemctl status` shows.
    static let ticksPerStatus = 10
    static let ticksPerMinute = 120

    let file: String
    let settings: AgentSettings
    let startedAt = SystemClock().now.wall
    /// The time at which the files in force were read, in milliseconds since 1970.
    var readAt = SystemClock().now.wall
    let log = Logger(label: "canaryd")
    let manager = ServiceManager()
    let control: EventLoop
    let proxy: TrafficProxy
    let scrapes = ScrapeSource()
    let embedded: EmbeddedServers
    let store: SQLiteStore
    private let marker: RuntimeMarker
    let controller: RolloutController
    let journal = EventLog()
    /// The admin server, which belongs to the control thread from `start` on.
    private var admin: AdminServer!
    private var backend: Backend!
    /// The listener that Prometheus scrapes. It belongs to the control thread from `start` on.
    private(set) var metricsListener: MetricsListener!
    private var isStopping = false
    /// The last reload, if it was refused.
    private(set) var refusedReload: RefusedReload?
    private var ticks = 0
    /// The status line that was last sent to systemd.
    private var shownStatus = ""
    private var loggedDisplacedConnections = DisplacedConnections()
    var adminAddress = ""
    var feedbackAddress = ""

    /// Creates all parts of the agent. Call `Logs.bootstrap` before, since a logger keeps the handler that it was
    /// created with.
    init(configurationFile: String, configuration: Configuration) throws {
        file = configurationFile
        settings = configuration.agent
        control = try EventLoop(name: "control")
        let loops = settings.loops ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let limits = ProxyLimits().fitting(descriptors: OpenFiles.raiseLimit(), loops: loops)
        proxy = try TrafficProxy(
            loops: loops, limits: limits, trusted: settings.trusted, accessLog: settings.accessLog)
        embedded = EmbeddedServers(
            stateDirectory: settings.stateDirectory, configurationFile: configurationFile)
        store = try SQLiteStore(directory: settings.stateDirectory)
        marker = RuntimeMarker(directory: Self.runtimeDirectory(settings))
        let embedded = embedded
        var generator = SystemRandomNumberGenerator()
        controller = RolloutController(
            configuration: configuration, store: store, plane: ProxyPlane(proxy), metrics: scrapes,
            clock: SystemClock(), marker: marker, listener: journal,
            resolve: { try embedded.endpoint(of: $0) }, entropy: { generator.next() })
    }

    /// The runtime directory: the one that systemd sets, else the folder of the admin socket, else the state directory.
    private static func runtimeDirectory(_ settings: AgentSettings) -> String {
        if let given = getenv("RUNTIME_DIRECTORY") { return String(cString: given) }
        if case .unix(let path) = settings.admin, let slash = path.lastIndex(of: "/") { return String(path[..<slash]) }
        return settings.stateDirectory
    }

    /// Restores the stored state, opens all listeners and starts to tick.
    /// - Throws: an error that says what failed and how to fix it.
    func start() throws {
        control.start()
        try control.sync { try self.startOnControl() }
        manager.ready(try control.sync { self.statusLine() })
        log.notice(
            "ready",
            metadata: [
                "services": "\(controller.serviceNames.joined(separator: ","))", "admin": "\(adminAddress)",
                "feedback": "\(feedbackAddress)", "metrics": "\(metricsAddress ?? "none")", "pid": "\(getpid())",
            ])
    }

    /// The address at which Prometheus scrapes the agent; nil if there is none.
    var metricsAddress: String? { metricsListener.listener.map { "\($0.bound)" } }

    private func startOnControl() throws {
        for (_, reason) in marker.read().unreadable.sorted(by: { $0.key < $1.key }) {
            log.error("a marker of a lowered split cannot be read", metadata: ["reason": "\(reason)"])
        }
        let lost = store.recovery.lostState
        if let lost { log.error("the state was lost", metadata: ["recovery": "\(lost)"]) }
        try controller.start(lostState: lost)
        backend = Backend(agent: self)
        admin = AdminServer(loop: control, backend: backend)
        metricsListener = MetricsListener(loop: control) { [unowned admin = admin!] in admin.exposition() }
        do { try openAPI() } catch {
            // Mark the stop as clean: a start that fails here must not count as an unclean stop under a rollout,
            // however often systemd repeats it.
            controller.stop()
            throw error
        }
        journal.followers = admin
        scheduleTick()
        if let interval = manager.watchdogInterval { scheduleWatchdog(interval) }
        scheduleReleaseOfPages()
    }

    /// Schedules the release of memory pages that only a start or a reload needs. Both touch ten times the code that
    /// serving needs; docs/PERFORMANCE.md has the figures.
    private func scheduleReleaseOfPages() {
        _ = control.schedule(after: Self.releaseDelay) { cp_release_unused_pages() }
    }

    private func openAPI() throws {
        adminAddress = "\(try admin.listen(.admin, on: socket(settings.admin)))"
        feedbackAddress = "\(try admin.listen(.feedback, on: socket(settings.feedback)))"
        try SocketGroup.give(settings.admin, to: settings.adminGroup, key: "admin")
        try SocketGroup.give(settings.feedback, to: settings.feedbackGroup, key: "feedback")
        metricsListener.apply(try metricsListener.prepare(settings.metrics))
    }

    private func socket(_ address: ListenAddress) -> SocketAddress {
        switch address {
        case .tcp(let host, let port): .tcp(host: host, port: port)
        case .unix(let path): .unix(path: path, mode: 0o660)
        case .systemd(let name): .unix(path: name, mode: 0o660)
        }
    }

    /// The numbers of connections that were closed to make room for new ones.
    var displacedConnections: DisplacedConnections {
        DisplacedConnections(
            services: proxy.displacedConnectionCount, api: admin?.displacedConnectionCount ?? 0,
            metrics: metricsListener?.displacedConnectionCount ?? 0)
    }

    /// Logs how many connections were closed to make room for new ones since the last call.
    private func logDisplacedConnections() {
        let now = displacedConnections
        defer { loggedDisplacedConnections = now }
        for (socket, count) in now.since(loggedDisplacedConnections).bySocket where count > 0 {
            log.warning(
                "connections without a request were closed to make room for new ones",
                metadata: ["socket": "\(socket)", "count": "\(count)"])
        }
    }

    private func scheduleTick() {
        _ = control.schedule(after: RolloutObserver.tickInterval) { [self] in
            controller.tick()
            ticks &+= 1
            if ticks % Self.ticksPerStatus == 0 { showStatus() }
            if ticks % Self.ticksPerMinute == 0 { logDisplacedConnections() }
            scheduleTick()
        }
    }

    /// Sends the status line to systemd if it changed.
    private func showStatus() {
        let line = statusLine()
        guard line != shownStatus else { return }
        shownStatus = line
        manager.status(line)
    }

    private func statusLine() -> String {
        let states = controller.states
        return (refusedReload != nil ? "the last reload was refused, see the journal; " : "") + StatusLine.text(states)
    }

    /// Notifies systemd's watchdog from the control thread, so that systemd notices if that thread hangs.
    private func scheduleWatchdog(_ interval: Duration) {
        manager.alive()
        _ = control.schedule(after: interval) { [self] in scheduleWatchdog(interval) }
    }

    // MARK: - Signals and reloads

    /// Handles signals until the process exits: SIGHUP reloads the files, another signal stops the agent.
    func serve(until signals: Signals) {
        while true {
            switch signals.next() {
            case SIGHUP: control.post { self.reload() }
            default:
                if isStopping {
                    log.warning("stopping at once: a second signal came")
                    controllerStop()
                    exit(0)
                }
                isStopping = true
                stop()
            }
        }
    }

    private func controllerStop() { try? control.sync { self.controller.stop() } }

    /// Lets requests in flight finish, then ends the process.
    private func stop() {
        manager.stopping()
        log.notice("stopping: requests in flight may finish", metadata: ["grace": "\(Self.grace.written)"])
        control.post { [self] in
            admin.drain(grace: .seconds(1)) {}
            metricsListener.drain()
            proxy.beginShutdown { [self] in control.post { self.finish() } }
            _ = control.schedule(after: Self.grace) { [self] in finish() }
        }
    }

    private func finish() -> Never {
        controller.tick(last: proxy.shutdown(grace: .zero))
        controller.stop()
        embedded.stop()
        log.notice("stopped")
        exit(0)
    }

    /// Reads the files again and applies them completely or not at all.
    private func reload() {
        let now = SystemClock().now
        manager.reloading(now: now.monotonic / 1_000)
        func refuse(_ reasons: [String]) {
            refusedReload = RefusedReload(at: Timestamp(milliseconds: now.wall), reasons: reasons)
        }
        do { try proxy.reopenAccessLog() } catch {
            log.error("the access log continues in the old file", metadata: ["reason": "\(error)"])
        }
        defer {
            manager.ready(statusLine())
            scheduleReleaseOfPages()
        }
        let loaded = ConfigurationLoader.load(agentFile: file)
        for diagnostic in loaded.diagnostics {
            log.log(level: diagnostic.severity == .error ? .error : .warning, "\(diagnostic)")
        }
        guard let configuration = loaded.configuration, !loaded.hasErrors else {
            refuse(loaded.diagnostics.filter { $0.severity == .error }.map(\.headline))
            log.error("not reloaded: the files have errors; what was in force stays in force")
            return
        }
        var present = settings
        present.metrics = configuration.agent.metrics
        if configuration.agent != present {
            log.warning(
                "changes to the agent's own file, except for metrics, need a restart", metadata: ["file": "\(file)"])
        }
        do {
            let changes = try apply(configuration)
            readAt = now.wall
            refusedReload = nil
            for change in changes { log.notice("reloaded", metadata: ["change": "\(change)"]) }
            if changes.isEmpty { log.notice("reloaded: nothing changed") }
        } catch {
            refuse((error as? ConfigurationRefused)?.reasons ?? ["\(error)"])
            log.error("not reloaded: what was in force stays in force", metadata: ["reason": "\(error)"])
        }
    }

    /// Applies files completely or not at all.
    /// - Returns: the changes, one line for each.
    private func apply(_ configuration: Configuration) throws -> [String] {
        let change = try metricsListener.prepare(configuration.agent.metrics)
        var changes: [String]
        do { changes = try controller.apply(configuration) } catch {
            metricsListener.discard(change)
            throw error
        }
        metricsListener.apply(change)
        if case .replace = change {
            changes.append(
                metricsAddress.map { "metrics: Prometheus is served on \($0)" } ?? "metrics: not served over TCP")
        }
        return changes
    }
}
