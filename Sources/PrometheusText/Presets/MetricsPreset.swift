/// Describes, as data, how the metrics of a known server are read.
public struct MetricsPreset: Sendable {
    public enum Port: Hashable, Sendable {
        /// The port of the service itself.
        case service
        case fixed(UInt16)
    }

    public enum Latency: Sendable {
        /// - scale: the factor that converts the server's unit to seconds.
        /// - excludesErrors: true if the selector excludes failed requests.
        case histogram(PresetSeries, scale: Double, excludesErrors: Bool)
        case unavailable(String)
    }

    public var name: String
    public var path: String
    public var port: Port
    /// Series whose sum counts successful and failed requests, without those that were the client's fault.
    public var requests: [PresetSeries]
    /// Series whose sum counts those of `requests` that failed.
    public var errors: [PresetSeries]
    public var latency: Latency
    /// Series whose sum is the number of waiting requests.
    public var queue: [PresetSeries]
    /// A series whose maximum is the utilization, 0 ... 1.
    public var saturation: PresetSeries?
    /// The name of the label that identifies the model.
    public var modelLabel: String?

    public static let all: [MetricsPreset] = [.reference, .triton, .mlserver, .bentoml]

    public static func named(_ name: String) -> MetricsPreset? { all.first { $0.name == name } }
}

public struct PresetSeries: Sendable {
    public var selector: SeriesSelector
    /// True if the series has the preset's `modelLabel`.
    public var hasModel: Bool

    init(_ name: String, _ matchers: [LabelMatcher] = [], hasModel: Bool = true) {
        selector = SeriesSelector(name, matchers)
        self.hasModel = hasModel
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
