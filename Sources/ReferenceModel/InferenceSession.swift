import CKernels

/// A model that is ready to run on up to a fixed number of rows. No memory is allocated while it runs. Only one thread
/// may use it at a time.
final class InferenceSession {
    let width: Int
    private let path: KernelPath
    private let capacity: Int
    private let steps: [Step]
    /// The input of a layer. It is swapped with `back` after each layer.
    private var front: [Float]
    /// The output of a layer.
    private var back: [Float]
    private var quantized: [Int8]
    private var sums: [Int32]

    private enum Step {
        case float(DenseLayer)
        /// A quantized layer. `stride` is the number of inputs rounded up to whole vectors; the weights in between are
        /// 0.
        case integer(QuantizedLayer, inverseInputScale: [Float], stride: Int, padded: [Int8])

        var outputs: Int {
            switch self {
            case .float(let layer): layer.outputs
            case .integer(let layer, _, _, _): layer.outputs
            }
        }
    }

    /// The width in bytes of the widest vectors that the INT8 kernels read.
    private static let vector = 32

    init(_ weights: Artifact.Weights, rows: Int, path: KernelPath = .best) {
        self.path = path
        capacity = rows
        switch weights {
        case .float(let network):
            width = network.width
            steps = network.layers.map { .float($0) }
        case .integer(let network):
            width = network.layers[0].inputs
            steps = network.layers.map { layer in
                let stride = (layer.inputs + Self.vector - 1) / Self.vector * Self.vector
                var padded = [Int8](repeating: 0, count: stride * layer.outputs)
                for output in 0..<layer.outputs {
                    for input in 0..<layer.inputs {
                        padded[output * stride + input] = layer.weights[output * layer.inputs + input]
                    }
                }
                let inverse = layer.inputScale.map { 1 / $0 }
                return .integer(layer, inverseInputScale: inverse, stride: stride, padded: padded)
            }
        }
        let widest = steps.map(\.outputs).max() ?? 1
        front = Array(repeating: 0, count: rows * widest)
        back = front
        sums = Array(repeating: 0, count: rows * widest)
        let stride = (max(widest, width) + Self.vector) / Self.vector * Self.vector
        quantized = Array(repeating: 0, count: rows * stride)
    }

    /// The probability of label 1 for each of `rows × width` features.
    func scores(_ features: [Float]) -> [Float] {
        let rows = features.count / width
        var scores: [Float] = []
        scores.reserveCapacity(rows)
        features.withUnsafeBufferPointer { features in
            for start in stride(from: 0, to: rows, by: capacity) {
                let count = min(capacity, rows - start)
                run(features.baseAddress! + start * width, rows: count)
                scores.append(contentsOf: front[0..<count])
            }
        }
        return scores
    }

    /// Runs all layers; the scores are in `front` afterwards.
    private func run(_ features: UnsafePointer<Float>, rows: Int) {
        for (index, step) in steps.enumerated() {
            let rectified: Int32 = index < steps.count - 1 ? 1 : 0
            if index == 0 {
                apply(step, features, rows, rectified, &back)
            } else {
                front.withUnsafeBufferPointer { apply(step, $0.baseAddress!, rows, rectified, &back) }
            }
            swap(&front, &back)
        }
        ck_sigmoid(&front, rows)
    }

    private func apply(_ step: Step, _ x: UnsafePointer<Float>, _ rows: Int, _ rectified: Int32, _ y: inout [Float]) {
        switch step {
        case .float(let layer):
            ck_dense(path.raw, x, rows, layer.inputs, layer.weights, layer.bias, layer.outputs, rectified, &y)
        case .integer(let layer, let inverse, let stride, let padded):
            ck_quantize(path.raw, x, rows, layer.inputs, inverse, &quantized, stride)
            ck_dense_int8(path.raw, quantized, rows, stride, padded, layer.outputs, &sums)
            ck_dequantize(path.raw, sums, rows, layer.outputs, layer.scale, layer.bias, rectified, &y)
        }
    }
}
