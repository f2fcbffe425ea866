/// A service as declared in its file.
public struct Service: Hashable, Codable, Sendable {
    public var name: String
    /// The addresses on which the service listens, at least one.
    public var listen: [ListenAddress]
    public var route: Route
    /// The versions, in the order of the file; names are unique.
    public var versions: [Version]
    /// The name of the version that serves as long as the service has no stored state.
    public var baseline: String
    /// The name of the version to roll out; nil for none.
    public var candidate: String?
    /// The names of the policies, in the order of the file.
    public var policies: [String]
    public var traffic: TrafficRules
    public var strategy: Strategy
    public var analysis: AnalysisRules

    public init(
        name: String, listen: [ListenAddress], route: Route = Route(), versions: [Version], baseline: String,
        candidate: String? = nil, policies: [String] = [], traffic: TrafficRules = TrafficRules(),
        strategy: Strategy = Strategy(), analysis: AnalysisRules = AnalysisRules()
    ) {
        self.name = name
        self.listen = listen
        self.route = route
        self.versions = versions
        self.baseline = baseline
        self.candidate = candidate
        self.policies = policies
        self.traffic = traffic
        self.strategy = strategy
        self.analysis = analysis
    }

    public func version(named name: String) -> Version? { versions.first { $0.name == name } }
}

/// The requests of a listener that belong to a service. If several routes match, one with a host comes first, then the
/// longest path.
public struct Route: Hashable, Codable, Sendable {
    /// The host in lower case, without port; nil for any host.
    public var host: String?
    /// A path prefix that starts with `/` and matches whole segments: `/v2` matches `/v2` and `/v2/models` but not
    /// `/v20`.
    public var path: String

    public init(host: String? = nil, path: String = "/") {
        self.host = host
        self.path = path
    }
}

/// The address at which a service or an API listens.
public enum ListenAddress: Hashable, Codable, Sendable, CustomStringConvertible {
    /// A TCP address. The host is an IPv4 or IPv6 address or a name; with port 0 the system chooses the port.
    case tcp(host: String, port: UInt16)
    case unix(path: String)
    /// A socket that systemd passed under this name (FileDescriptorName=).
    case systemd(name: String)

    public var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        case .systemd(let name): "systemd:\(name)"
        }
    }
}

/// A named set of servers.
public struct Version: Hashable, Codable, Sendable {
    public var name: String
    /// The servers, at least one.
    public var servers: [ServerAddress]
    public var revision: String?
    /// How the version's own metrics are scraped; nil if they are not.
    public var metrics: MetricsSource?
    public var upstream: UpstreamRules

    public init(
        name: String, servers: [ServerAddress], revision: String? = nil, metrics: MetricsSource? = nil,
        upstream: UpstreamRules = UpstreamRules()
    ) {
        self.name = name
        self.servers = servers
        self.revision = revision
        self.metrics = metrics
        self.upstream = upstream
    }

    public var identity: VersionIdentity { VersionIdentity(name: name, revision: revision) }
}

/// How connections to a version's servers are used.
public struct UpstreamRules: Hashable, Codable, Sendable {
    /// True if connections are reused. If false, each request has a connection of its own, so that bytes which a server
    /// sends after a response cannot be taken for the response to another request.
    public var reuse: Bool

    public init(reuse: Bool = true) { self.reuse = reuse }
}

/// The identity of a version, independent of its servers.
public struct VersionIdentity: Hashable, Codable, Sendable, CustomStringConvertible {
    public var name: String
    public var revision: String?

    public init(name: String, revision: String? = nil) {
        self.name = name
        self.revision = revision
    }

    public var description: String { revision.map { "\(name)@\($0)" } ?? name }
}

public enum ServerAddress: Hashable, Codable, Sendable, CustomStringConvertible {
    case http(host: String, port: UInt16)
    /// The embedded reference model server with this artifact: a name in the artifact folder, or a path.
    case reference(artifact: String)

    public var description: String {
        switch self {
        case .http(let host, let port): host.contains(":") ? "http://[\(host)]:\(port)" : "http://\(host):\(port)"
        case .reference(let artifact): "reference:\(artifact)"
        }
    }
}

/// The way in which a version's servers are scraped.
public struct MetricsSource: Hashable, Codable, Sendable {
    /// The name of the preset, one of `presetNames`; nil if only raw series are read.
    public var preset: String?
    /// The path, which may have a query, and the port that replace those of the preset.
    public var path: String?
    public var port: UInt16?
    /// The value of the model label to select, for a server with several models; nil for all.
    public var model: String?
    /// The time between two scrapes of a server.
    public var interval: Duration
    public var timeout: Duration
    /// The largest numbers of samples and of bytes of a metrics page; nil for the defaults.
    public var maxSamples: Int?
    public var maxBody: Int?

    /// The default limits. A model server with a dozen models shows about 2,000 samples in 200 KiB.
    public static let defaultMaxSamples = 20_000
    public static let defaultMaxBody = 4 << 20

    public init(
        preset: String? = nil, path: String? = nil, port: UInt16? = nil, model: String? = nil,
        interval: Duration = .seconds(5), timeout: Duration = .seconds(2), maxSamples: Int? = nil,
        maxBody: Int? = nil
    ) {
        self.preset = preset
        self.path = path
        self.port = port
        self.model = model
        self.interval = interval
        self.timeout = timeout
        self.maxSamples = maxSamples
        self.maxBody = maxBody
    }
}
