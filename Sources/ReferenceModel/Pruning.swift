/// Magnitude pruning (Han et al. 2015), layer by layer.
enum Pruning {
    /// The mask of each layer: 0 for the `share` of its weights with the smallest magnitude, 1 for the others. The last
    /// layer has few weights and is not pruned.
    static func masks(for network: Network, share: Double) -> [[Float]] {
        network.layers.enumerated().map { index, layer in
            guard index < network.layers.count - 1 else { return Array(repeating: 1, count: layer.weights.count) }
            let order = layer.weights.indices.sorted { left, right in
                let (a, b) = (abs(layer.weights[left]), abs(layer.weights[right]))
                return a == b ? left < right : a < b
            }
            var mask = [Float](repeating: 1, count: layer.weights.count)
            for weight in order.prefix(Int(Double(order.count) * share)) { mask[weight] = 0 }
            return mask
        }
    }

    static func apply(_ masks: [[Float]], to network: Network) -> Network {
        Network(
            layers: zip(network.layers, masks).map { layer, mask in
                var layer = layer
                for index in mask.indices where mask[index] == 0 { layer.weights[index] = 0 }
                return layer
            })
    }
}
