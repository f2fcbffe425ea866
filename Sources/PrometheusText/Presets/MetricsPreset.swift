/// The way in which a known server's metrics are read: a table, no code.
public struct MetricsPreset: Sendable {
    public enum Port: Hashable, Sendable {
        /// The metrics are on the port of the service.
        case service
        case fixed(UInt16)
    }

    public enum Latency: Sendable {
        /// - scale: from the server's unit to seconds.
        /// - excludesErrors: the selector leaves failed requests out.
        case histogram(PresetSeries, scale: Double, excludesErrors: Bool)
        case unavailable(String)
    }

    public var name: String
    public var path: String
    public var port: Port
    /// Summed up: answered and failed requests, without those that were the client's fault.
    public var requests: [PresetSeries]
    /// Summed up: those of `requests` that failed.
    public var errors: [PresetSeries]
    public var latency: Latency
    /// Summed up.
    public var queue: [PresetSeries]
    /// The highest, 0 ... 1.
    public var saturation: PresetSeries?
    /// The label that names the model.
    public var modelLabel: String?

    public static let all: [MetricsPreset] = [.reference, .triton, .mlserver, .bentoml]

    public static func named(_ name: String) -> MetricsPreset? { all.first { $0.name == name } }
}

public struct PresetSeries: Sendable {
    public var selector: SeriesSelector
    /// The series carries the preset's `modelLabel`.
    public var hasModel: Bool

    init(_ name: String, _ matchers: [LabelMatcher] = [], hasModel: Bool = true) {
        selector = SeriesSelector(name, matchers)
        self.hasModel = hasModel
    }
}

/// A service asks for a preset that does not exist.
public struct UnknownPreset: Error, Hashable, Sendable, CustomStringConvertible {
    public var name: String

    public init(name: String) { self.name = name }

    public var description: String {
        "unknown metrics preset \(name): there are \(MetricsPreset.all.map(\.name).joined(separator: ", "))"
    }
}
