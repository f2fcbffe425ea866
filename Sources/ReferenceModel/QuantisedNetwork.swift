import CKernels

/// A layer in 8-bit integers: `sums = q(x) · weights`, then `sums·scale + bias` in FP32.
struct QuantisedLayer: Hashable, Sendable {
    var inputs: Int
    var outputs: Int
    /// `outputs × inputs`, symmetric, -127 ... 127.
    var weights: [Int8]
    /// By output: what a unit of the sum is worth.
    var scale: [Float]
    var bias: [Float]
    /// By input: what a unit of the quantised activation is worth. All the same but in the first layer, whose inputs
    /// differ in range; there the ranges are folded into the weights before those are rounded.
    var inputScale: [Float]
}

/// The same network after training, with weights rounded for each output and activations by ranges seen on training rows.
struct QuantisedNetwork: Hashable, Sendable {
    /// Magnitudes beyond are clamped: a few gains of 99,999 dollars would otherwise cost everyone resolution.
    private static let coverage = 0.995

    var layers: [QuantisedLayer]

    init(layers: [QuantisedLayer]) { self.layers = layers }

    /// `calibration`: rows that the ranges of inputs and activations are taken from, `rows × width`.
    init(quantising network: Network, calibration: [Float], path: KernelPath = .best) {
        let rows = calibration.count / network.width
        var activations = network.layers.map { [Float](repeating: 0, count: rows * $0.outputs) }
        network.forward(calibration, rows: rows, activations: &activations, path: path)
        layers = network.layers.enumerated().map { index, layer in
            let seen = index == 0 ? calibration : activations[index - 1]
            let ranges =
                index == 0
                ? (0..<layer.inputs).map {
                    Self.range(stride(from: $0, to: seen.count, by: layer.inputs).map { seen[$0] })
                }
                : Array(repeating: Self.range(seen), count: layer.inputs)
            return Self.quantise(layer, ranges: ranges)
        }
    }

    /// What `coverage` of the magnitudes that are not zero stay below; 1 where there are none.
    private static func range(_ values: [Float]) -> Float {
        let magnitudes = values.filter { $0 != 0 }.map { abs($0) }.sorted()
        guard !magnitudes.isEmpty else { return 1 }
        return magnitudes[Int(Double(magnitudes.count - 1) * coverage)]
    }

    private static func quantise(_ layer: DenseLayer, ranges: [Float]) -> QuantisedLayer {
        let inputScale = ranges.map { $0 / 127 }
        var weights = [Int8](repeating: 0, count: layer.weights.count)
        var scale = [Float](repeating: 1, count: layer.outputs)
        for output in 0..<layer.outputs {
            let column = (0..<layer.inputs).map { layer.weights[$0 * layer.outputs + output] * inputScale[$0] }
            let largest = column.reduce(0) { max($0, abs($1)) }
            if largest > 0 { scale[output] = largest / 127 }
            for input in 0..<layer.inputs {
                let rounded = (column[input] / scale[output]).rounded(.toNearestOrEven)
                weights[output * layer.inputs + input] = Int8(max(-127, min(127, rounded)))
            }
        }
        return QuantisedLayer(
            inputs: layer.inputs, outputs: layer.outputs, weights: weights, scale: scale, bias: layer.bias,
            inputScale: inputScale)
    }
}
