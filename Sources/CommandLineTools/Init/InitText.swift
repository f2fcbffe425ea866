import AdminTypes
import Analysis
import PolicyModel

/// The contents of the files that `init` writes.
struct InitFiles {
    var name: String
    var listen: String
    var old: ModelServer
    var new: ModelServer?
    var newAddress: ServerAddress
    var newMetricsPort: UInt16?
    var sample: BaselineSample
    var bounds: ProposedBounds

    /// The one model that both serve; nil if there are several, or none is named.
    var model: String? { old.models.count == 1 ? old.models[0] : nil }

    /// True for a server of language models. The duration of their responses depends on their length, so latency is
    /// judged by the first byte.
    private var streams: Bool { old.api?.kind == .openAI }

    private var seen: String {
        guard sample.isEnough else {
            if sample.requests == nil { return "# Defaults: the server has no metrics to learn from." }
            return
                "# Defaults: the server had too little traffic to learn from (\(Words.count(Int(saturating: sample.requests ?? 0))) requests in "
                + "\(Words.time(sample.seconds)))."
        }
        var text =
            "# Measured in \(Words.time(sample.seconds)): \(Words.count(Int(saturating: sample.requests ?? 0))) requests, "
            + "\(Words.rate(sample.rate))/s, \(sample.errorText)"
        if let p50 = sample.p50, let p95 = sample.p95Text { text += ", P50 \(Self.time(p50)), \(p95)" }
        return text + "."
    }

    /// A duration such as `84ms`, in whole milliseconds from 10 ms on.
    static func time(_ seconds: Double) -> String {
        let ms = seconds * 1000
        return Duration.nanoseconds(Int64(saturating: (ms >= 10 ? ms.rounded() : (ms * 100).rounded() / 100) * 1e6))
            .written
    }

    /// A share as a percentage without trailing zeros, such as `0.2%`.
    private static func share(_ value: Double) -> String { Measurement.decimals(value * 100, 3) + "%" }

    /// Pads a line of YAML so that its comment is aligned with those of the lines around it.
    private static func pad(_ text: String, to width: Int = 20) -> String { EventText.pad(text, width) }

    /// The arguments of the policy, whose defaults are the measured bounds.
    private var arguments: String {
        func line(_ name: String, _ value: String, _ comment: String) -> String {
            "  " + Self.pad("\(name): {default: \(value)}", to: 30) + " # \(comment)\n"
        }
        return line("maxErrors", Self.share(bounds.maxErrors), "ceiling of the error rate")
            + line(
                "errorFloor", Self.share(bounds.errorFloor),
                "error rate up to which any increase is accepted"
                    + (bounds.isRaised ? "; the least that this traffic proves in a working day" : ""))
            + (bounds.p95.map {
                line("p95", $0.written, "ceiling of the P95: 1.3 times the measured one, and at least 5 ms above it")
            } ?? "")
            + line(
                "latencyIncrease", "30%", "increase of the latency over the old version's that is accepted")
    }

    var policy: String {
        return """
            # The bounds for candidates of \(name). Written by canaryctl init.
            \(seen)
            policy: \(name)
            # Another service uses this policy with its own values by policies: [{use: \(name), with: {errorFloor: 1%}}].
            arguments:
            \(arguments)\
            onNoData: hold              # without traffic nothing is promoted and nothing is reverted
            checks:
              # 5xx, failed or timed-out connections, and truncated responses, as the proxy sees them. Above the ceiling, the
              # candidate is not reverted if the old version fails as often.
              - name: error-rate
                errors:
                  max: ${maxErrors}
                  \(Self.pad("maxIncrease: 50%")) # at most 1.5 times the old version's rate
                  floor: ${errorFloor}

              # 4xx and redirects: a wrong model name, a path that no longer exists, a full queue.
              - name: client-errors
                clientErrors:
                  \(Self.pad("maxIncrease: 50%")) # at most 1.5 times the old version's share;
                  \(Self.pad("floor: 1%")) # shares up to this value are always accepted

            \(latencyChecks)
            """
    }

    private var latencyChecks: String {
        let increase = #"maxIncrease: "${latencyIncrease}""#
        let ceiling = bounds.p95 == nil ? "" : #"max: "${p95}", "#
        let hint = bounds.p95 == nil ? "   # add max: if you have promised a latency" : ""
        guard streams else {
            return """
                  # A failed request counts as slower than every bound, and an open one once it has lasted longer than the bound.
                  - name: p95-latency
                    latency: {quantile: p95, \(ceiling)\(increase)}\(hint)

                  # The whole distribution: a slow-down may show in the middle, or only in the tail. An increase of 5 ms is
                  # always accepted.
                  - name: latency-distribution
                    latency: {distribution: true, \(increase), floor: 5ms}

                """
        }
        let total = #"latency: {quantile: p95, of: total, max: "${p95}"}"#
        return """
              # The duration of a response depends on its length, so the time to the first byte is compared. A failed request
              # counts as slower than every bound.
              - name: p95-first-byte
                latency: {quantile: p95, of: firstByte, \(increase)}   # add max: if you have promised one

              # Most users wait for the median: it shows a slow-down long before the tail does.
              - name: first-byte-distribution
                latency: {distribution: true, of: firstByte, \(increase), floor: 20ms}

            """ + (bounds.p95 == nil ? "" : "\n  - name: p95-total\n    \(total)\n")
    }

    private func version(_ label: String, _ address: ServerAddress, _ port: UInt16?) -> String {
        var text = "  \(label):\n    servers: [\(address.written)]\n"
        if let preset = old.preset {
            var parts = ["preset: \(preset.name)"]
            if let port, port != address.port { parts.append("port: \(port)") }
            if let model, preset.modelLabel != nil { parts.append("model: \(YAMLText.flowString(model))") }
            text += "    metrics: {\(parts.joined(separator: ", "))}\n"
        }
        return text
    }

    var service: String {
        var judged = old.api?.paths(model: model) ?? []
        if judged.isEmpty, ["reference", "triton", "mlserver"].contains(old.preset?.name), let model {
            judged = ["/v2/models/\(model)/infer"]
        }
        let paths = judged.map(YAMLText.flowString).joined(separator: ", ")
        let requests =
            judged.isEmpty
            ? "  requests: {methods: [POST]}   # only these are judged; add paths if you can"
            : "  requests: {methods: [POST], paths: [\(paths)]}   # only these are judged"
        let health = old.api?.healthPath.map { "traffic:\n  healthCheck: {path: \($0)}\n" } ?? ""
        let metrics =
            old.preset == nil
            ? "# The servers have no metrics that canaryd knows. It judges what the proxy sees, which is enough.\n" : ""
        return """
            # \(name): clients connect to \(listen), and canaryd relays their requests to the servers. Written by canaryctl init.
            \(metrics)service: \(name)
            listen: \(listen)
            versions:                   # choose your own names; the history keeps them
            \(version("old", old.address, old.metricsPort))\(version("new", newAddress, newMetricsPort))baseline: old
            candidate: new              # the rollout begins when the agent loads this file
            policies: [\(name)]
            \(health)strategy:
              warmup: {requests: 20, within: 10m}   # a server's first responses are slow: latency is not judged until then
              steps:
                - {weight: 10%, hold: 10m}
                - {weight: 25%, hold: 10m}
                - {weight: 50%, hold: 10m}
                - {weight: 90%, hold: 10m}  # most requests prove soonest; the old version still gets some to compare with
              promotion: manual         # waits for canaryctl promote when everything is proven
            analysis:
            \(requests)

            """
    }
}
