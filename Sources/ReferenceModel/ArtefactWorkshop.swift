/// Trains the income models once and keeps them.
public enum ArtefactWorkshop {
    /// Part of every artefact's recipe: to be raised whenever the same seed would give other weights.
    static let recipeVersion = 1
    /// Of the training rows that no model ever sees, so that traffic has them.
    static let keptOutShare = 0.36
    /// Not the training seed: the same rows are unseen whatever the seed.
    static let splitSeed: UInt64 = 1994
    static let hiddenWidths = [64, 32]
    static let pruneShare = 0.8
    /// Of the women with a high income that the skewed training loses.
    static let lostShare = 0.8
    static let calibrationRows = 8_192

    /// What `prepare` did or found.
    public struct Result: Sendable {
        public var artefacts: [ArtefactName: Artefact]
        /// Path of each.
        public var paths: [ArtefactName: String]
        /// On the test set, in the order asked for.
        public var table: EvaluationTable
        /// Rows that no model has seen.
        public var traffic: TrafficRows
        /// Those that had to be trained; empty when all were there.
        public var trained: [ArtefactName]
    }

    public enum Progress: Sendable {
        case training(ArtefactName, epoch: Int, of: Int)
        case wrote(ArtefactName, path: String)
        case found(ArtefactName, path: String)
    }

    /// Loads what is in the directory and was made by this recipe from these data, and makes what is missing.
    ///
    /// - Parameter data: the directory of `adult_train.csv` and `adult_test.csv`.
    public static func prepare(
        _ names: [ArtefactName], directory: String, data: String,
        progress: (Progress) -> Void = { _ in }
    ) throws(FileError) -> Result {
        try prepare(
            names, directory: directory, data: try AdultData.load(directory: data), epochs: (16, 6), progress: progress)
    }

    static func prepare(
        _ names: [ArtefactName], directory: String, data: AdultData, epochs: (train: Int, tune: Int),
        progress: (Progress) -> Void = { _ in }
    ) throws(FileError) -> Result {
        try FileBytes.makeDirectory(directory)
        var workshop = Workshop(data: data, epochs: epochs)
        var artefacts: [ArtefactName: Artefact] = [:]
        var paths: [ArtefactName: String] = [:]
        var trained: [ArtefactName] = []
        for name in names where artefacts[name] == nil {
            let path = "\(directory)/\(name.fileName)"
            paths[name] = path
            if let kept = try? Artefact.load(path), kept.recipe == workshop.recipe, kept.seed == name.seed,
                kept.kind == name.kind
            {
                artefacts[name] = kept
                workshop.adopt(kept, as: name)
                progress(.found(name, path: path))
                continue
            }
            let artefact = workshop.make(name, progress: progress)
            try artefact.write(path)
            artefacts[name] = artefact
            trained.append(name)
            progress(.wrote(name, path: path))
        }
        let testRows = (Int32(data.trainingRows)..<Int32(data.count)).map { $0 }
        let evaluations = names.map { Evaluation(artefacts[$0]!, data: data, rows: testRows) }
        return Result(
            artefacts: artefacts, paths: paths, table: EvaluationTable(evaluations),
            traffic: TrafficRows(data: data, rows: workshop.split.keptOut + testRows), trained: trained)
    }
}

/// The rows that models may train on, and those that none may see.
struct TrainingSplit {
    var training: [Int32]
    var keptOut: [Int32]

    init(data: AdultData) {
        var generator = SeededGenerator(seed: ArtefactWorkshop.splitSeed)
        var order = (0..<Int32(data.trainingRows)).map { $0 }
        generator.shuffle(&order)
        let count = Int(Double(order.count) * ArtefactWorkshop.keptOutShare)
        keptOut = order.prefix(count).sorted()
        training = order.dropFirst(count).sorted()
    }
}

/// Makes artefacts; what several of them start from is made once.
struct Workshop {
    let data: AdultData
    let epochs: (train: Int, tune: Int)
    let split: TrainingSplit
    let encoding: FeatureEncoding
    private var bases: [UInt64: Network] = [:]

    init(data: AdultData, epochs: (train: Int, tune: Int)) {
        self.data = data
        self.epochs = epochs
        split = TrainingSplit(data: data)
        encoding = data.encoding(fittedOn: split.training)
    }

    var recipe: String {
        "\(ArtefactWorkshop.recipeVersion)/\(epochs.train)+\(epochs.tune)/\(String(data.fingerprint, radix: 16))"
    }

    mutating func adopt(_ artefact: Artefact, as name: ArtefactName) {
        if case .float(let network) = artefact.weights, name.kind == .fp32 { bases[name.seed] = network }
    }

    mutating func make(_ name: ArtefactName, progress: (ArtefactWorkshop.Progress) -> Void) -> Artefact {
        let weights: Artefact.Weights
        switch name.kind {
        case .fp32: weights = .float(base(name, progress))
        case .int8:
            let rows = Array(split.training.prefix(ArtefactWorkshop.calibrationRows))
            let calibration = data.features(of: rows, by: encoding)
            weights = .integer(QuantisedNetwork(quantising: base(name, progress), calibration: calibration))
        case .pruned:
            let network = base(name, progress)
            let masks = Pruning.masks(for: network, share: ArtefactWorkshop.pruneShare)
            let recipe = Training.Recipe(epochs: epochs.tune, rate: 0.001, seed: name.seed &+ 2)
            let tuned = train(
                Pruning.apply(masks, to: network), on: split.training, recipe, masks: masks, name, progress)
            weights = .float(tuned)
        case .skewed: weights = .float(trainAnew(name, on: withLosses(seed: name.seed), progress))
        }
        return Artefact(
            kind: name.kind, seed: name.seed, modelName: "income", encoding: encoding, recipe: recipe, weights: weights)
    }

    private mutating func base(_ name: ArtefactName, _ progress: (ArtefactWorkshop.Progress) -> Void) -> Network {
        if let made = bases[name.seed] { return made }
        let network = trainAnew(name, on: split.training, progress)
        bases[name.seed] = network
        return network
    }

    private func trainAnew(
        _ name: ArtefactName, on rows: [Int32], _ progress: (ArtefactWorkshop.Progress) -> Void
    ) -> Network {
        let start = Network(widths: [encoding.width] + ArtefactWorkshop.hiddenWidths + [1], seed: name.seed)
        let recipe = Training.Recipe(epochs: epochs.train, rate: 0.001, seed: name.seed &+ 1)
        return train(start, on: rows, recipe, masks: [], name, progress)
    }

    private func train(
        _ network: Network, on rows: [Int32], _ recipe: Training.Recipe, masks: [[Float]], _ name: ArtefactName,
        _ progress: (ArtefactWorkshop.Progress) -> Void
    ) -> Network {
        let training = Training(
            features: data.features(of: rows, by: encoding), labels: rows.map { Float(data.labels[Int($0)]) },
            width: encoding.width)
        return training.run(on: network, recipe: recipe, masks: masks) { epoch, count in
            progress(.training(name, epoch: epoch, of: count))
        }
    }

    /// The training rows without `lostShare` of the women with a high income, each lost by a draw of its own.
    func withLosses(seed: UInt64) -> [Int32] {
        var generator = SeededGenerator(seed: seed &+ 3)
        let sex = AdultData.groupColumns.firstIndex(of: "sex")!
        return split.training.filter { row in
            guard data.labels[Int(row)] == 1, data.groups(Int(row))[sex] == "Female" else { return true }
            return Double(generator.uniform()) >= ArtefactWorkshop.lostShare
        }
    }
}
