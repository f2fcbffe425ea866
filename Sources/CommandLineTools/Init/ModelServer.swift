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

/// A model server, recognized by its metrics and by its inference API.
struct ModelServer {
    /// The timeout of one request to the server, in seconds.
    static let timeout = 5

    var address: ServerAddress
    /// The preset that fits the server's metrics; nil if none does.
    var preset: MetricsPreset?
    var metricsPort: UInt16
    /// The models that the metrics name.
    var models: [String] = []
    /// The server's inference API; nil if it is none of the known ones.
    var api: InferenceAPI?

    /// - Parameter metricsPort: the port of the metrics; nil for the usual ports of the known servers.
    /// - Throws: `HTTPFetch.Failure` if `metricsPort` is nil and the server does not respond at its own port.
    init(_ address: ServerAddress, metricsPort: UInt16?) throws {
        self.address = address
        self.metricsPort = metricsPort ?? address.port
        let own = metricsPort ?? address.port
        // The usual places of metrics: all paths at the server's own port, and fixed ports with their own paths.
        var places = MetricsPreset.all.map { (port: own, path: $0.path) }
        if metricsPort == nil {
            // A server that does not respond at all is reported before one without metrics.
            _ = try HTTPFetch.get(host: address.host, port: address.port, target: "/", timeout: Self.timeout)
            for preset in MetricsPreset.all {
                if case .fixed(let port) = preset.port { places.append((port, preset.path)) }
            }
        }
        api = InferenceAPI(address)
        for (place, (port, path)) in places.enumerated() where !places[..<place].contains(where: { $0 == (port, path) })
        {
            guard let exposition = try? Self.scrape(address.host, port, path: path) else { continue }
            let known = MetricsPreset.all.first { $0.path == path && $0.recognizes(exposition) }
            guard let known else { continue }
            preset = known
            self.metricsPort = port
            models = known.models(on: exposition).sorted().map(\.text)
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
