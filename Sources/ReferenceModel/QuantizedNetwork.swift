import CKernels

/// A fully connected layer in 8-bit integers: `sums = q(x) · weights`, then `sums·scale + bias` in FP32.
struct QuantizedLayer: Hashable, Sendable {
    var inputs: Int
    var outputs: Int
    /// The weights, `outputs × inputs`, symmetric, -127 ... 127.
    var weights: [Int8]
    /// The value of one unit of the sum, for each output.
    var scale: [Float]
    var bias: [Float]
    /// The value of one unit of the quantized activation, for each input. It is the same for all inputs except in the
    /// first layer, whose inputs differ in range; there the ranges are folded into the weights before rounding.
    var inputScale: [Float]
}

/// A network quantized after training. Weights are scaled for each output, activations by their ranges on training
/// rows.
struct QuantizedNetwork: Hashable, Sendable {
    /// The quantile of the magnitudes that the range covers; larger values are clamped. Otherwise a few capital gains
    /// of 99,999 dollars would cost all other values their resolution.
    private static let coverage = 0.995

    var layers: [QuantizedLayer]

    init(layers: [QuantizedLayer]) { self.layers = layers }

    /// Quantizes a network.
    /// - Parameter calibration: the rows from which the ranges of inputs and activations are taken, `rows × width`.
    init(quantizing network: Network, calibration: [Float], path: KernelPath = .best) {
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
            return Self.quantize(layer, ranges: ranges)
        }
    }

    /// The `coverage` quantile of the magnitudes that are not zero; 1 if there are none.
    private static func range(_ values: [Float]) -> Float {
        let magnitudes = values.filter { $0 != 0 }.map { abs($0) }.sorted()
        guard !magnitudes.isEmpty else { return 1 }
        return magnitudes[Int(Double(magnitudes.count - 1) * coverage)]
    }

    private static func quantize(_ layer: DenseLayer, ranges: [Float]) -> QuantizedLayer {
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
        return QuantizedLayer(
            inputs: layer.inputs, outputs: layer.outputs, weights: weights, scale: scale, bias: layer.bias,
            inputScale: inputScale)
    }
}
