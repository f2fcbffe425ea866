/// The parts of a service's file.
struct ServiceFile {
    var name = "web"
    var port: UInt16
    /// The versions, each with its entry as YAML.
    var versions: [(name: String, entry: String)]
    var baseline = "old"
    var candidate: String?
    var policies = ["quick"]
    var strategy = "{steps: [{weight: 20%, hold: 1s}, {weight: 50%, hold: 1s}]}"
    var judge = "threshold"
    /// Further lines of the file, each with its line break.
    var extra = ""

    var text: String {
        var lines = ["service: \(name)", "listen: 127.0.0.1:\(port)", "versions:"]
        lines += versions.map { "  \($0.name): \($0.entry)" }
        lines.append("baseline: \(baseline)")
        if let candidate { lines.append("candidate: \(candidate)") }
        lines.append("policies: [\(policies.joined(separator: ", "))]")
        lines.append("strategy: \(strategy)")
        lines.append("analysis: {interval: 200ms, judge: \(judge)}")
        return lines.joined(separator: "\n") + "\n" + extra
    }

    static func entry(_ servers: Upstream..., more: String = "") -> String {
        let list = servers.map { "\"http://127.0.0.1:\($0.port)\"" }.joined(separator: ", ")
        return "{servers: [\(list)]\(more)}"
    }
}

/// Policies for rollouts that take seconds.
enum Policies {
    private static func policy(_ name: String, _ checks: String, samples: Int = 10) -> String {
        """
        policy: \(name)
        threshold: {interval: 1s, window: 10s, minSamples: \(samples), failureLimit: 0}
        checks:
        \(checks)

        """
    }

    static let quick = policy(
        "quick",
        """
          - name: error-rate
            errors: {max: 10%}
          - name: p95-latency
            latency: {quantile: p95, max: 5s}
        """)

    static let latency = policy(
        "latency",
        """
          - name: p95-latency
            latency: {quantile: p95, max: 150ms}
        """)

    static let quality = policy(
        "quality",
        """
          - name: recall-of-groups
            quality: {measure: recall, groups: [sex], maxDrop: 20pp, from: feedback, minSamples: 20, maturity: 10s}
        """)

    static let scraped = policy(
        "scraped",
        """
          - name: scraped-errors
            errors: {max: 10%, from: scrape}
          - name: queue
            metric: {series: reference_queue_depth, aggregate: max, max: 50, for: 2}
        """)
}
