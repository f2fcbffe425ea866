import AdminClient
import AdminTypes
import Glibc
import PolicyYAML
import Vocabulary

/// An examination of the agent, the host and the services, which only reads.
struct Examination {
    let client: AdminClient
    private(set) var findings: [DoctorReport.Finding] = []
    private(set) var isReachable = false

    /// The largest accepted difference between the wall clocks of agent and client, in milliseconds.
    private static let tolerableSkew: Int64 = 2_000
    /// The largest accepted share of feedback rows that match no request, 0 ... 1. Above it, the ids are most likely
    /// wrong.
    private static let tolerableLoss = 0.05
    /// The smallest accepted number of free bytes on the disk of the state directory.
    private static let leastSpace: UInt64 = 64 << 20

    init(client: AdminClient) { self.client = client }

    mutating func run() {
        let agent: AgentStatus
        do { agent = try client.agent() } catch {
            return fail("agent", "\(error)")
        }
        isReachable = true
        ok("agent", "version \(agent.version), process \(agent.pid), since \(agent.startedAt.short) UTC")
        if agent.version != CanarydVersion.text {
            warn(
                "version", "the agent is \(agent.version), this canaryctl \(CanarydVersion.text)",
                "install both of one version")
        }
        readiness()
        sockets(agent)
        metrics(agent)
        clock(agent)
        configuration(agent)
        refusedReload(agent)
        accessLog(agent)
        disk(agent)
        do {
            for status in try client.services() { service(status) }
        } catch {
            fail("services", "\(error)")
        }
    }

    // MARK: - The agent

    private mutating func readiness() {
        do {
            let ready = try client.readiness()
            if ready.ok { return ok("ready", "listeners are open, the state is loaded") }
            for problem in ready.problems { fail("ready", problem, "the agent's log says more: journalctl -u canaryd") }
        } catch {
            fail("ready", "\(error)")
        }
    }

    private mutating func sockets(_ agent: AgentStatus) {
        for (name, address) in [("admin socket", agent.adminAddress), ("feedback socket", agent.feedbackAddress)] {
            guard address.hasPrefix("unix:") else {
                ok(name, address)
                continue
            }
            let path = String(address.dropFirst(5))
            var status = stat()
            guard stat(path, &status) == 0 else {
                let why = String(cString: strerror(errno))
                warn(
                    name, "\(path) cannot be seen from here: \(why)",
                    "run doctor on the agent's machine, as a user of its group")
                continue
            }
            let mode = String(status.st_mode & 0o777, radix: 8)
            if status.st_mode & 0o007 != 0 {
                warn(name, "\(path) is open to every user (0\(mode))", "chmod 0660 \(path)")
            } else {
                ok(name, "\(path) (0\(mode))")
            }
        }
    }

    private mutating func metrics(_ agent: AgentStatus) {
        if let address = agent.metricsAddress { ok("metrics", "http://\(address)/metrics, for Prometheus") }
    }

    private mutating func clock(_ agent: AgentStatus) {
        let skew = abs(Self.now.milliseconds - agent.now.milliseconds)
        if skew > Self.tolerableSkew {
            warn(
                "clock", "the agent's clock is \(skew) ms off this one",
                "let both machines keep time: timedatectl set-ntp true")
        } else {
            ok("clock", "agrees with this one within \(Self.tolerableSkew / 1000) s: \(agent.now.short) UTC")
        }
    }

    private mutating func configuration(_ agent: AgentStatus) {
        guard let file = agent.configurationFile else {
            return ok("configuration", "the agent runs without a file")
        }
        guard access(file, R_OK) == 0 else {
            return warn(
                "configuration", "\(file) cannot be read from here: \(String(cString: strerror(errno)))",
                "run doctor as a user that may")
        }
        let loaded = ConfigurationLoader.load(agentFile: file)
        let errors = loaded.diagnostics.filter { $0.severity == .error }
        if let first = errors.first {
            let line = first.line.map { ":\($0)" } ?? ""
            return fail(
                "configuration",
                "the files have \(Words.count(errors.count, "error")) and the next reload will be refused, first "
                    + "\(first.file)\(line): \(first.message)", "correct them; canaryd --check shows all")
        }
        let newer = agent.configurationFiles.filter { modified($0).map { $0 > agent.configurationReadAt } ?? false }
        if newer.isEmpty {
            ok("configuration", "\(file) is what runs, read \(agent.configurationReadAt.short) UTC")
        } else {
            warn(
                "configuration", "changed since the agent read it: \(newer.joined(separator: ", "))",
                "systemctl reload canaryd")
        }
    }

    private mutating func refusedReload(_ agent: AgentStatus) {
        guard let refused = agent.refusedReload else { return }
        for reason in refused.reasons {
            fail(
                "reload", "refused at \(refused.at.short) UTC, and nothing of it is in force: \(reason)",
                "correct that, then systemctl reload canaryd")
        }
    }

    private mutating func accessLog(_ agent: AgentStatus) {
        guard let log = agent.accessLog else { return }
        let lost =
            (log.failed > 0 ? ", \(Words.count(log.failed)) could not be written" : "")
            + (log.dropped > 0 ? ", \(Words.count(log.dropped)) were dropped since the writer was too slow" : "")
        let found = "\(log.path ?? "standard error"): \(Words.count(log.written)) lines written\(lost)"
        if let problem = log.problem {
            fail(
                "access log", "\(found); the last write failed: \(problem)",
                "make room, or change accessLog; requests are served, their lines are lost")
        } else if log.failed > 0 || log.dropped > 0 {
            warn("access log", found, "lines are written again; give it a disk with room, or lower accessLog.sample")
        } else {
            ok("access log", found)
        }
    }

    private func modified(_ path: String) -> Timestamp? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Timestamp(milliseconds: Int64(status.st_mtim.tv_sec) * 1000 + Int64(status.st_mtim.tv_nsec) / 1_000_000)
    }

    private mutating func disk(_ agent: AgentStatus) {
        var space = statvfs()
        guard statvfs(agent.stateDirectory, &space) == 0 else {
            return warn(
                "state", "\(agent.stateDirectory) cannot be seen from here: \(String(cString: strerror(errno)))",
                "run doctor as a user that may")
        }
        let free = UInt64(space.f_bavail) * UInt64(space.f_frsize)
        if free < Self.leastSpace {
            fail("state", "\(agent.stateDirectory) has \(free >> 20) MiB left", "make room: promotions need the disk")
        } else {
            ok("state", "\(agent.stateDirectory), \(Words.count(free >> 20)) MiB free")
        }
    }

    private static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    // MARK: - Services

    private mutating func service(_ status: ServiceStatus) {
        let name = status.service
        ok(name, StatusText.headline(status))
        if !status.durable {
            fail(
                name, "a change is in force that is not on disk",
                "repair the disk under the state directory; the write is retried by itself")
        }
        for note in status.notes { warn(name, note) }
        if let rollout = status.rollout, let pause = rollout.pause, pause.cause == .check {
            warn(
                name, "\(rollout.id) is paused: \(pause.reason)",
                "canaryctl explain \(name) shows the numbers; then canaryctl resume, promote or revert \(name)")
        }
        if let rollout = status.rollout, let holdReason = rollout.holdReason {
            warn(
                name, "\(rollout.id) is held: \(holdReason.rawValue)",
                status.waitsFor.first.map { "it waits for \($0)" })
        }
        for (_, arm) in status.arms {
            for failure in arm.failures {
                let subject = "\(name)/\(arm.version)"
                let found = StatusText.failure(failure)
                switch failure.stage {
                case .response:
                    warn(
                        subject, "failed in the proxy: \(found)",
                        "look at what its server sends, with curl -v past canaryd")
                case .afterResponse:
                    warn(
                        subject, "closed by the proxy: \(found)",
                        "correct its server, or write upstream: {reuse: false} for it: what comes late enough reaches another "
                            + "client")
                case .request, .server, .limit:
                    warn(subject, "failed in the proxy: \(found)", "look into its servers' logs")
                }
            }
        }
        do {
            for target in try client.targets(of: name) { self.target(target, of: name) }
        } catch {
            fail(name, "\(error)")
        }
        feedback(status)
    }

    private mutating func target(_ target: TargetStatus, of service: String) {
        let subject = "\(service)/\(target.version)"
        let found = "\(target.server) \(StatusText.condition(target.state, target.detail, target.until))"
        switch target.state {
        case .healthy: ok(subject, found)
        case .ejected: warn(subject, found, "look into its log; it is tried again then")
        case .unhealthy: fail(subject, found, "look into its log, or correct traffic.healthCheck")
        case .refusing, .hanging: fail(subject, found, "start it, or take it out of the service's file")
        case .unresolved: fail(subject, found, "correct its name, or add it to the resolver or /etc/hosts")
        }
        guard let scrape = target.scrape else { return }
        if scrape.ok, scrape.problem.isEmpty {
            ok(subject, "\(scrape.url) gave \(Words.count(scrape.samples)) samples at \(scrape.at.short) UTC")
        } else {
            let fix = scrape.fix.map { "\($0); until then, checks on scraped series have no data" }
            warn(
                subject, "\(scrape.url): \(scrape.problem)",
                fix ?? (scrape.ok ? nil : "checks on scraped series have no data until it answers"))
        }
    }

    private mutating func feedback(_ status: ServiceStatus) {
        let counts = status.feedback
        let lost = counts.unmatched + counts.ambiguous
        let unused = counts.noRollout + counts.noCheck
        let all = counts.joined + counts.duplicate + counts.late + lost
        guard all + unused > 0 else { return }
        let subject = "\(status.service) feedback"
        if counts.noCheck > 0, counts.joined == 0 {
            warn(
                subject, StatusText.feedback(counts),
                "labels come and no check asks for them; add a quality check to the policy, or stop the label job")
        } else if Double(lost) > Self.tolerableLoss * Double(all) {
            warn(
                subject, StatusText.feedback(counts),
                "post the x-request-id of each response as inference_id, soon after it, and each id once")
        } else {
            ok(subject, StatusText.feedback(counts))
        }
    }

    // MARK: - Grades

    private mutating func ok(_ subject: String, _ found: String) {
        findings.append(.init(grade: .ok, subject: subject, found: found))
    }

    private mutating func warn(_ subject: String, _ found: String, _ fix: String? = nil) {
        findings.append(.init(grade: .warn, subject: subject, found: found, fix: fix))
    }

    private mutating func fail(_ subject: String, _ found: String, _ fix: String? = nil) {
        findings.append(.init(grade: .fail, subject: subject, found: found, fix: fix))
    }
}
