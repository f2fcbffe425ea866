import Testing

@testable import ReferenceModel

@Suite(.timeLimit(.minutes(15))) struct ArtifactStoreTests {
    private static func prepare(_ names: [ArtifactName], in directory: TemporaryDirectory) throws
        -> ArtifactStore.Result
    {
        try ArtifactStore.prepare(names, directory: directory.path, data: AdultFixture.subset, epochs: (2, 1))
    }

    @Test("The same seed gives the same file, bit for bit; another seed a different one")
    func reproducible() throws {
        let (first, second) = (TemporaryDirectory(), TemporaryDirectory())
        let names = Artifact.Kind.allCases.map { ArtifactName(kind: $0) } + [ArtifactName(kind: .fp32, seed: 7)]
        let one = try Self.prepare(names, in: first)
        let two = try Self.prepare(names.reversed(), in: second)
        for name in names {
            let bytes = try FileBytes.read(one.paths[name]!, limit: 1 << 20)
            #expect(try FileBytes.read(two.paths[name]!, limit: 1 << 20) == bytes, "\(name)")
        }
        let usual = try #require(one.artifacts[names[0]])
        let other = try #require(one.artifacts[ArtifactName(kind: .fp32, seed: 7)])
        #expect(usual.weights != other.weights)
    }

    /// If a change is meant to fail this test, raise `ArtifactStore.recipeVersion`, so that existing artifacts are made
    /// again.
    @Test("Weights are those of the recipe's version, on every processor and in every kind of build")
    func golden() throws {
        let hashes = Artifact.Kind.allCases.map { kind in
            AdultFixture.artifacts[kind]!.safetensors().encoded().reduce(into: 0xCBF2_9CE4_8422_2325 as UInt64) {
                $0 = ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3
            }
        }
        #expect(ArtifactStore.recipeVersion == 1)
        #expect(
            hashes == [
                36_371_275_121_631_446, 18_046_574_883_112_818_959, 8_824_597_001_682_888_543,
                9_184_204_039_079_184_689,
            ])
    }

    @Test("A second run finds what the first one made; a file of another recipe is made again")
    func kept() throws {
        let directory = TemporaryDirectory()
        let names = [ArtifactName(kind: .fp32), ArtifactName(kind: .int8)]
        let first = try Self.prepare(names, in: directory)
        #expect(first.trained == names)
        let second = try Self.prepare(names, in: directory)
        #expect(second.trained.isEmpty)
        #expect(second.artifacts == first.artifacts)
        #expect(second.table.models == first.table.models)

        var foreign = try #require(first.artifacts[names[1]])
        foreign.recipe = "0"
        try foreign.write(first.paths[names[1]]!)
        let third = try Self.prepare(names, in: directory)
        #expect(third.trained == [names[1]])
        #expect(third.artifacts == first.artifacts)
    }

    @Test("Traffic has the test set and the held-out rows, and no training row")
    func trafficIsUnseen() throws {
        let data = AdultFixture.subset
        let split = TrainingSplit(data: data)
        #expect(Set(split.training).isDisjoint(with: split.heldOut))
        #expect(split.training.count + split.heldOut.count == data.trainingRows)
        #expect(split.heldOut.count == 432)
        let result = try Self.prepare([ArtifactName(kind: .fp32)], in: TemporaryDirectory())
        #expect(result.traffic.count == 432 + 1_200)
        let row = result.traffic.count - 1_200
        #expect(result.traffic.label(row) == 0)
        #expect(result.traffic.groups(row).map(\.value) == ["Male", "Black"])
        let body = String(decoding: result.traffic.inferenceBody(row), as: UTF8.self)
        #expect(body.contains(#"{"name":"age","datatype":"INT64","shape":[1],"data":[25]}"#))
        #expect(body.contains(#"{"name":"sex","datatype":"BYTES","shape":[1],"data":["Male"]}"#))
    }

    @Test("The skewed training lacks four fifths of the women with a high income and no other rows")
    func losses() {
        let builder = ArtifactBuilder(data: AdultFixture.subset, epochs: (1, 1))
        let data = builder.data
        let kept = Set(builder.skewedRows(seed: 1))
        let lost = builder.split.training.filter { !kept.contains($0) }
        let targets = builder.split.training.filter {
            data.labels[Int($0)] == 1 && data.groups(Int($0))[0] == "Female"
        }
        #expect(lost.allSatisfy { targets.contains($0) })
        #expect((0.6...0.95).contains(Double(lost.count) / Double(targets.count)))
    }

    @Test("Pruning removes four fifths of the hidden weights, and tuning does not bring them back")
    func pruned() throws {
        guard case .float(let network) = try #require(AdultFixture.artifacts[.pruned]).weights else {
            Issue.record("the pruned artifact is not FP32")
            return
        }
        for layer in network.layers.dropLast() {
            let zeros = layer.weights.count { $0 == 0 }
            #expect(zeros == Int(Double(layer.weights.count) * 0.8))
        }
    }

    @Test("A model is far better than always predicting the most frequent label, and INT8 scores stay close to FP32")
    func learns() throws {
        let data = AdultFixture.subset
        let rows = (Int32(data.trainingRows)..<Int32(data.count)).map { $0 }
        let float = try #require(AdultFixture.artifacts[.fp32])
        let integer = try #require(AdultFixture.artifacts[.int8])
        let evaluation = ModelPerformance(float, data: data, rows: rows)
        let all = try #require(evaluation["all"])
        #expect(try #require(all.accuracy) > 0.8)
        #expect(try #require(all.recall) > 0.4)
        let features = data.features(of: rows, by: float.encoding)
        let gaps = zip(float.scores(features), integer.scores(features)).map { abs($0 - $1) }.sorted()
        #expect(gaps.reduce(0, +) / Float(gaps.count) < 0.01)
        #expect(gaps[gaps.count * 98 / 100] < 0.1)
    }

    @Test("INT8 weights are within half a step of the FP32 weights")
    func quantizationError() throws {
        guard case .float(let float) = try #require(AdultFixture.artifacts[.fp32]).weights,
            case .integer(let integer) = try #require(AdultFixture.artifacts[.int8]).weights
        else {
            Issue.record("unexpected kinds of weights")
            return
        }
        for (exact, rounded) in zip(float.layers, integer.layers) {
            for output in 0..<exact.outputs {
                for input in 0..<exact.inputs {
                    let step = rounded.scale[output] / rounded.inputScale[input]
                    let value = Float(rounded.weights[output * exact.inputs + input]) * step
                    #expect(abs(value - exact.weights[input * exact.outputs + output]) <= step * 0.501)
                }
            }
        }
    }

    @Test("The table shows the first model in percent and the others in points")
    func table() {
        var reference = ModelPerformance(
            AdultFixture.artifacts[.fp32]!, data: AdultFixture.subset, rows: [0, 1, 2])
        reference.groups = [.init(name: "all", rows: 200, positives: 50, correct: 170, truePositives: 30)]
        var other = reference
        other.name = ArtifactName(kind: .skewed, seed: 3)
        other.groups[0].correct = 169
        other.groups[0].truePositives = 12
        let lines = PerformanceTable([reference, other]).text.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines[2].split(separator: " ") == ["all", "50", "85.0", "-0.5", "60.0", "-36.0"])
    }
}
