import PlainText

extension FeatureEncoding {
    /// The name of the input for rows that are already encoded.
    static let encodedInput = "features"
    /// The largest number of rows of a request.
    static let rowLimit = 4_096

    /// The encoded rows of a request, `rows × width`. The request has either one tensor `features` of shape [n, width],
    /// or a tensor of shape [n] or [n, 1] for each column.
    func features(of request: InferenceRequest) throws(RequestError) -> (features: [Float], rows: Int) {
        if request.inputs.count == 1, request.inputs[0].name == Self.encodedInput {
            return try encoded(request.inputs[0])
        }
        guard let first = request.inputs.first else { throw .bad("the request has no `inputs`") }
        let rows = first.values.count
        try checkRows(rows)
        var features = [Float](repeating: 0, count: rows * width)
        var given = Set<Int>()
        for tensor in request.inputs {
            guard let index = columns.firstIndex(where: { $0.name == tensor.name }) else {
                throw .bad(
                    "input `\(tensor.name)` is unknown; the model takes \(columns.map(\.name).joined(separator: ", ")), "
                        + "or `\(Self.encodedInput)` alone")
            }
            guard given.insert(index).inserted else { throw .bad("input `\(tensor.name)` comes twice") }
            guard tensor.shape == [rows] || tensor.shape == [rows, 1] else {
                throw .bad("input `\(tensor.name)` has the shape \(tensor.shape), expected [\(rows)] or [\(rows), 1]")
            }
            try fill(&features, column: index, with: tensor.values)
        }
        if let missing = columns.indices.first(where: { !given.contains($0) }) {
            throw .bad("input `\(columns[missing].name)` is missing")
        }
        return (features, rows)
    }

    private func encoded(_ tensor: InferenceRequest.Tensor) throws(RequestError) -> (features: [Float], rows: Int) {
        guard case .numbers(let numbers) = tensor.values, tensor.shape.count == 2, tensor.shape[1] == width else {
            throw .bad("input `\(tensor.name)` has to be numbers of shape [n, \(width)], it has \(tensor.shape)")
        }
        try checkRows(tensor.shape[0])
        let features = numbers.map { Float($0) }
        guard features.allSatisfy(\.isFinite) else {
            throw .bad("input `\(tensor.name)` holds a value that is not finite in FP32")
        }
        return (features, tensor.shape[0])
    }

    private func checkRows(_ rows: Int) throws(RequestError) {
        guard (1...Self.rowLimit).contains(rows) else {
            throw .bad("\(rows) rows in one request; it takes 1 to \(Self.rowLimit)")
        }
    }

    private func fill(
        _ features: inout [Float], column: Int, with values: InferenceRequest.Values
    ) throws(RequestError) {
        let name = columns[column].name
        switch (columns[column].kind, values) {
        case (.number, .numbers(let numbers)):
            for (row, number) in numbers.enumerated() {
                let value = standardized(number, column: column)
                guard value.isFinite else { throw .bad("input `\(name)` holds a value that is not finite in FP32") }
                features[row * width + offsets[column]] = value
            }
        case (.category(let names), .strings(let strings)):
            for (row, string) in strings.enumerated() {
                guard let place = names.firstIndex(where: { $0.hasSameBytes(as: string) }) else {
                    throw .bad("input `\(name)`: unknown category `\(string.excerpt)`")
                }
                features[row * width + offsets[column] + place] = 1
            }
        case (.number, .strings): throw .bad("input `\(name)` has to be numbers")
        case (.category, .numbers): throw .bad("input `\(name)` has to be BYTES")
        }
    }
}
