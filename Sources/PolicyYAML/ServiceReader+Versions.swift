import PolicyModel

extension ServiceReader {
    /// Reads the versions; nil if their names are not known completely. A version with an error keeps its name, so that
    /// `baseline` and `candidate` are compared with all names.
    func versions(_ section: Section, listen: [Located<ListenAddress>]) -> [Located<Version>]? {
        section.require("versions", "the versions and their servers")
        guard let node = section.node("versions") else { return nil }
        guard case .mapping(let entries) = node.content else {
            if case .unusable = node.content { return nil }
            report.error(node.mark, "'versions' is a mapping from names to versions; found \(node.kind)")
            return nil
        }
        if entries.isEmpty { report.error(section.mark("versions"), "'versions' is empty: write at least one") }
        if entries.count > ConfigurationLimits.versions {
            report.error(
                node.mark, "more than \(ConfigurationLimits.versions) versions: remove those that are no longer used")
            return nil
        }
        return entries.map { entry in
            let key = Node(mark: entry.key, content: .scalar(entry.name, quoted: true))
            _ = report.read(key, "fp32-v1", Names.checked)
            let version = version(entry, listen: listen) ?? Version(name: entry.name, servers: [])
            return Located(value: version, mark: entry.key)
        }
    }

    private func version(_ entry: Node.Entry, listen: [Located<ListenAddress>]) -> Version? {
        if entry.value.isEmpty {
            report.error(
                entry.key, "version '\(entry.name)' has no value: write its servers, such as [http://127.0.0.1:9001]")
            return nil
        }
        let what = "version '\(entry.name)'"
        guard
            let part = Section(entry.value, what, keys: ["servers", "revision", "metrics", "upstream"], report: report)
        else { return nil }
        let revision = part.read("revision", "\"2026-11-20\"") { (text) throws(InvalidValue) -> String in
            guard !text.isEmpty, text.unicodeScalars.count <= 128,
                text.unicodeScalars.allSatisfy({ $0.value > 0x20 && !(0x7f...0x9f).contains($0.value) })
            else { throw InvalidValue("is no revision: write up to 128 characters without spaces") }
            return text
        }
        return Version(
            name: entry.name, servers: servers(part, listen: listen), revision: revision, metrics: metrics(part),
            upstream: upstream(part))
    }

    private func upstream(_ part: Section) -> UpstreamRules {
        guard let part = part.section("upstream", "upstream", keys: ["reuse"]) else { return UpstreamRules() }
        return UpstreamRules(reuse: part.boolean("reuse") ?? true)
    }

    private func servers(_ part: Section, listen: [Located<ListenAddress>]) -> [ServerAddress] {
        part.require("servers", "servers: [http://127.0.0.1:9001]")
        guard let items = part.list("servers", "'servers'", atMost: ConfigurationLimits.serversOfVersion, orOne: true)
        else { return [] }
        if items.isEmpty { report.error(part.mark("servers"), "'servers' is empty: write at least one") }
        var seen: Set<ServerAddress> = []
        return items.compactMap { item in
            report.read(item, "http://127.0.0.1:9001") { (text) throws(InvalidValue) -> ServerAddress in
                let server = try Addresses.server(text, base: base)
                guard seen.insert(server).inserted else { throw InvalidValue("is repeated: remove one of them") }
                if case .http(let host, let port) = server,
                    listen.contains(where: { $0.value == .tcp(host: host, port: port) })
                {
                    throw InvalidValue("is where this service itself listens: requests would go round in a circle")
                }
                return server
            }
        }
    }

    private func metrics(_ part: Section) -> MetricsSource? {
        let keys = ["preset", "path", "port", "model", "interval", "timeout", "maxSamples", "maxBody"]
        guard let part = part.section("metrics", "metrics", keys: keys) else { return nil }
        if !part.has("preset"), !part.has("path") {
            report.error(part.mark, "metrics need a preset, or a path: write {preset: triton} or {path: /metrics}")
        }
        let path = part.read("path", "/metrics") { (text) throws(InvalidValue) -> String in
            try Self.path(text, allowsQuery: true)
            return text
        }
        let model = part.read("model", "income") { (text) throws(InvalidValue) -> String in
            guard !text.isEmpty, text.count <= 256 else {
                throw InvalidValue("is no model name: write up to 256 characters")
            }
            return text
        }
        let source = MetricsSource(
            preset: part.choice("preset", MetricsSource.presetNames.map { ($0, $0) }), path: path,
            port: part.integer("port", in: 1...65_535).map { UInt16($0) }, model: model,
            interval: part.duration("interval", atLeast: .milliseconds(100), atMost: .seconds(3600)) ?? .seconds(5),
            timeout: part.duration("timeout", atLeast: .milliseconds(10), atMost: .seconds(300)) ?? .seconds(2),
            maxSamples: part.integer("maxSamples", in: 1...ConfigurationLimits.scrapeSamples),
            maxBody: part.bytes("maxBody", atLeast: 1, atMost: ConfigurationLimits.scrapeBody))
        if source.timeout > source.interval {
            let interval = source.interval.written
            report.error(
                part.mark(part.has("timeout") ? "timeout" : "interval"),
                "a scrape may take \(source.timeout.written) and one begins every \(interval): write a timeout of"
                    + " \(interval) or less")
        }
        return source
    }
}
