import AdminAPI
import AdminTypes
import Analysis
import CommandLineTools
import Glibc
import MetricsScrape
import PolicyModel
import PrometheusText
import RolloutController
import RolloutEngine
import Vocabulary

/// Adapts the agent to the backend of the admin API.
final class Backend: AdminBackend {
    private unowned let running: Agent

    init(agent: Agent) { running = agent }

    private var controller: RolloutController { running.controller }

    var serviceNames: [String] { controller.serviceNames }
    func view(of service: String) -> ServiceView? { controller.view(of: service) }
    func command(_ command: Command, service: String) -> CommandOutcome {
        controller.command(command, service: service)
    }
    func scoreRange(of service: String) -> ScoreRange? { controller.scoreRange(of: service) }
    func feedback(_ rows: [Feedback], service: String) -> FeedbackReceipt? {
        controller.feedback(rows, service: service)
    }
    func events(service: String?, after: Int64, limit: Int) throws -> [JournalEntry] {
        try controller.store.events(service: service, after: after, limit: limit)
    }
    func latestEvents(service: String?, limit: Int) throws -> [JournalEntry] {
        try controller.store.latestEvents(service: service, limit: limit)
    }
    func entry(id: Int64) throws -> JournalEntry? { try controller.store.entry(id: id) }
    func history(service: String, limit: Int) throws -> [RolloutRecord] {
        try controller.store.history(service: service, limit: limit)
    }
    func recordingPage(service: String, rollout: String, after: Int64, limit: Int) throws -> StoredPage? {
        try controller.store.recordingPage(service: service, rollout: rollout, after: after, limit: limit)
    }

    func targets(of service: String) -> [TargetStatus]? {
        guard let view = controller.view(of: service) else { return nil }
        var targets: [TargetStatus] = []
        for arm in [view.baseline, view.candidate].compactMap(\.self) as [ArmView] {
            let servers = view.service.version(named: arm.identity.name)?.servers ?? []
            for (place, address) in servers.enumerated() {
                let known = place < arm.states.count ? arm.states[place] : ServerView(address: address, state: .healthy)
                targets.append(target(known, arm, of: service))
            }
        }
        return targets
    }

    private func target(_ server: ServerView, _ arm: ArmView, of service: String) -> TargetStatus {
        let endpoint = try? running.embedded.endpoint(of: server.address)
        let last = running.scrapes.latest.first {
            $0.key.service == service && $0.key.version.name == arm.identity.name && $0.key.server == endpoint
        }
        return TargetStatus(
            version: arm.identity.name, server: endpoint?.description ?? server.address.description,
            reachable: server.state.isHealthy, state: server.state.condition, detail: server.state.detail,
            until: server.until.map { Timestamp(milliseconds: $0) }, scrape: last.map { scrape($0.key, $0.value) })
    }

    private func scrape(_ target: ScrapeTarget, _ result: ScrapeResult) -> TargetStatus.Scrape {
        let preset = target.preset.flatMap(MetricsPreset.named)
        var problem = ""
        var samples = 0
        var isRead = false
        switch result.outcome {
        case .sample(let sample):
            samples = sample.sampleCount
            if sample.isOtherPage, let preset { problem = preset.absenceText }
            isRead = true
        case .failure(let reason): problem = reason
        }
        let now = SystemClock().now
        let age = (now.monotonic - result.startedAt) / 1_000_000
        return TargetStatus.Scrape(
            url: target.url, at: Timestamp(milliseconds: now.wall - age), ok: isRead, problem: problem,
            fix: problem.isEmpty ? nil : preset?.switchedOnBy, samples: samples,
            durationSeconds: result.duration.seconds)
    }

    /// The readiness of the agent. The API responds only after all listeners are open and the state is loaded, so the
    /// only possible problem is a change that is in force and not on disk.
    var readiness: HealthStatus {
        let unwritten = controller.serviceNames.filter { controller.view(of: $0)?.isDurable == false }
        return HealthStatus(ok: unwritten.isEmpty, problems: unwritten.map { "\($0): its state is not on disk" })
    }

    var agent: AgentStatus {
        AgentStatus(
            version: CanarydVersion.text, pid: getpid(), startedAt: Timestamp(milliseconds: running.startedAt),
            now: Timestamp(milliseconds: SystemClock().now.wall), configurationFile: Self.absolute(running.file),
            configurationReadAt: Timestamp(milliseconds: running.readAt),
            configurationFiles: controller.configuration.files.map(Self.absolute),
            refusedReload: running.refusedReload, accessLog: accessLog,
            stateDirectory: running.settings.stateDirectory, adminAddress: running.adminAddress,
            feedbackAddress: running.feedbackAddress, metricsAddress: running.metricsAddress)
    }

    private var accessLog: AccessLogStatus? {
        guard let settings = running.settings.accessLog, let counts = running.proxy.accessLogCounts else { return nil }
        var path: String?
        if case .file(let file) = settings.destination { path = Self.absolute(file) }
        return AccessLogStatus(
            path: path, written: counts.written, dropped: counts.dropped, failed: counts.failed,
            problem: counts.error == 0 ? nil : String(cString: strerror(counts.error)))
    }

    /// The absolute path without symbolic links; `path` itself if there is no such file.
    private static func absolute(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private func writeLimits(into w: inout ExpositionWriter) {
        let services = controller.configuration.services.filter { $0.traffic.limits != TrafficLimits() }
        let usages = services.map { ($0.name, $0.traffic.limits, running.proxy.usage(of: $0.name)) }
        w.family("canaryd_refused_requests_total", .counter, "Requests beyond a limit of their service.")
        for (name, _, usage) in usages {
            for (limit, count) in [
                ("connections", usage.refusedConnections), ("requests", usage.refusedRequests),
                ("buffer", usage.refusedBytes),
            ] { w.sample("canaryd_refused_requests_total", [("service", name), ("limit", limit)], value: count) }
        }
        w.family("canaryd_limited_connections", .gauge, "Connections of a service that limits them.")
        for (name, limits, usage) in usages where limits.connections != nil {
            w.sample("canaryd_limited_connections", [("service", name)], value: usage.connections)
        }
        w.family("canaryd_limited_requests", .gauge, "Open requests of a service that limits them.")
        for (name, limits, usage) in usages where limits.requests != nil {
            w.sample("canaryd_limited_requests", [("service", name)], value: usage.requests)
        }
        w.family("canaryd_limited_buffer_bytes", .gauge, "Buffered bytes of a service that limits them.")
        for (name, limits, usage) in usages where limits.buffer != nil {
            w.sample("canaryd_limited_buffer_bytes", [("service", name)], value: usage.bytes)
        }
    }

    func writeMetrics(into writer: inout ExpositionWriter) {
        writer.family("canaryd_build_info", .gauge, "1, with the version as a label.")
        writer.sample("canaryd_build_info", [("version", CanarydVersion.text)], value: 1)
        controller.writeMetrics(into: &writer)
        running.scrapes.writeMetrics(of: controller.configuration.services, into: &writer)
        writer.family("canaryd_config_last_reload_successful", .gauge, "0 while the last reload was refused.")
        writer.sample("canaryd_config_last_reload_successful", value: running.refusedReload == nil ? 1 : 0)
        writer.family("canaryd_client_connections", .gauge, "Open connections of clients.")
        writer.sample("canaryd_client_connections", value: running.proxy.connectionCount)
        writer.family(
            "canaryd_displaced_connections_total", .counter,
            "Connections without a request that were closed to make room for new ones.")
        for (socket, count) in running.displacedConnections.bySocket {
            writer.sample("canaryd_displaced_connections_total", [("socket", socket)], value: count)
        }
        writer.family("canaryd_tunnels", .gauge, "Open connections that were upgraded to WebSocket.")
        writer.sample("canaryd_tunnels", value: running.proxy.tunnelCount)
        if let counts = running.proxy.accessLogCounts {
            writer.family("canaryd_access_log_lines_total", .counter, "Lines of the access log by result.")
            for (result, count) in [
                ("written", counts.written), ("dropped", counts.dropped), ("failed", counts.failed),
            ] { writer.sample("canaryd_access_log_lines_total", [("result", result)], value: count) }
        }
        writer.family("canaryd_upstream_connections", .gauge, "Open connections to servers, including idle ones.")
        writer.sample("canaryd_upstream_connections", value: running.proxy.upstreamConnectionCount)
        writeLimits(into: &writer)
        running.proxy.mirrorCounts.write(into: &writer)
        ProcessMetrics.write(into: &writer)
    }
}
