import JSON
import PlainText

extension Artifact {
    /// The largest number of layers of a file.
    private static let layerLimit = 16
    /// The largest number of inputs or outputs of a layer.
    private static let widthLimit = 4_096

    /// The artifact as a file, with tensors named and shaped as in PyTorch: `layers.N.weight` is `outputs × inputs`.
    func safetensors() -> Safetensors {
        var file = Safetensors(metadata: [
            "format": Self.format, "kind": kind.rawValue, "seed": String(seed), "model": modelName, "recipe": recipe,
            "encoding": encoding.written,
        ])
        switch weights {
        case .float(let network):
            for (index, layer) in network.layers.enumerated() {
                let weight = Self.transposed(layer.weights, rows: layer.inputs, columns: layer.outputs)
                file.tensors["layers.\(index).weight"] = .init(weight, shape: [layer.outputs, layer.inputs])
                file.tensors["layers.\(index).bias"] = .init(layer.bias, shape: [layer.outputs])
            }
        case .integer(let network):
            for (index, layer) in network.layers.enumerated() {
                let name = "layers.\(index)"
                file.tensors["\(name).weight"] = .init(layer.weights, shape: [layer.outputs, layer.inputs])
                file.tensors["\(name).bias"] = .init(layer.bias, shape: [layer.outputs])
                file.tensors["\(name).scale"] = .init(layer.scale, shape: [layer.outputs])
                file.tensors["\(name).input_scale"] = .init(layer.inputScale, shape: [layer.inputs])
            }
        }
        return file
    }

    init(_ file: Safetensors) throws(JSONError) {
        func flaw(_ message: String) -> JSONError { JSONError(offset: 0, message: message) }
        func metadata(_ key: String) throws(JSONError) -> String {
            guard let value = file.metadata[key] else { throw flaw("its metadata has no `\(key)`") }
            return value
        }
        let format = try metadata("format")
        guard format == Self.format else {
            throw flaw("its format is `\(format)`, this version reads `\(Self.format)`")
        }
        let kindName = try metadata("kind")
        guard let kind = Kind(rawValue: kindName) else { throw flaw("its kind `\(kindName)` is unknown") }
        guard let seed = UInt64(try metadata("seed")) else { throw flaw("its seed is not a number") }
        let encoding = try FeatureEncoding(parsing: try metadata("encoding"))
        var tensors = LayerTensors(rest: file.tensors)
        let weights: Weights
        if file.tensors["layers.0.weight"]?.type == .int8 {
            weights = .integer(QuantizedNetwork(layers: try tensors.quantizedLayers(from: encoding.width)))
        } else {
            weights = .float(Network(layers: try tensors.layers(from: encoding.width)))
        }
        if let extra = tensors.rest.keys.min() { throw flaw("tensor `\(extra)` belongs to no layer") }
        self.init(
            kind: kind, seed: seed, modelName: try metadata("model"), encoding: encoding,
            recipe: try metadata("recipe"), weights: weights)
    }

    private static func transposed<Element>(_ values: [Element], rows: Int, columns: Int) -> [Element] {
        var transposed: [Element] = []
        transposed.reserveCapacity(values.count)
        for column in 0..<columns { for row in 0..<rows { transposed.append(values[row * columns + column]) } }
        return transposed
    }

    /// Removes tensors from a file layer by layer, so that those which belong to no layer remain.
    private struct LayerTensors {
        var rest: [String: Safetensors.Tensor]

        mutating func layers(from width: Int) throws(JSONError) -> [DenseLayer] {
            var layers: [DenseLayer] = []
            try walk(from: width) { (tensors, name, inputs, outputs) throws(JSONError) in
                let weight = try tensors.floats("\(name).weight", [outputs, inputs])
                let bias = try tensors.floats("\(name).bias", [outputs])
                let weights = Artifact.transposed(weight, rows: outputs, columns: inputs)
                layers.append(DenseLayer(inputs: inputs, outputs: outputs, weights: weights, bias: bias))
            }
            return layers
        }

        mutating func quantizedLayers(from width: Int) throws(JSONError) -> [QuantizedLayer] {
            var layers: [QuantizedLayer] = []
            try walk(from: width) { (tensors, name, inputs, outputs) throws(JSONError) in
                let weight = try tensors.take("\(name).weight", .int8, [outputs, inputs]).integers
                guard !weight.contains(.min) else { throw tensors.flaw("tensor `\(name).weight` holds -128") }
                let inputScale = try tensors.floats("\(name).input_scale", [inputs])
                guard inputScale.allSatisfy({ $0 > 1e-20 }) else {
                    throw tensors.flaw("tensor `\(name).input_scale` holds a scale that is not positive")
                }
                layers.append(
                    QuantizedLayer(
                        inputs: inputs, outputs: outputs, weights: weight,
                        scale: try tensors.floats("\(name).scale", [outputs]),
                        bias: try tensors.floats("\(name).bias", [outputs]), inputScale: inputScale))
            }
            return layers
        }

        private mutating func walk(
            from width: Int,
            _ layer: (inout LayerTensors, _ name: String, _ inputs: Int, _ outputs: Int) throws(JSONError) -> Void
        ) throws(JSONError) {
            var inputs = width
            var index = 0
            while let weight = rest["layers.\(index).weight"] {
                guard index < Artifact.layerLimit else { throw flaw("more than \(Artifact.layerLimit) layers") }
                guard weight.shape.count == 2, weight.shape[1] == inputs,
                    (1...Artifact.widthLimit).contains(weight.shape[0])
                else {
                    throw flaw(
                        "tensor `layers.\(index).weight` has the shape \(weight.shape), expected [1...\(Artifact.widthLimit), \(inputs)]"
                    )
                }
                let outputs = weight.shape[0]
                try layer(&self, "layers.\(index)", inputs, outputs)
                inputs = outputs
                index += 1
            }
            guard index > 0 else { throw flaw("it has no tensor `layers.0.weight`") }
            guard inputs == 1 else { throw flaw("its last layer has \(inputs) outputs, expected 1") }
        }

        mutating func floats(_ name: String, _ shape: [Int]) throws(JSONError) -> [Float] {
            let values = try take(name, .float32, shape).floats
            guard values.allSatisfy(\.isFinite) else { throw flaw("tensor `\(name)` holds a value that is not finite") }
            return values
        }

        mutating func take(
            _ name: String, _ type: Safetensors.ElementType, _ shape: [Int]
        ) throws(JSONError) -> Safetensors.Tensor {
            guard let tensor = rest.removeValue(forKey: name) else { throw flaw("it has no tensor `\(name)`") }
            guard tensor.type == type, tensor.shape == shape else {
                throw flaw(
                    "tensor `\(name)` is \(tensor.type.rawValue) \(tensor.shape), expected \(type.rawValue) \(shape)")
            }
            return tensor
        }

        func flaw(_ message: String) -> JSONError { JSONError(offset: 0, message: message) }
    }
}

extension FeatureEncoding {
    /// The largest number of columns of a file.
    private static let columnLimit = 256
    /// The largest number of inputs into which the columns are encoded.
    private static let widthLimit = 4_096

    /// The encoding as JSON:
    /// `[{"name":"age","mean":38.6,"deviation":13.6},{"name":"sex","categories":["Female","Male"]}]`.
    var written: String {
        var writer = JSONWriter()
        writer.array { writer in
            for column in columns {
                writer.object { writer in
                    writer.key("name")
                    writer.string(column.name)
                    switch column.kind {
                    case .number(let mean, let deviation):
                        writer.key("mean")
                        writer.number(mean)
                        writer.key("deviation")
                        writer.number(deviation)
                    case .category(let names):
                        writer.key("categories")
                        writer.array { writer in for name in names { writer.string(name) } }
                    }
                }
            }
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    init(parsing text: String) throws(JSONError) {
        var columns: [Column] = []
        try Array(text.utf8).reading { (raw) throws(JSONError) in
            var reader = JSONReader(raw)
            try reader.array { (reader) throws(JSONError) in columns.append(try Self.column(&reader)) }
            try reader.finish()
        }
        self.init(columns: columns)
        guard Set(columns.map(\.name)).count == columns.count else {
            throw JSONError(offset: 0, message: "a column comes twice in its encoding")
        }
        guard (1...Self.columnLimit).contains(columns.count), (1...Self.widthLimit).contains(width) else {
            throw JSONError(
                offset: 0, message: "its encoding has \(columns.count) columns and \(width) inputs, too few or too many"
            )
        }
    }

    /// A short text. Names become keys of a dictionary, and hashing a long text may take quadratic time: see `JSONKey`.
    private static func shortText(_ reader: inout JSONReader) throws(JSONError) -> String {
        let text = try reader.string()
        guard text.utf8.count <= 256 else { throw reader.error("a name of more than 256 bytes") }
        return text
    }

    private static func column(_ reader: inout JSONReader) throws(JSONError) -> Column {
        var name: String?
        var mean: Double?
        var deviation: Double?
        var categories: [String]?
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "name": name = try shortText(&reader)
            case "mean": mean = try reader.number()
            case "deviation": deviation = try reader.number()
            case "categories":
                var names: [String] = []
                try reader.array { (reader) throws(JSONError) in names.append(try shortText(&reader)) }
                categories = names
            default: throw JSONError(offset: 0, message: "its encoding has an unknown key `\(key.excerpt)`")
            }
        }
        if let name, let categories, !categories.isEmpty, Set(categories).count == categories.count {
            return Column(name: name, kind: .category(categories))
        }
        guard let name, let mean, let deviation, deviation > 0 else {
            throw JSONError(
                offset: 0,
                message: "a column of its encoding needs a name, and mean and deviation or distinct categories")
        }
        return Column(name: name, kind: .number(mean: mean, deviation: deviation))
    }
}
