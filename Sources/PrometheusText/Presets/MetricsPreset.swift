/// Describes, as data, how the metrics of a known server are read.
public struct MetricsPreset: Sendable {
    public enum Port: Hashable, Sendable {
        /// The port of the service itself.
        case service
        case fixed(UInt16)
    }

    public enum Errors: Sendable {
        /// Series whose sum counts those of `requests` that failed.
        /// - isAlwaysShown: true if every server of today declares the family from its start, so that a page without it
        ///   is of an older version that does not count failures. If false, a page without it had no failure yet.
        case counted([PresetSeries], isAlwaysShown: Bool = false)
        case unavailable(String)
    }

    public enum Latency: Sendable {
        /// - excludesErrors: true if failed requests are added to the histogram as slower than every bound: because the
        ///   selector excludes them, or because it cannot tell them apart and they may have failed fast.
        case histogram(PresetSeries, excludesErrors: Bool)
        case unavailable(String)
    }

    /// Where the names, labels and units of a preset come from.
    public enum Source: Hashable, Sendable {
        /// A server of this version ran, and what the preset reads was compared with the requests that were sent.
        case ran(String)
        /// The server's documentation or source; it was not run.
        case documentation
    }

    public var name: String
    /// The server's name, for people.
    public var server: String
    public var source: Source
    /// The path of the metrics page, which may have a query.
    public var path: String
    public var port: Port
    /// The parameter of the page's query that selects `metrics.model`; nil if the page has all models.
    public var modelParameter: String?
    /// What has to be done at the server so that it shows these metrics, as an instruction that names it, such as "start
    /// SGLang with --enable-metrics"; nil if they are always on.
    public var switchedOnBy: String?
    /// Families by which the server's page is recognized. An idle server may show none of them.
    public var signature: [String]
    /// Series whose sum counts successful and failed requests, without those that were the client's fault; empty if the
    /// server does not count requests.
    public var requests: [PresetSeries]
    public var errors: Errors
    public var latency: Latency
    /// The series that checks select by the same name on all servers: `preset.waiting`.
    public var series: [SeriesName: PresetSeries]
    /// The name of the label that identifies the model.
    public var modelLabel: String?

    /// The names of series that several kinds of servers have. The raw value is what a policy writes after `preset.`.
    public enum SeriesName: String, CaseIterable, Sendable {
        /// Histograms of seconds: the time to the first token, and the time between two tokens.
        case firstToken, perToken
        /// Gauges: requests that are worked on, and requests that wait.
        case running, waiting
        /// A gauge, 0 ... 1: how full the resource is that limits the server, such as the cache of an LLM.
        case saturation
        /// Counters of tokens read and written.
        case tokensIn, tokensOut
        /// Counters of lookups in the prefix cache and of those that found something, in the server's own unit.
        case cacheQueries, cacheHits
    }

    init(
        _ name: String, _ server: String, _ source: Source, path: String = "/metrics", port: Port = .service,
        modelParameter: String? = nil, switchedOnBy: String? = nil, signature: [String] = [],
        requests: [PresetSeries] = [], errors: Errors, latency: Latency, series: [SeriesName: PresetSeries] = [:],
        modelLabel: String? = nil
    ) {
        self.name = name
        self.server = server
        self.source = source
        self.path = path
        self.port = port
        self.modelParameter = modelParameter
        self.switchedOnBy = switchedOnBy
        self.signature = signature.isEmpty ? requests.flatMap(\.names) : signature
        self.requests = requests
        self.errors = errors
        self.latency = latency
        self.series = series
        self.modelLabel = modelLabel
    }

    /// All presets. If a page fits several, the first describes it: the generic ones come last.
    public static let all: [MetricsPreset] = [
        .reference, .triton, .mlserver, .bentoml, .vllm, .sglang, .tgi, .llamacpp, .tensorRTLLM, .nim, .dynamo,
        .rayServe,
        .kserve, .torchServe, .tfServing, .ovms, .fastapi,
    ]

    public static func named(_ name: String) -> MetricsPreset? { all.first { $0.name == name } }

    /// The path of the page that has a model.
    /// - Parameter model: the only model that is read; nil for all models.
    public func path(of model: String?) -> String {
        guard let model, let modelParameter else { return path }
        return "\(path)\(path.utf8.contains(UInt8(ascii: "?")) ? "&" : "?")\(modelParameter)=\(Self.escaped(model))"
    }

    /// A text as a value in a query: everything but unreserved characters (RFC 3986, section 2.3) as `%XX`.
    private static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The models that a page shows, by the first of the preset's series that name them.
    public func models(on exposition: Exposition) -> Set<Bytewise> {
        guard let modelLabel else { return [] }
        var naming = (requests + errorSeries).filter(\.hasModel).map { $0.selector(on: exposition) }
        if naming.isEmpty, case .histogram(let series, _) = latency, series.hasModel {
            naming = [series.selector(on: exposition).buckets]
        }
        return Set(naming.flatMap { exposition.select($0).map { Bytewise($0[modelLabel]) } }).subtracting([Bytewise("")]
        )
    }

    /// True if a page is one of this kind of server: it shows a family of the signature, with or without samples.
    public func recognizes(_ exposition: Exposition) -> Bool { signature.contains { exposition.shows($0) } }

    /// The words for a page that `recognizes` refuses.
    public var absenceText: String {
        "the page has none of \(server)'s series (\(signature.joined(separator: ", ")))"
    }

    /// True if a page has a counter of failures, with or without samples.
    public func showsErrors(_ exposition: Exposition) -> Bool {
        errorSeries.contains { $0.names.contains(where: exposition.shows) }
    }

    /// Series that count failed requests; empty if the server does not count them.
    public var errorSeries: [PresetSeries] {
        if case .counted(let series, _) = errors { series } else { [] }
    }
}

/// A series as one or several versions of a server name it.
public struct PresetSeries: Sendable {
    /// The names in order of preference; at least one. A page is read by the first that it shows.
    public var names: [String]
    public var matchers: [LabelMatcher]
    /// True if the series has the preset's `modelLabel`.
    public var hasModel: Bool
    /// The factor that converts the server's unit to the preset's: seconds for latencies.
    public var scale: Double

    init(_ names: String..., where matchers: [LabelMatcher] = [], hasModel: Bool = true, scale: Double = 1) {
        precondition(!names.isEmpty, "a series has a name")
        self.names = names
        self.matchers = matchers
        self.hasModel = hasModel
        self.scale = scale
    }

    /// The selector for a page: of the first name with samples, else of the first that is declared, else of the first.
    public func selector(on exposition: Exposition) -> SeriesSelector {
        guard names.count > 1 else { return SeriesSelector(names[0], matchers) }
        return SeriesSelector(
            names.first { exposition.hasSamples($0) } ?? names.first { exposition.shows($0) } ?? names[0], matchers)
    }
}

extension Exposition {
    /// True if there are samples with a name, or buckets of a histogram with it.
    func hasSamples(_ name: String) -> Bool {
        hasSamples(named: name) || hasSamples(named: name + "_bucket")
    }

    /// True if there are samples of a series, or if its family is declared.
    func shows(_ name: String) -> Bool {
        if hasSamples(name) || family(named: name) != nil { return true }
        // OpenMetrics declares a counter without the suffix of its samples.
        return name.hasSuffix("_total") && family(named: String(name.dropLast(6))) != nil
    }
}

/// The error for a preset that does not exist.
public struct UnknownPreset: Error, Hashable, Sendable, CustomStringConvertible {
    public var name: String

    public init(name: String) { self.name = name }

    public var description: String {
        "unknown metrics preset \(name): there are \(MetricsPreset.all.map(\.name).joined(separator: ", "))"
    }
}
