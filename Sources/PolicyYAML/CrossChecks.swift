import PolicyModel

/// What only files together can show.
enum CrossChecks {
    /// - Returns: the policies of the services that give them arguments, by service and policy.
    static func run(_ set: ConfigurationSet, agent: AgentDraft) -> [String: [String: Policy]] {
        policyNames(set.policies)
        serviceNames(set.services)
        routes(set.services)
        sockets(set.services, agent: agent.settings)
        trust(set.services, agent: agent.settings)
        let policies = byName(set.policies)
        let adapted = adapted(set.services, set.policies)
        for draft in set.services {
            var scores: (policy: String, range: ScoreRange)?
            for use in draft.policies {
                let name = use.name
                guard let known = policies[name.value] else {
                    unknown(name, among: policies.keys.sorted(), set: set, draft: draft)
                    continue
                }
                let own = draft.name.flatMap { adapted[$0.value]?[name.value] }
                guard let policy = own ?? known.policy else { continue }
                scraped(policy, at: name.mark, draft: draft)
                guard let range = [policy].scoreRange else { continue }
                if let scores, scores.range != range {
                    draft.report.error(
                        name.mark,
                        "policy '\(name.value)' takes scores of \(range), and '\(scores.policy)' of \(scores.range): a "
                            + "row has one score, so give all of them the same range")
                }
                scores = scores ?? (name.value, range)
            }
        }
        return adapted
    }

    private static func byName(_ drafts: [PolicyDraft]) -> [String: PolicyDraft] {
        Dictionary(
            drafts.compactMap { draft in draft.name.map { ($0.value, draft) } }, uniquingKeysWith: { first, _ in first }
        )
    }

    /// The policies of services that give them arguments, by service and policy.
    /// - Parameter warns: true to warn of policies that are not among the drafts, whose arguments cannot be checked.
    static func adapted(
        _ services: [ServiceDraft], _ policies: [PolicyDraft], warns: Bool = false
    ) -> [String: [String: Policy]] {
        let policies = byName(policies)
        var adapted: [String: [String: Policy]] = [:]
        for draft in services {
            for use in draft.policies where !use.arguments.isEmpty {
                guard let known = policies[use.name.value] else {
                    if warns {
                        draft.report.warning(
                            use.name.mark,
                            "policy '\(use.name.value)' is not among the files, so its arguments are not checked: name its "
                                + "file as well")
                    }
                    continue
                }
                guard let service = draft.name?.value, known.policy != nil else { continue }
                adapted[service, default: [:]][use.name.value] = use.policy(from: known, report: draft.report)
            }
        }
        return adapted
    }

    static func policyNames(_ drafts: [PolicyDraft]) {
        var first: [String: String] = [:]
        for draft in drafts {
            guard let name = draft.name else { continue }
            if let file = first[name.value] {
                draft.report.error(
                    name.mark, "a second policy '\(name.value)', the first is in \(file): rename one of them")
            } else {
                first[name.value] = draft.report.file
            }
        }
    }

    private static func serviceNames(_ drafts: [ServiceDraft]) {
        var first: [String: String] = [:]
        for draft in drafts {
            guard let name = draft.name else { continue }
            if let file = first[name.value] {
                draft.report.error(
                    name.mark, "a second service '\(name.value)', the first is in \(file): rename one of them")
            } else {
                first[name.value] = draft.report.file
            }
        }
    }

    /// Warns of matches that never apply and of sticky keys that no request has, because the agent trusts nobody.
    private static func trust(_ drafts: [ServiceDraft], agent: AgentSettings) {
        guard agent.trusted == TrustedNetworks() else { return }
        for draft in drafts {
            guard let traffic = draft.service?.traffic else { continue }
            func warn(_ subject: String, _ fix: String) {
                draft.report.warning(
                    draft.trafficMark ?? Mark(line: 1, column: 1),
                    "\(subject) needs a trusted client, and the agent trusts nobody: name networks in its "
                        + "trustedNetworks, or \(fix)")
            }
            if let match = traffic.match.first(where: \.needsTrust) {
                warn(
                    "a match on \(match.header)",
                    ReservedFields.isForwarding(match.header)
                        ? "match another header" : "write trusted: false in the match")
            }
            if case .header(let name) = traffic.sticky, ReservedFields.contains(name) {
                warn("the sticky key \(name)", "take another header; without it every request is assigned at random")
            }
        }
    }

    private static func unknown(
        _ name: Located<String>, among known: [String], set: ConfigurationSet, draft: ServiceDraft
    ) {
        guard set.knowsAllPolicies else { return }
        let hint =
            known.isEmpty
            ? "no policy file was found; put one into the policies folder"
            : Suggestion.hint(for: name.value, among: known)
        draft.report.error(name.mark, "there is no policy '\(name.value)': \(hint)")
    }

    /// Checks that no two services on one address have the same host and path, by which requests are routed.
    private static func routes(_ drafts: [ServiceDraft]) {
        struct Place: Hashable {
            var listen: ListenAddress
            var route: Route
        }
        var first: [Place: ServiceDraft] = [:]
        for draft in drafts {
            for address in draft.listen {
                if case .tcp(_, 0) = address.value { continue }
                let place = Place(listen: address.value, route: draft.route)
                guard let other = first[place] else {
                    first[place] = draft
                    continue
                }
                let route =
                    "\(draft.route.host ?? "any host")\(draft.route.path == "/" ? "" : ", path \(draft.route.path)")"
                draft.report.error(
                    draft.routeMark ?? address.mark,
                    "service '\(other.name?.value ?? "")' in \(other.report.file) takes the same requests of"
                        + " \(address.value) (\(route)): give one of them another route or address")
            }
        }
    }

    private static func sockets(_ drafts: [ServiceDraft], agent: AgentSettings) {
        for draft in drafts {
            for address in draft.listen where address.value == agent.admin || address.value == agent.feedback {
                draft.report.error(address.mark, "the agent's own API listens on \(address.value): choose another")
            }
            guard let metrics = agent.metrics else { continue }
            for address in draft.listen where Addresses.collide(address.value, metrics) {
                let collision = address.value == metrics ? "" : ", which collides with \(address.value)"
                draft.report.error(
                    address.mark,
                    "the agent's metrics listen on \(metrics)\(collision): choose another port for one of them")
            }
        }
    }

    /// A check that reads scrapes needs versions that are scraped.
    private static func scraped(_ policy: Policy, at mark: Mark, draft: ServiceDraft) {
        guard let service = draft.service else { return }
        let arms = [service.baseline, service.candidate].compactMap { $0 }.compactMap(service.version(named:))
        for check in policy.checks {
            let needsPreset: Bool
            /// What a preset lacks for the check, and what to write instead; nil if it lacks nothing.
            let lack: (MetricsSource.Preset) -> String?
            switch check.kind {
            case .errors(let errors) where errors.from == .scrape:
                needsPreset = true
                lack = { $0.countsErrors ? nil : "does not count failed requests: write from: proxy in the check" }
            case .latency(let latency) where latency.from == .scrape:
                needsPreset = true
                lack = { $0.hasLatency ? nil : "has no histogram of latencies: write from: proxy in the check" }
            case .metric(let metric):
                let name = PresetSeriesName(series: metric.series)
                needsPreset = name != nil
                lack = { preset in
                    guard let name, !preset.series.contains(name) else { return nil }
                    let known = PresetSeriesName.allCases.filter(preset.series.contains).map(\.written)
                    return "has no \(name.written): "
                        + (known.isEmpty
                            ? "name the series itself in the check" : "it has \(known.joined(separator: ", "))")
                }
            case .errors, .clientErrors, .latency, .quality: continue
            }
            for version in arms {
                let metrics = version.metrics
                if metrics == nil || (needsPreset && metrics?.preset == nil) {
                    let missing =
                        metrics != nil
                        ? "reads the series of a preset, and the metrics of version '\(version.name)' name no preset: add "
                            + "preset: NAME to them"
                        : "reads scrapes, and version '\(version.name)' has none: give it metrics: {preset: NAME}"
                            + (needsPreset ? "" : " or {path: /metrics}")
                    draft.report.error(mark, "check '\(check.name)' of policy '\(policy.name)' \(missing)")
                    return
                }
                if let preset = metrics?.presetProperties, let lack = lack(preset) {
                    draft.report.error(
                        mark,
                        "check '\(check.name)' of policy '\(policy.name)' cannot be measured on version"
                            + " '\(version.name)', since its metrics preset \(preset.name) \(lack)")
                    return
                }
            }
        }
    }
}
