/// How a row of named columns becomes the input of a model: numbers standardised, categories one-hot, in the order of the
/// columns. It travels in the artefact, so that a server needs nothing else.
public struct FeatureEncoding: Hashable, Sendable {
    public struct Column: Hashable, Sendable {
        public var name: String
        public var kind: Kind
    }

    public enum Kind: Hashable, Sendable {
        /// (x - mean) / deviation; deviation > 0.
        case number(mean: Double, deviation: Double)
        /// One input for each, 1 where it matches.
        case category([String])

        var width: Int {
            switch self {
            case .number: 1
            case .category(let names): names.count
            }
        }
    }

    public let columns: [Column]
    /// Inputs of the model.
    public let width: Int
    /// The first input of each column.
    let offsets: [Int]

    public init(columns: [Column]) {
        self.columns = columns
        var offsets: [Int] = []
        var width = 0
        for column in columns {
            offsets.append(width)
            width += column.kind.width
        }
        self.offsets = offsets
        self.width = width
    }

    /// The input that is 1 for this value of a category column, if there is one.
    public func input(of column: String, value: String) -> Int? {
        for (index, candidate) in columns.enumerated() where candidate.name == column {
            guard case .category(let names) = candidate.kind, let place = names.firstIndex(of: value) else {
                return nil
            }
            return offsets[index] + place
        }
        return nil
    }

    func standardised(_ value: Double, column: Int) -> Float {
        guard case .number(let mean, let deviation) = columns[column].kind else { return 0 }
        return Float((value - mean) / deviation)
    }
}
