import PolicyModel

/// The content of the agent's file, as far as it could be read.
struct AgentDraft {
    var settings = AgentSettings()
    /// Folders and files to read, with the mark of their mention; nil for the default.
    var services: [Located<String>]?
    var policies: [Located<String>]?
    var report: FileReport
}

/// Reads the agent's own file.
struct AgentReader {
    let report: FileReport
    /// Folder of the file.
    let base: String

    static func read(_ root: Node, base: String, report: FileReport) -> AgentDraft {
        AgentReader(report: report, base: base).agent(root)
    }

    private func agent(_ root: Node) -> AgentDraft {
        var draft = AgentDraft(report: report)
        let keys = [
            "state", "services", "policies", "admin", "feedback", "metrics", "loops", "log", "trustedNetworks",
            "accessLog",
        ]
        guard let section = Section(root, "the agent's file", keys: keys, report: report) else { return draft }
        if let state = section.read("state", "/var/lib/canaryd", { (text) throws(InvalidValue) in try path(text) }) {
            draft.settings.stateDirectory = FilePaths.absolute(state, base: base)
        }
        draft.services = sources("services", section)
        draft.policies = sources("policies", section)
        if let part = api("admin", section) {
            draft.settings.admin = socket("admin", part) ?? draft.settings.admin
            draft.settings.adminGroup = group(part)
        }
        if let part = api("feedback", section) {
            draft.settings.feedback = socket("feedback", part) ?? draft.settings.feedback
            draft.settings.feedbackGroup = group(part)
        }
        if draft.settings.admin == draft.settings.feedback {
            report.error(
                section.mark(section.has("feedback") ? "feedback" : "admin"),
                "admin and feedback share a socket, so label jobs could promote: give them one each")
        }
        draft.settings.metrics = metrics(section)
        draft.settings.loops =
            section.read("loops", "auto") { (text) throws(InvalidValue) -> Int? in
                if text == "auto" { return nil }
                let value = try Units.integer(text)
                guard (1...256).contains(value) else { throw InvalidValue("is out of range: write auto, or 1 to 256") }
                return value
            } ?? nil
        if let log = section.section("log", "log", keys: ["level", "format"]) {
            draft.settings.logLevel = log.choice("level", AgentSettings.LogLevel.self) ?? .info
            draft.settings.logFormat = log.choice("format", AgentSettings.LogFormat.self) ?? .auto
        }
        if section.has("trustedNetworks") { draft.settings.trusted = Networks.read(section, report) }
        draft.settings.accessLog = accessLog(section)
        return draft
    }

    private func accessLog(_ section: Section) -> AccessLogSettings? {
        let keys = ["path", "sample", "errors", "query"]
        guard let part = section.section("accessLog", "accessLog", keys: keys) else { return nil }
        part.require("path", "path: /var/log/canaryd/access.log, or path: stderr")
        let destination = part.read("path", "stderr") { (text) throws(InvalidValue) -> AccessLogSettings.Destination in
            text == "stderr" ? .stderr : .file(FilePaths.absolute(try path(text), base: base))
        }
        var settings = AccessLogSettings(destination: destination ?? .stderr)
        settings.sample = part.fraction("sample") ?? settings.sample
        settings.errors = part.boolean("errors") ?? settings.errors
        settings.query = part.boolean("query") ?? settings.query
        return settings
    }

    private func path(_ text: String) throws(InvalidValue) -> String {
        guard !text.isEmpty, !text.utf8.contains(0) else { throw InvalidValue("is no path") }
        return text
    }

    /// A folder, a file, or a list of them.
    private func sources(_ key: String, _ section: Section) -> [Located<String>]? {
        guard section.has(key) else { return nil }
        let items = section.list(key, "'\(key)'", atMost: ConfigurationLimits.files, orOne: true) ?? []
        return items.compactMap { item in
            report.read(item, "\(key)/") { (text) throws(InvalidValue) in try path(text) }
                .map { Located(value: $0, mark: item.mark) }
        }
    }

    private func api(_ key: String, _ section: Section) -> Section? {
        guard let node = section.node(key) else { return nil }
        if case .mapping(let entries) = node.content,
            let tcp = entries.first(where: { ["listen", "tcp", "token", "tls", "port", "address"].contains($0.name) })
        {
            let sample = "{socket: /run/canaryd/\(key).sock}"
            report.error(tcp.key, "'\(key)' over TCP comes with a later release: write \(sample)")
            return nil
        }
        return Section(node, "'\(key)'", keys: ["socket", "group"], report: report)
    }

    private func socket(_ key: String, _ part: Section) -> ListenAddress? {
        part.require("socket", "socket: /run/canaryd/\(key).sock")
        return part.read("socket", "/run/canaryd/\(key).sock") { (text) throws(InvalidValue) -> ListenAddress in
            if text.hasPrefix("unix:") {
                throw InvalidValue("is a path already by its key: write \(text.dropFirst(5))")
            }
            return .unix(path: try Addresses.socketPath(text, base: base))
        }
    }

    private func metrics(_ section: Section) -> ListenAddress? {
        guard let part = section.section("metrics", "metrics", keys: ["listen"]) else { return nil }
        part.require("listen", "listen: 127.0.0.1:9464")
        let address = part.read("listen", "127.0.0.1:9464") { (text) throws(InvalidValue) -> ListenAddress in
            let address = try Addresses.listen(text, base: base)
            guard case .tcp = address else {
                throw InvalidValue(
                    "is no TCP address: write host and port, such as 127.0.0.1:9464; the admin socket serves /metrics "
                        + "as well")
            }
            return address
        }
        if case .tcp(let host, _)? = address, let address, !Addresses.isLoopback(host) {
            report.warning(
                part.node("listen")?.mark ?? part.mark,
                "\(address) is not on loopback: without a token, everyone who reaches it reads the names of services, "
                    + "versions and servers, their traffic, and what checks measured; write 127.0.0.1 as the host, or let a "
                    + "firewall admit Prometheus alone")
        }
        return address
    }

    /// Whether it exists is a matter of the host: the agent looks when it opens the socket.
    private func group(_ part: Section) -> String? {
        part.read("group", "canaryd-admin") { (text) throws(InvalidValue) -> String in
            guard let first = text.utf8.first, text.utf8.count <= 31, Names.isAlphanumeric(first) || first == 0x5f,
                text.utf8.allSatisfy({ Names.isAlphanumeric($0) || "_-.".utf8.contains($0) })
            else { throw InvalidValue("is no group name: write one that `getent group` knows, such as canaryd-admin") }
            return text
        }
    }
}
