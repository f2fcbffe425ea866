import PolicyModel

extension ServiceReader {
    func traffic(_ section: Section, route: Route, versions: [Located<Version>]) -> TrafficRules {
        let keys = [
            "sticky", "match", "mirror", "rescue", "timeouts", "forwarded", "requestId", "healthCheck",
            "outlierDetection", "limits",
        ]
        guard let part = section.section("traffic", "traffic", keys: keys) else { return TrafficRules() }
        return TrafficRules(
            sticky: sticky(part), match: matches(part), mirror: mirror(part), rescue: rescue(part, route: route),
            timeouts: timeouts(part), headers: headers(part), healthCheck: healthCheck(part, versions: versions),
            outlierDetection: outlierDetection(part), limits: limits(part))
    }

    private func sticky(_ part: Section) -> StickyKey {
        guard let node = part.node("sticky") else { return .none }
        if case .scalar = node.content {
            _ = report.read(node, "{header: x-user-id}") { (text) throws(InvalidValue) in
                if text == "none" { return }
                throw InvalidValue("is not known here: write none, {header: x-user-id} or {cookie: session}")
            }
            return .none
        }
        guard let key = Section(node, "sticky", keys: ["header", "cookie"], report: report) else { return .none }
        switch (key.has("header"), key.has("cookie")) {
        case (true, true):
            report.error(key.mark("cookie"), "requests are kept by a header or by a cookie: remove one of them")
        case (true, false):
            if let name = key.read("header", "x-user-id", Self.headerName) { return .header(name) }
        case (false, true):
            let name = key.read("cookie", "session") { (text) throws(InvalidValue) -> String in
                guard Names.isToken(text) else {
                    throw InvalidValue("is no name of a cookie: write one such as session")
                }
                return text
            }
            if let name { return .cookie(name) }
        case (false, false):
            report.error(key.mark, "sticky needs a header or a cookie: write {header: x-user-id}")
        }
        return .none
    }

    private static func headerName(_ text: String) throws(InvalidValue) -> String {
        guard Names.isToken(text) else { throw InvalidValue("is no name of a header: write one such as x-user-id") }
        return text.lowercased()
    }

    private func matches(_ part: Section) -> [HeaderMatch] {
        guard let items = part.list("match", "'match'", atMost: ConfigurationLimits.matches) else { return [] }
        return items.compactMap { item in
            guard let match = Section(item, "a match", keys: ["header", "equals", "to", "trusted"], report: report)
            else {
                return nil
            }
            match.require("header", "header: x-canary")
            match.require("equals", "equals: always")
            match.require("to", "to: candidate")
            let header = match.read("header", "x-canary", Self.headerName)
            let equals = match.text("equals")
            let arms = [("candidate", Arm.candidate), ("baseline", .baseline)]
            let arm = match.choice("to", arms)
            let trusted = match.boolean("trusted")
            if let header, trusted == false, ReservedFields.isForwarding(header) {
                report.error(
                    match.mark("trusted"),
                    "'\(header)' is accepted from trusted clients only: remove this, or match another header")
            }
            guard let header, let equals, let arm else { return nil }
            return HeaderMatch(header: header, equals: equals, to: arm, trusted: trusted)
        }
    }

    private func timeouts(_ part: Section) -> Timeouts {
        guard let part = part.section("timeouts", "timeouts", keys: ["connect", "response", "idle"]) else {
            return Timeouts()
        }
        let defaults = Timeouts()
        return Timeouts(
            connect: part.duration("connect", atMost: .seconds(300)) ?? defaults.connect,
            response: part.duration("response", atMost: .seconds(86_400)) ?? defaults.response,
            idle: part.duration("idle", atMost: .seconds(86_400)) ?? defaults.idle)
    }

    func analysis(_ section: Section, route: Route) -> AnalysisRules {
        let keys = ["interval", "requests", "judge", "risk"]
        guard let part = section.section("analysis", "analysis", keys: keys) else { return AnalysisRules() }
        let defaults = AnalysisRules()
        let judge = part.choice("judge", JudgeKind.self) ?? defaults.judge
        let risk = risk(part)
        if judge == .threshold, risk.limitsHarm {
            report.error(
                part.mark("risk"),
                "'harm' and 'promotion' need the sequential judge: remove them, or 'judge: threshold'")
        }
        if let budget = risk.harm?.excessFailures, let most = risk.promotion?.whenExcessFailuresAtMost, most > budget {
            report.error(
                part.mark("risk"),
                "proofs would be waived with \(most) excess failures, but the rollout pauses above \(budget): write "
                    + "whenExcessFailuresAtMost: \(budget) or less")
        }
        return AnalysisRules(
            interval: part.duration("interval", atLeast: .milliseconds(100), atMost: .seconds(60)) ?? defaults.interval,
            requests: judged(part, route: route), judge: judge, risk: risk)
    }

    private func risk(_ part: Section) -> Risk {
        guard let part = part.section("risk", "risk", keys: ["falseRevert", "falsePromote", "harm", "promotion"])
        else { return Risk() }
        let chance = { (key: String, initial: Double) in
            part.read(key, "1%") { (text) throws(InvalidValue) -> Double in
                let value = try Units.fraction(text)
                guard value > 0, value < 1 else {
                    throw InvalidValue("is out of range: write more than 0% and less than 100%")
                }
                return value
            } ?? initial
        }
        let defaults = Risk()
        return Risk(
            falseRevert: chance("falseRevert", defaults.falseRevert),
            falsePromote: chance("falsePromote", defaults.falsePromote), harm: harm(part), promotion: promotion(part))
    }

    /// The largest budget of failures that a file may have.
    private static let mostFailures = 1_000_000_000

    private func harm(_ part: Section) -> HarmBudget? {
        guard let part = part.section("harm", "harm", keys: ["excessFailures", "confidence"]) else { return nil }
        part.require("excessFailures", "excessFailures: 200")
        let failures = part.integer("excessFailures", in: 1...Self.mostFailures)
        let confidence = part.fraction("confidence", in: 0.5...0.9999)
        return failures.map { HarmBudget(excessFailures: $0, confidence: confidence ?? HarmBudget.usualConfidence) }
    }

    private func promotion(_ part: Section) -> UnprovenPromotion? {
        let keys = ["after", "whenExcessFailuresAtMost"]
        guard let part = part.section("promotion", "promotion", keys: keys) else { return nil }
        part.require("after", "after: 24h")
        part.require("whenExcessFailuresAtMost", "whenExcessFailuresAtMost: 5")
        let after = part.duration("after")
        let failures = part.integer("whenExcessFailuresAtMost", in: 0...Self.mostFailures)
        guard let after, let failures else { return nil }
        return UnprovenPromotion(after: after, whenExcessFailuresAtMost: failures)
    }

    private func judged(_ part: Section, route: Route) -> JudgedRequests {
        guard let part = part.section("requests", "requests", keys: ["methods", "paths"]) else {
            return JudgedRequests()
        }
        return JudgedRequests(methods: methods(part) ?? [], paths: paths(part, route: route) ?? [])
    }

    func methods(_ part: Section) -> [String]? {
        part.list("methods", "'methods'", atMost: ConfigurationLimits.judged)?.compactMap { item in
            report.read(item, "POST") { (text) throws(InvalidValue) -> String in
                guard Names.isToken(text) else { throw InvalidValue("is no method: write one such as POST") }
                if text != text.uppercased() {
                    throw InvalidValue("is not upper case as on the wire: write \(text.uppercased())")
                }
                return text
            }
        }
    }

    func paths(_ part: Section, route: Route) -> [String]? {
        part.list("paths", "'paths'", atMost: ConfigurationLimits.judged)?.compactMap { item in
            report.read(item, "/v2/models/income/infer") { (text) throws(InvalidValue) -> String in
                try Self.path(text)
                let inside = route.path == "/" || text == route.path || text.hasPrefix(route.path + "/")
                guard inside else {
                    throw InvalidValue("lies outside the route \(route.path), so it is never seen: correct one of them")
                }
                return text
            }
        }
    }
}
