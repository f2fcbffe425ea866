import PolicyModel

// Health checks, outlier detection and limits.

extension ServiceReader {
    func healthCheck(_ part: Section, versions: [Located<Version>]) -> HealthCheck? {
        let keys = ["path", "interval", "timeout", "unhealthyThreshold", "healthyThreshold", "expectedStatus"]
        guard let part = part.section("healthCheck", "healthCheck", keys: keys) else { return nil }
        let defaults = HealthCheck()
        let path = part.read("path", "/v2/health/ready") { (text) throws(InvalidValue) -> String in
            try Self.path(text)
            return text
        }
        if !part.means("path"), let silent = versions.first(where: { $0.value.readyPath == nil }) {
            report.error(
                part.mark,
                "healthCheck needs 'path', since version '\(silent.value.name)' names no metrics preset whose path is known:"
                    + " write path: /v2/health/ready")
        }
        let thresholds = 1...ConfigurationLimits.threshold
        let check = HealthCheck(
            path: path,
            interval: part.duration("interval", atLeast: .milliseconds(100), atMost: .seconds(3600))
                ?? defaults.interval,
            timeout: part.duration("timeout", atLeast: .milliseconds(10), atMost: .seconds(300)) ?? defaults.timeout,
            unhealthyThreshold: part.integer("unhealthyThreshold", in: thresholds) ?? defaults.unhealthyThreshold,
            healthyThreshold: part.integer("healthyThreshold", in: thresholds) ?? defaults.healthyThreshold,
            expectedStatus: part.read("expectedStatus", "200-299", Self.statuses) ?? defaults.expectedStatus)
        if check.timeout > check.interval {
            report.error(
                part.mark(part.has("timeout") ? "timeout" : "interval"),
                "a probe may take \(check.timeout.written) and one begins every \(check.interval.written): write a timeout"
                    + " of \(check.interval.written) or less")
        }
        return check
    }

    /// Reads one status (`200`) or a range of statuses (`200-299`).
    private static func statuses(_ text: String) throws(InvalidValue) -> ClosedRange<Int> {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count <= 2, let first = parts[0], let last = parts.last ?? nil, (200...599).contains(first),
            (first...max(first, 599)).contains(last)
        else { throw InvalidValue("is no status: write one from 200 to 599, or a range such as 200-299") }
        return first...last
    }

    func outlierDetection(_ part: Section) -> OutlierDetection? {
        let keys = [
            "consecutive5xx", "consecutiveGatewayFailure", "baseEjectionTime", "maxEjectionTime", "maxEjectionPercent",
        ]
        guard let part = part.section("outlierDetection", "outlierDetection", keys: keys) else { return nil }
        let defaults = OutlierDetection()
        let counts = 0...ConfigurationLimits.threshold
        let rules = OutlierDetection(
            consecutive5xx: part.integer("consecutive5xx", in: counts) ?? defaults.consecutive5xx,
            consecutiveGatewayFailure: part.integer("consecutiveGatewayFailure", in: counts)
                ?? defaults.consecutiveGatewayFailure,
            baseEjectionTime: part.duration("baseEjectionTime", atLeast: .milliseconds(100), atMost: .seconds(3600))
                ?? defaults.baseEjectionTime,
            maxEjectionTime: part.duration("maxEjectionTime", atLeast: .milliseconds(100), atMost: .seconds(86_400))
                ?? max(defaults.maxEjectionTime, part.duration("baseEjectionTime") ?? .zero),
            maxEjectionPercent: part.fraction("maxEjectionPercent").map { Int(($0 * 100).rounded()) }
                ?? defaults.maxEjectionPercent)
        if rules.maxEjectionTime < rules.baseEjectionTime {
            report.error(
                part.mark("maxEjectionTime"),
                "the first ejection already lasts \(rules.baseEjectionTime.written): write that or more")
        }
        if rules.consecutive5xx == 0, rules.consecutiveGatewayFailure == 0 {
            report.error(part.mark, "outlierDetection counts nothing: write consecutive5xx: 5, or remove it")
        }
        return rules
    }

    func limits(_ part: Section) -> TrafficLimits {
        guard let part = part.section("limits", "limits", keys: ["connections", "requests", "buffer"]) else {
            return TrafficLimits()
        }
        let most = 1...ConfigurationLimits.connections
        return TrafficLimits(
            connections: part.integer("connections", in: most), requests: part.integer("requests", in: most),
            buffer: part.read("buffer", "64MiB") { (text) throws(InvalidValue) -> Int in
                let bytes = try Units.quantity(text)
                guard bytes >= 1_048_576, bytes <= Double(ConfigurationLimits.buffer) else {
                    throw InvalidValue("is out of range: write a size from 1MiB to 1TiB")
                }
                return Int(bytes)
            })
    }
}
