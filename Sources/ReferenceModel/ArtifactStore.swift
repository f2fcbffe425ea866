import Statistics

/// Trains the income models once and keeps their files in a directory.
public enum ArtifactStore {
    /// A part of every artifact's recipe. It has to be raised whenever the same seed would give other weights.
    static let recipeVersion = 1
    /// The share of the training rows that no model is trained on, so that they can serve as traffic.
    static let heldOutShare = 0.36
    /// The seed of the division into rows for training and for traffic. It differs from the training seed, so that the
    /// held-out rows are the same whatever the training seed.
    static let splitSeed: UInt64 = 1994
    static let hiddenWidths = [64, 32]
    /// The share of the weights that pruning removes.
    static let prunedShare = 0.8
    /// The share of the women with a high income that the training data of the skewed model lacks.
    static let removedShare = 0.8
    static let calibrationRows = 8_192

    /// The result of `prepare`.
    public struct Result: Sendable {
        public var artifacts: [ArtifactName: Artifact]
        /// The path of each artifact's file.
        public var paths: [ArtifactName: String]
        /// The evaluation of the artifacts on the test set, in the requested order.
        public var table: PerformanceTable
        /// The rows that no model was trained on.
        public var traffic: TrafficRows
        /// The artifacts that had to be made; empty if all were in the directory.
        public var trained: [ArtifactName]
    }

    public enum Progress: Sendable {
        case training(ArtifactName, epoch: Int, of: Int)
        case wrote(ArtifactName, path: String)
        case found(ArtifactName, path: String)
    }

    /// Loads the artifacts that are in the directory and were made by this recipe from this data, and makes the others.
    ///
    /// - Parameter data: the directory of `adult_train.csv` and `adult_test.csv`.
    public static func prepare(
        _ names: [ArtifactName], directory: String, data: String,
        progress: (Progress) -> Void = { _ in }
    ) throws(FileError) -> Result {
        try prepare(
            names, directory: directory, data: try AdultData.load(directory: data), epochs: (16, 6), progress: progress)
    }

    static func prepare(
        _ names: [ArtifactName], directory: String, data: AdultData, epochs: (train: Int, tune: Int),
        progress: (Progress) -> Void = { _ in }
    ) throws(FileError) -> Result {
        try FileBytes.makeDirectory(directory)
        var builder = ArtifactBuilder(data: data, epochs: epochs)
        var artifacts: [ArtifactName: Artifact] = [:]
        var paths: [ArtifactName: String] = [:]
        var trained: [ArtifactName] = []
        for name in names where artifacts[name] == nil {
            let path = "\(directory)/\(name.fileName)"
            paths[name] = path
            if let kept = try? Artifact.load(path), kept.recipe == builder.recipe, kept.seed == name.seed,
                kept.kind == name.kind
            {
                artifacts[name] = kept
                builder.reuse(kept, as: name)
                progress(.found(name, path: path))
                continue
            }
            let artifact = builder.make(name, progress: progress)
            try artifact.write(path)
            artifacts[name] = artifact
            trained.append(name)
            progress(.wrote(name, path: path))
        }
        let testRows = (Int32(data.trainingRows)..<Int32(data.count)).map { $0 }
        let evaluations = names.map { ModelPerformance(artifacts[$0]!, data: data, rows: testRows) }
        return Result(
            artifacts: artifacts, paths: paths, table: PerformanceTable(evaluations),
            traffic: TrafficRows(data: data, rows: builder.split.heldOut + testRows), trained: trained)
    }
}

/// The division of the training rows into those that models are trained on and those that are held out.
struct TrainingSplit {
    var training: [Int32]
    var heldOut: [Int32]

    init(data: AdultData) {
        var generator = SplitMix64(seed: ArtifactStore.splitSeed)
        var order = (0..<Int32(data.trainingRows)).map { $0 }
        generator.shuffle(&order)
        let count = Int(Double(order.count) * ArtifactStore.heldOutShare)
        heldOut = order.prefix(count).sorted()
        training = order.dropFirst(count).sorted()
    }
}

/// Makes artifacts. The trained network that several of them start from is made once.
struct ArtifactBuilder {
    let data: AdultData
    let epochs: (train: Int, tune: Int)
    let split: TrainingSplit
    let encoding: FeatureEncoding
    /// The trained FP32 networks by seed.
    private var bases: [UInt64: Network] = [:]

    init(data: AdultData, epochs: (train: Int, tune: Int)) {
        self.data = data
        self.epochs = epochs
        split = TrainingSplit(data: data)
        encoding = data.encoding(fittedOn: split.training)
    }

    var recipe: String {
        "\(ArtifactStore.recipeVersion)/\(epochs.train)+\(epochs.tune)/\(String(data.fingerprint, radix: 16))"
    }

    /// Uses an artifact that was loaded from a file as the starting point of others.
    mutating func reuse(_ artifact: Artifact, as name: ArtifactName) {
        if case .float(let network) = artifact.weights, name.kind == .fp32 { bases[name.seed] = network }
    }

    mutating func make(_ name: ArtifactName, progress: (ArtifactStore.Progress) -> Void) -> Artifact {
        let weights: Artifact.Weights
        switch name.kind {
        case .fp32: weights = .float(base(name, progress))
        case .int8:
            let rows = Array(split.training.prefix(ArtifactStore.calibrationRows))
            let calibration = data.features(of: rows, by: encoding)
            weights = .integer(QuantizedNetwork(quantizing: base(name, progress), calibration: calibration))
        case .pruned:
            let network = base(name, progress)
            let masks = Pruning.masks(for: network, share: ArtifactStore.prunedShare)
            let recipe = Training.Recipe(epochs: epochs.tune, rate: 0.001, seed: name.seed &+ 2)
            let tuned = train(
                Pruning.apply(masks, to: network), on: split.training, recipe, masks: masks, name, progress)
            weights = .float(tuned)
        case .skewed: weights = .float(trainNew(name, on: skewedRows(seed: name.seed), progress))
        }
        return Artifact(
            kind: name.kind, seed: name.seed, modelName: "income", encoding: encoding, recipe: recipe, weights: weights)
    }

    private mutating func base(_ name: ArtifactName, _ progress: (ArtifactStore.Progress) -> Void) -> Network {
        if let made = bases[name.seed] { return made }
        let network = trainNew(name, on: split.training, progress)
        bases[name.seed] = network
        return network
    }

    private func trainNew(
        _ name: ArtifactName, on rows: [Int32], _ progress: (ArtifactStore.Progress) -> Void
    ) -> Network {
        let start = Network(widths: [encoding.width] + ArtifactStore.hiddenWidths + [1], seed: name.seed)
        let recipe = Training.Recipe(epochs: epochs.train, rate: 0.001, seed: name.seed &+ 1)
        return train(start, on: rows, recipe, masks: [], name, progress)
    }

    private func train(
        _ network: Network, on rows: [Int32], _ recipe: Training.Recipe, masks: [[Float]], _ name: ArtifactName,
        _ progress: (ArtifactStore.Progress) -> Void
    ) -> Network {
        let training = Training(
            features: data.features(of: rows, by: encoding), labels: rows.map { Float(data.labels[Int($0)]) },
            width: encoding.width)
        return training.run(on: network, recipe: recipe, masks: masks) { epoch, count in
            progress(.training(name, epoch: epoch, of: count))
        }
    }

    /// The training rows without `removedShare` of the women with a high income, each removed independently.
    func skewedRows(seed: UInt64) -> [Int32] {
        var generator = SplitMix64(seed: seed &+ 3)
        let sex = AdultData.groupColumns.firstIndex(of: "sex")!
        return split.training.filter { row in
            guard data.labels[Int(row)] == 1, data.groups(Int(row))[sex] == "Female" else { return true }
            return Double(generator.uniform()) >= ArtifactStore.removedShare
        }
    }
}
