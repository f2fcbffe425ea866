/// The series that presets name alike for all kinds of servers. A check selects one as `preset.NAME`.
public enum PresetSeriesName: String, CaseIterable, Hashable, Sendable {
    case firstToken, perToken, running, waiting, saturation, tokensIn, tokensOut, cacheQueries, cacheHits

    /// The text before the name in a check. A metric's name has no dot, unless it stands in quotes.
    public static let prefix = "preset."

    /// Reads a check's series; nil if it does not begin with the prefix, or names none of these.
    public init?(series: String) {
        guard series.hasPrefix(Self.prefix) else { return nil }
        self.init(rawValue: String(series.dropFirst(Self.prefix.count)))
    }

    public var written: String { Self.prefix + rawValue }

    public enum Kind: Hashable, Sendable { case gauge, counter, histogram }

    public var kind: Kind {
        switch self {
        case .firstToken, .perToken: .histogram
        case .running, .waiting, .saturation: .gauge
        case .tokensIn, .tokensOut, .cacheQueries, .cacheHits: .counter
        }
    }

    /// True if an aggregate can be computed of this kind of series.
    public func allows(_ aggregate: MetricAggregate) -> Bool {
        switch aggregate {
        case .max, .min, .sum, .mean: kind == .gauge
        case .rate: kind == .counter
        case .quantile: kind == .histogram
        }
    }
}

extension MetricsSource {
    /// The properties of a preset that configurations are checked against. PrometheusText defines what a preset reads;
    /// a test compares both.
    public struct Preset: Hashable, Sendable {
        public var name: String
        /// The path of the server's readiness, at the port of the service; nil if it has none that is always the same.
        public var readyPath: String?
        /// True if failed requests are counted.
        public var countsErrors: Bool
        /// True if there is a histogram of latencies.
        public var hasLatency: Bool
        public var series: Set<PresetSeriesName>

        fileprivate init(
            _ name: String, ready: String?, errors: Bool = true, latency: Bool = true,
            series: Set<PresetSeriesName> = []
        ) {
            self.name = name
            readyPath = ready
            countsErrors = errors
            hasLatency = latency
            self.series = series
        }
    }

    public static let presets: [Preset] = [
        Preset("reference", ready: "/v2/health/ready", series: [.waiting]),
        Preset("triton", ready: "/v2/health/ready", latency: false, series: [.firstToken, .waiting, .saturation]),
        Preset("mlserver", ready: "/v2/health/ready", series: [.running]),
        Preset("bentoml", ready: "/readyz", series: [.running]),
        Preset(
            "vllm", ready: "/health",
            series: [
                .firstToken, .perToken, .running, .waiting, .saturation, .tokensIn, .tokensOut, .cacheQueries,
                .cacheHits,
            ]),
        Preset(
            "sglang", ready: "/health",
            series: [
                .firstToken, .perToken, .running, .waiting, .saturation, .tokensIn, .tokensOut, .cacheHits,
            ]),
        Preset("tgi", ready: "/health", series: [.perToken, .running, .waiting, .tokensIn, .tokensOut]),
        Preset(
            "llamacpp", ready: "/health", errors: false, latency: false,
            series: [.running, .waiting, .tokensIn, .tokensOut]),
        Preset(
            "trtllm", ready: "/health",
            series: [
                .firstToken, .perToken, .running, .waiting, .saturation, .tokensIn, .tokensOut, .cacheHits,
            ]),
        Preset(
            "nim", ready: "/v1/health/ready",
            series: [.firstToken, .perToken, .running, .waiting, .saturation, .tokensIn, .tokensOut]),
        Preset(
            "dynamo", ready: "/health",
            series: [.firstToken, .perToken, .running, .waiting, .tokensIn, .tokensOut]),
        Preset(
            "ray-serve", ready: "/-/healthz", series: [.firstToken, .perToken, .running, .waiting, .saturation]),
        Preset("kserve", ready: "/v2/health/ready", errors: false),
        Preset("torchserve", ready: "/ping", latency: false),
        Preset("tf-serving", ready: nil),
        Preset("ovms", ready: "/v2/health/ready", series: [.running]),
        Preset("fastapi", ready: nil),
    ]

    public static let presetNames = presets.map(\.name)

    /// The properties of the preset that the source names; nil without a preset.
    public var presetProperties: Preset? { Self.presets.first { $0.name == preset } }
}
