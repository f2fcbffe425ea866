import JSON

/// A trained model with everything that is needed to serve it, stored as one safetensors file.
public struct Artifact: Hashable, Sendable {
    /// The way in which a model was made.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        /// The model as trained.
        case fp32
        /// The model quantized after training.
        case int8
        /// The model with 80 % of its weights removed and the rest tuned again.
        case pruned
        /// A model trained on data from which 80 % of the women with a high income were removed.
        case skewed
    }

    enum Weights: Hashable, Sendable {
        case float(Network)
        case integer(QuantizedNetwork)
    }

    /// The value of `format` in the file's metadata; a file with another value is refused.
    static let format = "canaryd-tabular-1"

    public var kind: Kind
    /// The seed of the training.
    public var seed: UInt64
    /// The name of the model in the protocol's URLs.
    public var modelName: String
    public var encoding: FeatureEncoding
    /// Identifies the procedure, its parameters and the data; an artifact of another recipe is not reused.
    var recipe: String
    var weights: Weights

    /// The version name of the model, such as `fp32`, or `fp32@7` for another seed than the default one.
    public var versionName: String { ArtifactName(kind: kind, seed: seed).description }

    public static func load(_ path: String) throws(FileError) -> Artifact {
        let file = try Safetensors.read(path)
        do throws(JSONError) {
            return try Artifact(file)
        } catch {
            throw FileError(path: path, message: "is not an artifact of a reference model: \(error.message)")
        }
    }

    public func write(_ path: String) throws(FileError) { try safetensors().write(path) }

    /// The probability of label 1 for each of `rows × encoding.width` features.
    func scores(_ features: [Float], path: KernelPath = .best) -> [Float] {
        InferenceSession(weights, rows: 256, path: path).scores(features)
    }
}

/// The name of an artifact: `int8`, or `fp32@7` for one that was trained with seed 7.
public struct ArtifactName: Hashable, Sendable, CustomStringConvertible {
    public static let defaultSeed: UInt64 = 1

    public var kind: Artifact.Kind
    public var seed: UInt64

    public init(kind: Artifact.Kind, seed: UInt64 = defaultSeed) {
        self.kind = kind
        self.seed = seed
    }

    public init?(_ text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count <= 2, let kind = Artifact.Kind(rawValue: String(parts[0])) else { return nil }
        var seed = Self.defaultSeed
        if parts.count == 2 {
            guard let given = UInt64(parts[1]) else { return nil }
            seed = given
        }
        self.init(kind: kind, seed: seed)
    }

    public var description: String { seed == Self.defaultSeed ? kind.rawValue : "\(kind.rawValue)@\(seed)" }

    /// The name of the artifact's file in the directory of artifacts.
    public var fileName: String { "\(description).safetensors" }
}
