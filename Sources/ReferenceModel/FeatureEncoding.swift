/// The encoding of a row of named columns as the input of a model: numbers are standardized and categories one-hot
/// encoded, in the order of the columns. It is a part of the artifact, so that a server needs nothing else.
public struct FeatureEncoding: Hashable, Sendable {
    public struct Column: Hashable, Sendable {
        public var name: String
        public var kind: Kind
    }

    public enum Kind: Hashable, Sendable {
        /// A number x, encoded as (x - mean) / deviation; deviation > 0.
        case number(mean: Double, deviation: Double)
        /// A category, encoded as one input for each of the values, which is 1 if the value matches and else 0.
        case category([String])

        var width: Int {
            switch self {
            case .number: 1
            case .category(let names): names.count
            }
        }
    }

    public let columns: [Column]
    /// The number of the model's inputs.
    public let width: Int
    /// The index of the first input of each column.
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

    /// The index of the input that is 1 for this value of a category column; nil if there is none.
    public func input(of column: String, value: String) -> Int? {
        for (index, candidate) in columns.enumerated() where candidate.name == column {
            guard case .category(let names) = candidate.kind, let place = names.firstIndex(of: value) else {
                return nil
            }
            return offsets[index] + place
        }
        return nil
    }

    func standardized(_ value: Double, column: Int) -> Float {
        guard case .number(let mean, let deviation) = columns[column].kind else { return 0 }
        return Float((value - mean) / deviation)
    }
}
