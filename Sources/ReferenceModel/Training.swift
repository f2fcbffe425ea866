import CKernels
import Statistics

/// Minimizes the cross-entropy by Adam over shuffled mini-batches. All steps run in a fixed order on one thread, so the
/// same rows, network and recipe give the same weights, bit for bit, on every processor.
struct Training {
    struct Recipe: Hashable, Sendable {
        var epochs: Int
        var batch = 64
        /// The learning rate at the beginning; it decreases linearly to a tenth over the epochs.
        var rate: Float
        /// The seed of the order of the rows.
        var seed: UInt64
    }

    /// The encoded rows, `rows × width`, row-major.
    let features: [Float]
    let labels: [Float]
    let width: Int

    /// Trains a network.
    /// - Parameter masks: for each layer, 0 for weights that stay 0 and 1 for the others; empty if all are trained.
    func run(
        on network: Network, recipe: Recipe, masks: [[Float]] = [], path: KernelPath = .best,
        progress: (_ epoch: Int, _ of: Int) -> Void = { _, _ in }
    ) -> Network {
        var state = TrainingState(network: network, batch: recipe.batch)
        var order = (0..<Int32(labels.count)).map { $0 }
        var generator = SplitMix64(seed: recipe.seed)
        var x = [Float](repeating: 0, count: recipe.batch * width)
        var targets = [Float](repeating: 0, count: recipe.batch)
        for epoch in 0..<recipe.epochs {
            generator.shuffle(&order)
            let rate = recipe.rate * (1 - 0.9 * Float(epoch) / Float(recipe.epochs))
            for start in stride(from: 0, to: order.count, by: recipe.batch) {
                let rows = min(recipe.batch, order.count - start)
                gather(order, start, rows, &x, &targets)
                state.step(x: x, targets: targets, rows: rows, rate: rate, masks: masks, path: path)
            }
            progress(epoch + 1, recipe.epochs)
        }
        return state.network
    }

    private func gather(_ order: [Int32], _ start: Int, _ rows: Int, _ x: inout [Float], _ targets: inout [Float]) {
        x.withUnsafeMutableBufferPointer { x in
            features.withUnsafeBufferPointer { features in
                for place in 0..<rows {
                    let row = Int(order[start + place])
                    (x.baseAddress! + place * width).update(from: features.baseAddress! + row * width, count: width)
                    targets[place] = labels[row]
                }
            }
        }
    }
}

/// The gradient of one array of parameters, and Adam's estimates of its moments.
private struct Moments {
    var gradient: [Float]
    private var first: [Float]
    private var second: [Float]

    init(count: Int) {
        gradient = Array(repeating: 0, count: count)
        first = gradient
        second = gradient
    }

    mutating func apply(to values: inout [Float], mask: [Float]?, step: Float, path: KernelPath) {
        if let mask {
            ck_adam(path.raw, &values, &gradient, &first, &second, mask, values.count, step)
        } else {
            ck_adam(path.raw, &values, &gradient, &first, &second, nil, values.count, step)
        }
    }
}

/// A network in training, with the state of the optimizer and buffers for one batch.
private struct TrainingState {
    var network: Network
    private var activations: [[Float]]
    private var deltas: [[Float]]
    private var transposed: [[Float]]
    private let zeros: [Float]
    private var weightMoments: [Moments]
    private var biasMoments: [Moments]
    /// β1ᵗ and β2ᵗ after t steps.
    private var decay: (first: Float, second: Float) = (1, 1)

    init(network: Network, batch: Int) {
        func zeros(_ count: Int) -> [Float] { Array(repeating: 0, count: count) }
        self.network = network
        activations = network.layers.map { zeros(batch * $0.outputs) }
        deltas = network.layers.map { zeros(batch * $0.outputs) }
        transposed = network.layers.map { zeros($0.weights.count) }
        self.zeros = zeros(network.layers.map(\.inputs).max() ?? 0)
        weightMoments = network.layers.map { Moments(count: $0.weights.count) }
        biasMoments = network.layers.map { Moments(count: $0.outputs) }
    }

    mutating func step(
        x: [Float], targets: [Float], rows: Int, rate: Float, masks: [[Float]], path: KernelPath
    ) {
        network.forward(x, rows: rows, activations: &activations, path: path)
        let last = network.layers.count - 1
        // The gradient of the cross-entropy with respect to the input of the logistic function.
        for row in 0..<rows { deltas[last][row] = (activations[last][row] - targets[row]) / Float(rows) }
        for index in stride(from: last, through: 0, by: -1) { propagate(index, x: x, rows: rows, path: path) }

        decay = (decay.first * 0.9, decay.second * 0.999)
        let step = rate * (1 - decay.second).squareRoot() / (1 - decay.first)
        for index in network.layers.indices {
            let mask = masks.isEmpty ? nil : masks[index]
            weightMoments[index].apply(to: &network.layers[index].weights, mask: mask, step: step, path: path)
            biasMoments[index].apply(to: &network.layers[index].bias, mask: nil, step: step, path: path)
        }
    }

    private mutating func propagate(_ index: Int, x: [Float], rows: Int, path: KernelPath) {
        let layer = network.layers[index]
        ck_accumulate_gradient(
            path.raw, index == 0 ? x : activations[index - 1], deltas[index], rows, layer.inputs, layer.outputs,
            &weightMoments[index].gradient, &biasMoments[index].gradient)
        guard index > 0 else { return }
        ck_transpose(layer.weights, layer.inputs, layer.outputs, &transposed[index])
        ck_dense(
            path.raw, deltas[index], rows, layer.outputs, transposed[index], zeros, layer.inputs, 0,
            &deltas[index - 1])
        ck_relu_gradient(path.raw, activations[index - 1], rows * layer.inputs, &deltas[index - 1])
    }
}
