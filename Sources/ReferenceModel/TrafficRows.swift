/// The rows to replay as traffic, none of which any model was trained on.
public struct TrafficRows: Sendable {
    private let data: AdultData
    private let rows: [Int32]

    init(data: AdultData, rows: [Int32]) {
        self.data = data
        self.rows = rows
    }

    public var count: Int { rows.count }

    /// The true label, 0 or 1.
    public func label(_ index: Int) -> Int { Int(data.labels[Int(rows[index])]) }

    /// The group attributes, sex and race, with their values for this row.
    public func groups(_ index: Int) -> [(attribute: String, value: String)] {
        Array(zip(AdultData.groupColumns, data.groups(Int(rows[index])))).map { (attribute: $0, value: $1) }
    }

    /// An inference request of the Open Inference Protocol for this row, its columns as tensors of shape [1].
    public func inferenceBody(_ index: Int) -> [UInt8] {
        let row = Int(rows[index])
        var writer = JSONWriter(capacity: 1_280)
        writer.object { writer in
            writer.key("inputs")
            writer.array { writer in
                for (column, name) in AdultData.numberColumns.enumerated() {
                    tensor(name, "INT64", &writer) { writer in
                        writer.number(Int(data.numbers[row * AdultData.numberColumns.count + column]))
                    }
                }
                for (column, name) in AdultData.categoryColumns.enumerated() {
                    tensor(name, "BYTES", &writer) { writer in writer.string(data.category(row, column)) }
                }
            }
        }
        return writer.bytes
    }

    private func tensor(
        _ name: String, _ datatype: String, _ writer: inout JSONWriter, _ element: (inout JSONWriter) -> Void
    ) {
        writer.object { writer in
            writer.tensorHead(name, datatype, length: 1)
            writer.key("data")
            writer.array(element)
        }
    }
}
