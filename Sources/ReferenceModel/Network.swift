import CKernels
import Statistics

/// A fully connected layer: `outputs = inputs · weights + bias`.
struct DenseLayer: Hashable, Sendable {
    var inputs: Int
    var outputs: Int
    /// The weights, `inputs × outputs`, row-major, because the kernels add up whole rows.
    var weights: [Float]
    var bias: [Float]
}

/// A multilayer perceptron with rectifiers between its layers and a logistic output.
struct Network: Hashable, Sendable {
    var layers: [DenseLayer]

    var width: Int { layers[0].inputs }
    var widths: [Int] { [width] + layers.map(\.outputs) }

    /// A network with weights drawn uniformly from ±sqrt(6 / inputs) (He et al. 2015) and biases of 0.
    init(widths: [Int], seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        layers = zip(widths, widths.dropFirst()).map { inputs, outputs in
            let bound = (6 / Float(inputs)).squareRoot()
            let weights = (0..<inputs * outputs).map { _ in (generator.uniform() * 2 - 1) * bound }
            return DenseLayer(
                inputs: inputs, outputs: outputs, weights: weights, bias: Array(repeating: 0, count: outputs))
        }
    }

    init(layers: [DenseLayer]) { self.layers = layers }

    /// Computes the outputs of every layer; those of the last are the probabilities of label 1, one for each row.
    /// - Parameter activations: the outputs by layer, large enough for `rows` rows.
    func forward(_ x: UnsafePointer<Float>, rows: Int, activations: inout [[Float]], path: KernelPath) {
        for (index, layer) in layers.enumerated() {
            let isLast = index == layers.count - 1
            if index == 0 {
                run(layer, x, rows, isLast, &activations[0], path)
            } else {
                let inputs = activations[index - 1]
                inputs.withUnsafeBufferPointer { run(layer, $0.baseAddress!, rows, isLast, &activations[index], path) }
            }
            if isLast { ck_sigmoid(&activations[index], rows * layer.outputs) }
        }
    }

    private func run(
        _ layer: DenseLayer, _ x: UnsafePointer<Float>, _ rows: Int, _ isLast: Bool, _ y: inout [Float],
        _ path: KernelPath
    ) {
        ck_dense(path.raw, x, rows, layer.inputs, layer.weights, layer.bias, layer.outputs, isLast ? 0 : 1, &y)
    }
}
