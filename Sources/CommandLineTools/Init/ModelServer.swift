import AdminClient
import PolicyModel
import PrometheusText

/// The address of a server as a person writes it, such as `http://127.0.0.1:8000`.
struct ServerAddress {
    var host: String
    var port: UInt16
    /// The address as a service's file writes it.
    var written: String { "http://\(host.contains(":") ? "[\(host)]" : host):\(port)" }

    init?(_ text: String) {
        var rest = Substring(text)
        if rest.hasPrefix("http://") { rest = rest.dropFirst(7) }
        while rest.last == "/" { rest = rest.dropLast() }
        guard !rest.contains("/"), !rest.contains("@"), let colon = rest.lastIndex(of: ":"),
            let port = UInt16(rest[rest.index(after: colon)...]), port > 0
        else { return nil }
        var host = rest[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, host.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || ".-_:".contains($0)) })
        else { return nil }
        self.host = String(host)
        self.port = port
    }
}

/// A model server, identified by its metrics.
struct ModelServer {
    /// The timeout of one request to the server, in seconds.
    static let timeout = 5

    var address: ServerAddress
    /// The preset that fits the server's metrics; nil if none does.
    var preset: MetricsPreset?
    var metricsPort: UInt16
    var models: [String] = []

    /// - Parameter metricsPort: the port of the metrics; nil for the usual ports of the known servers.
    /// - Throws: `HTTPFetch.Failure` if `metricsPort` is nil and the server does not respond at its own port.
    init(_ address: ServerAddress, metricsPort: UInt16?) throws {
        self.address = address
        self.metricsPort = metricsPort ?? address.port
        var ports = [metricsPort ?? address.port]
        if metricsPort == nil {
            // A server that does not respond at all is reported before one without metrics.
            _ = try HTTPFetch.get(host: address.host, port: address.port, target: "/", timeout: Self.timeout)
            for preset in MetricsPreset.all { if case .fixed(let port) = preset.port { ports.append(port) } }
        }
        for port in ports {
            guard let exposition = try? Self.scrape(address.host, port, path: "/metrics") else { continue }
            guard let known = MetricsPreset.all.first(where: { $0.isOf(exposition) }) else { continue }
            preset = known
            self.metricsPort = port
            if let label = known.modelLabel {
                let seen = known.requests.flatMap { exposition.select($0.selector).map { $0[label] } }
                models = Set(seen).filter { !$0.isEmpty }.sorted()
            }
            return
        }
    }

    /// Fetches the server's metrics.
    func exposition() throws -> Exposition {
        try Self.scrape(address.host, metricsPort, path: preset?.path ?? "/metrics")
    }

    private static func scrape(_ host: String, _ port: UInt16, path: String) throws -> Exposition {
        let (status, body) = try HTTPFetch.get(host: host, port: port, target: path, timeout: Self.timeout)
        guard status == 200 else { throw HTTPFetch.Failure(description: "answers \(status) to \(path)") }
        return try ExpositionParser.parse(body)
    }
}

extension MetricsPreset {
    /// True if an exposition has a request series of this preset. A family without samples suffices, because an idle
    /// server has no more.
    func isOf(_ exposition: Exposition) -> Bool {
        requests.contains { series in
            exposition.family(named: series.selector.name) != nil
                || !exposition.samples(named: series.selector.name).isEmpty
        }
    }

    /// The server's name, for people.
    var server: String {
        switch name {
        case "reference": "canaryd's reference server"
        case "triton": "NVIDIA Triton"
        case "mlserver": "Seldon MLServer"
        case "bentoml": "BentoML"
        default: name
        }
    }
}
