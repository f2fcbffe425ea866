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
        if let p50 = sample.p50, let p95 = sample.p95 { text += ", P50 \(Self.time(p50)), P95 \(Self.time(p95))" }
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
    private static func pad(_ text: String) -> String { EventText.pad(text, 20) }

    /// A second comment line for a floor that was raised; empty for others.
    private var floorReason: String {
        bounds.isRaised
            ? "\n" + String(repeating: " ", count: 27) + "# the least that this traffic proves in a working day" : ""
    }

    var policy: String {
        var text = """
            # The bounds for candidates of \(name). Written by canaryctl init.
            \(seen)
            policy: \(name)
            onNoData: hold            # without traffic nothing is promoted and nothing is reverted
            checks:
              # 5xx, failed or timed-out connections, and truncated responses, as the proxy sees them.
              - name: error-rate
                errors:
                  \(Self.pad("max: " + Self.share(bounds.maxErrors))) # ceiling, unless the old version fails as often
                  \(Self.pad("maxIncrease: 50%")) # at most 1.5 times the old version's rate;
                  \(Self.pad("floor: " + Self.share(bounds.errorFloor))) # rates up to this value are always accepted\(floorReason)

              # 4xx and redirects: a wrong model name, a path that no longer exists, a full queue.
              - name: client-errors
                clientErrors:
                  \(Self.pad("maxIncrease: 50%")) # at most 1.5 times the old version's share;
                  \(Self.pad("floor: 1%")) # shares up to this value are always accepted

              # A failed request counts as slower than every bound, and an open one once it has lasted longer than the bound.
              - name: p95-latency

            """
        if let p95 = bounds.p95 {
            text += """
                    latency:
                      quantile: p95
                      \(Self.pad("max: " + p95.written)) # 1.3 times the measured P95, and at least 5 ms above it
                      \(Self.pad("maxIncrease: 30%")) # compared with the old version at the same time

                """
        } else {
            text += """
                    latency: {quantile: p95, maxIncrease: 30%}   # add max: if you have promised a latency

                """
        }
        text += """

              # The whole distribution: a slow-down may show in the middle, or only in the tail.
              - name: latency-distribution
                latency:
                  distribution: true
                  \(Self.pad("maxIncrease: 30%")) # compared with the old version at the same time;
                  \(Self.pad("floor: 5ms")) # an increase up to this value is always accepted

            """
        return text
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
        let isInference = ["reference", "triton", "mlserver"].contains(old.preset?.name)
        let requests =
            isInference && model != nil
            ? "  requests: {methods: [POST], paths: [\(YAMLText.flowString("/v2/models/\(model ?? "")/infer"))]}"
                + "   # only these are judged"
            : "  requests: {methods: [POST]}   # only these are judged; add paths if you can"
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
            strategy:
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
