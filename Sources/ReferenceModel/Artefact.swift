/// A trained model with all that serving it needs: what a safetensors file of ours holds.
public struct Artefact: Hashable, Sendable {
    /// How the model came about.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        /// As trained.
        case fp32
        /// Quantised after training.
        case int8
        /// 80 % of the weights removed, the rest tuned again.
        case pruned
        /// Trained again after 80 % of the women with a high income were lost from the data.
        case skewed
    }

    enum Weights: Hashable, Sendable {
        case float(Network)
        case integer(QuantisedNetwork)
    }

    /// Of the file's metadata; another one is refused.
    static let format = "canaryd-tabular-1"

    public var kind: Kind
    /// Of the training.
    public var seed: UInt64
    /// The name in the protocol's URLs.
    public var modelName: String
    public var encoding: FeatureEncoding
    /// What produced it; another recipe's artefacts are not reused.
    var recipe: String
    var weights: Weights

    /// `fp32`, or `fp32@7` for another seed than the usual one.
    public var versionName: String { ArtefactName(kind: kind, seed: seed).description }

    /// Bytes that the weights take.
    public var weightBytes: Int {
        switch weights {
        case .float(let network): network.layers.reduce(0) { $0 + 4 * ($1.weights.count + $1.bias.count) }
        case .integer(let network):
            network.layers.reduce(0) { $0 + $1.weights.count + 4 * ($1.bias.count + $1.scale.count) }
        }
    }

    public static func load(_ path: String) throws(FileError) -> Artefact {
        let file = try Safetensors.read(path)
        do throws(JSONError) {
            return try Artefact(file)
        } catch {
            throw FileError(path: path, message: "is not an artefact of a reference model: \(error.message)")
        }
    }

    public func write(_ path: String) throws(FileError) { try safetensors().write(path) }

    /// Probabilities of 1 for `rows × encoding.width` features.
    func scores(_ features: [Float], path: KernelPath = .best) -> [Float] {
        InferenceSession(weights, rows: 256, path: path).scores(features)
    }
}

/// Which artefact is meant: `int8`, or `fp32@7` for one that was trained with seed 7.
public struct ArtefactName: Hashable, Sendable, CustomStringConvertible {
    public static let usualSeed: UInt64 = 1

    public var kind: Artefact.Kind
    public var seed: UInt64

    public init(kind: Artefact.Kind, seed: UInt64 = usualSeed) {
        self.kind = kind
        self.seed = seed
    }

    public init?(_ text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count <= 2, let kind = Artefact.Kind(rawValue: String(parts[0])) else { return nil }
        var seed = Self.usualSeed
        if parts.count == 2 {
            guard let given = UInt64(parts[1]) else { return nil }
            seed = given
        }
        self.init(kind: kind, seed: seed)
    }

    public var description: String { seed == Self.usualSeed ? kind.rawValue : "\(kind.rawValue)@\(seed)" }

    /// Its file in the directory of artefacts.
    public var fileName: String { "\(description).safetensors" }
}
