import Analysis
import PolicyModel
import PrometheusText

/// One server's metrics endpoint, and how it is scraped.
public struct ScrapeTarget: Hashable, Sendable {
    public var service: String
    public var version: VersionIdentity
    /// The server's endpoint for requests.
    public var server: Endpoint
    /// The endpoint of the server's metrics, which often has another port.
    public var metrics: Endpoint
    /// The path of the metrics, which begins with `/` and may have a query.
    public var path: String
    /// The name of the preset; nil if only `queries` are read.
    public var preset: String?
    /// The only model that is counted; nil for all models.
    public var model: String?
    public var interval: Duration
    /// The timeout of a whole scrape.
    public var timeout: Duration
    /// The series that the policies' checks ask for.
    public var queries: Set<SeriesQuery>
    /// The version's own limits of a metrics page, in samples and in bytes; nil for those of `ScrapeLimits`.
    public var maxSamples: Int?
    public var maxBody: Int?

    /// The shortest interval. Shorter ones are raised to it, since a scrape is work for the server as well.
    public static let shortestInterval = Duration.milliseconds(100)

    public init(
        service: String, version: VersionIdentity, server: Endpoint, metrics: Endpoint, path: String = "/metrics",
        preset: String? = nil, model: String? = nil, interval: Duration = .seconds(5), timeout: Duration = .seconds(2),
        queries: Set<SeriesQuery> = [], maxSamples: Int? = nil, maxBody: Int? = nil
    ) {
        self.service = service
        self.version = version
        self.server = server
        self.metrics = metrics
        self.path = path
        self.preset = preset
        self.model = model
        self.interval = max(interval, Self.shortestInterval)
        self.timeout = timeout
        self.queries = queries
        self.maxSamples = maxSamples
        self.maxBody = maxBody
    }

    /// Returns one target for each server of a version. Path and port are those of `source`, or else of its preset.
    /// - Parameter servers: the endpoints of the servers. They are no part of `source`, since an embedded server has
    ///   its endpoint only once it runs.
    public static func targets(
        service: String, version: VersionIdentity, servers: [Endpoint], source: MetricsSource,
        queries: Set<SeriesQuery> = []
    ) throws(UnknownPreset) -> [ScrapeTarget] {
        var preset: MetricsPreset?
        if let name = source.preset {
            preset = MetricsPreset.named(name)
            if preset == nil { throw UnknownPreset(name: name) }
        }
        return servers.map { server in
            var metrics = server
            if case .fixed(let port) = preset?.port { metrics.port = port }
            if let port = source.port { metrics.port = port }
            return ScrapeTarget(
                service: service, version: version, server: server, metrics: metrics,
                path: source.path ?? preset?.path(of: source.model) ?? "/metrics", preset: source.preset,
                model: source.model,
                interval: source.interval, timeout: source.timeout, queries: queries,
                maxSamples: source.maxSamples, maxBody: source.maxBody)
        }
    }

    public var url: String { "http://\(metrics)\(path)" }

    /// The time within each interval at which the target is scraped, in nanoseconds. It spreads the scrapes of many
    /// targets, and is the same after a restart, because it is derived from the service, the version and the URL.
    var offset: Int64 {
        // FNV-1a: Swift's own hash differs in every process.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in "\(service)/\(version)/\(url)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int64(hash % UInt64(interval.nanoseconds))
    }

    /// The first time after `now` at which the target is due, in monotonic nanoseconds.
    func due(after now: Int64) -> Int64 {
        let period = interval.nanoseconds
        let next = now / period * period + offset
        return next > now ? next : next + period
    }
}

/// The result of one scrape.
public struct ScrapeResult: Sendable {
    public var target: ScrapeTarget
    /// The start of the scrape, in monotonic nanoseconds.
    public var startedAt: Int64
    public var duration: Duration
    public var outcome: ScrapeOutcome
}

/// The limits of scrapes, whatever the servers send.
public struct ScrapeLimits: Hashable, Sendable {
    /// The maximum size of a body in bytes, as sent and as inflated. The largest known response, of a server with many
    /// models, has about 1 MiB. A version may set its own limit (`metrics.maxBody`).
    public var body: Int
    /// The maximum number of samples of a response. A version may set its own limit (`metrics.maxSamples`).
    public var samples: Int
    /// The maximum size of status line and headers in bytes, those of interim responses included.
    public var head: Int
    /// The maximum number of open connections; further scrapes wait for one within their timeout.
    public var connections: Int
    /// The maximum number of results of a target that wait to be drained; the oldest is dropped first.
    public var pending: Int

    public init(
        body: Int = MetricsSource.defaultMaxBody, samples: Int = MetricsSource.defaultMaxSamples, head: Int = 64 << 10,
        connections: Int = 64, pending: Int = 4
    ) {
        self.body = body
        self.samples = samples
        self.head = head
        self.connections = connections
        self.pending = pending
    }
}
