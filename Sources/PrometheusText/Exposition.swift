/// The type of a family, as its `# TYPE` line states it.
public enum FamilyKind: String, CaseIterable, Hashable, Sendable {
    case counter
    case gauge
    case histogram
    case summary
    /// A family without a TYPE line, or with an OpenMetrics type that the text format does not know.
    case untyped
}

/// A label of a sample. Labels are compared by their bytes: see `Bytewise`.
public struct Label: Hashable, Sendable {
    public var name: String
    public var value: String

    public static func == (one: Label, other: Label) -> Bool {
        one.name.hasBytes(of: other.name) && one.value.hasBytes(of: other.value)
    }

    public func hash(into hasher: inout Hasher) {
        name.hashBytes(into: &hasher)
        value.hashBytes(into: &hasher)
    }

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// One line of an exposition.
public struct Sample: Hashable, Sendable {
    /// The name with its suffix: `x_bucket`, `x_total`.
    public var name: String
    /// The labels in the order of the line; names are unique.
    public var labels: [Label]
    public var value: Double
    /// The index of the sample's family in `Exposition.families`.
    public var family: Int

    public init(name: String, labels: [Label] = [], value: Double, family: Int) {
        self.name = name
        self.labels = labels
        self.value = value
        self.family = family
    }

    /// The value of a label. As in Prometheus, a missing label has an empty value.
    public subscript(label: String) -> String {
        for candidate in labels where candidate.name.hasBytes(of: label) { return candidate.value }
        return ""
    }
}

/// A metric family: a HELP and a TYPE line with its samples. A family can be empty, for example before the first request.
public struct Family: Hashable, Sendable {
    public var name: String
    public var kind: FamilyKind
    public var help: String?

    public init(name: String, kind: FamilyKind = .untyped, help: String? = nil) {
        self.name = name
        self.kind = kind
        self.help = help
    }
}

/// A metrics page: the complete response of a metrics endpoint.
public struct Exposition: Sendable {
    /// The families, in the order in which they were first named.
    public let families: [Family]
    /// The samples, in the order of the lines.
    public let samples: [Sample]
    /// The newest explicit timestamp of a sample, in milliseconds since 1970; nil if no sample has one.
    public let newestTimestamp: Double?
    private let placesByName: [Bytewise: [Int]]

    init(families: [Family], samples: [Sample], newestTimestamp: Double? = nil) {
        self.families = families
        self.samples = samples
        self.newestTimestamp = newestTimestamp
        var places: [Bytewise: [Int]] = [:]
        for (place, sample) in samples.enumerated() { places[Bytewise(sample.name), default: []].append(place) }
        placesByName = places
    }

    public func family(named name: String) -> Family? { families.first { $0.name.hasBytes(of: name) } }

    /// All samples of a family; for a histogram x, those named `x_bucket`, `x_sum` and `x_count`.
    public func samples(of family: String) -> [Sample] {
        guard let index = families.firstIndex(where: { $0.name.hasBytes(of: family) }) else { return [] }
        return samples.filter { $0.family == index }
    }

    /// True if there are samples with exactly this name.
    func hasSamples(named name: String) -> Bool { placesByName[Bytewise(name)] != nil }

    /// The samples with exactly this name.
    public func samples(named name: String) -> [Sample] { (placesByName[Bytewise(name)] ?? []).map { samples[$0] } }
}
