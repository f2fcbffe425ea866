import CKernels
import Statistics
import Testing

@testable import ReferenceModel

/// Values of both signs with zeros among them, as activations have.
func randomFloats(_ count: Int, _ generator: inout SplitMix64) -> [Float] {
    (0..<count).map { _ in generator.below(4) == 0 ? 0 : (generator.uniform() - 0.5) * 6 }
}

func randomBytes(_ count: Int, _ generator: inout SplitMix64) -> [Int8] {
    (0..<count).map { _ in Int8(generator.below(255) - 127) }
}

@Suite(.timeLimit(.minutes(15))) struct KernelTests {
    /// Sizes around every multiple of a vector.
    static let sizes = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 91, 96, 100]
    static let paths = KernelPath.allCases.filter { ck_supports($0.raw) != 0 && $0 != .portable }

    @Test("A dense layer sums in the order of its inputs, with the same bits on every path", arguments: sizes)
    func denseMatchesReference(outputs: Int) {
        var generator = SplitMix64(seed: UInt64(outputs))
        for inputs in Self.sizes {
            let rows = 1 + generator.below(5)
            let x = randomFloats(rows * inputs, &generator)
            let w = randomFloats(inputs * outputs, &generator)
            let bias = randomFloats(outputs, &generator)
            var expected = [Float](repeating: 0, count: rows * outputs)
            for row in 0..<rows {
                for output in 0..<outputs {
                    var sum = bias[output]
                    for input in 0..<inputs where x[row * inputs + input] != 0 {
                        sum += x[row * inputs + input] * w[input * outputs + output]
                    }
                    expected[row * outputs + output] = sum
                }
            }
            for path in [KernelPath.portable] + Self.paths {
                var y = [Float](repeating: .nan, count: rows * outputs)
                ck_dense(path.raw, x, rows, inputs, w, bias, outputs, 0, &y)
                #expect(y.map(\.bitPattern) == expected.map(\.bitPattern), "\(path) \(inputs)")
                ck_dense(path.raw, x, rows, inputs, w, bias, outputs, 1, &y)
                #expect(y == expected.map { max(0, $0) }, "\(path) \(inputs), rectified")
            }
        }
    }

    @Test("INT8 sums are exact, the extremes included", arguments: sizes)
    func integerSumsAreExact(inputs: Int) {
        var generator = SplitMix64(seed: UInt64(inputs))
        for outputs in [1, 5, 32] {
            let rows = 3
            var x = randomBytes(rows * inputs, &generator)
            var w = randomBytes(inputs * outputs, &generator)
            for index in 0..<inputs {
                x[index] = 127
                w[index] = -127
            }
            var expected: [Int32] = []
            for row in 0..<rows {
                for output in 0..<outputs {
                    expected.append(
                        (0..<inputs).reduce(0) { $0 + Int32(x[row * inputs + $1]) * Int32(w[output * inputs + $1]) })
                }
            }
            #expect(expected[0] == Int32(inputs) * -127 * 127)
            for path in [KernelPath.portable] + Self.paths {
                var sums = [Int32](repeating: 7, count: rows * outputs)
                ck_dense_int8(path.raw, x, rows, inputs, w, outputs, &sums)
                #expect(sums == expected, "\(path)")
            }
        }
    }

    @Test("Quantizing rounds ties to even, clamps, and fills the stride with zeros")
    func quantizing() {
        let x: [Float] = [0.5, 1.5, -0.5, -2.5, 126.6, 1e30, -.infinity, 3]
        for path in [KernelPath.portable] + Self.paths {
            var q = [Int8](repeating: 9, count: 11)
            ck_quantize(path.raw, x, 1, 8, Array(repeating: 1, count: 8), &q, 11)
            #expect(q == [0, 2, 0, -2, 127, 127, -127, 3, 0, 0, 0], "\(path)")
        }
    }

    @Test("All paths train to the same bits")
    func pathsTrainAlike() {
        var generator = SplitMix64(seed: 5)
        let features = randomFloats(203 * 19, &generator)
        let labels = (0..<203).map { _ in Float(generator.below(2)) }
        let training = Training(features: features, labels: labels, width: 19)
        let start = Network(widths: [19, 33, 6, 1], seed: 3)
        let masks = Pruning.masks(for: start, share: 0.3)
        let recipe = Training.Recipe(epochs: 2, rate: 0.01, seed: 4)
        let portable = training.run(on: start, recipe: recipe, masks: masks, path: .portable)
        #expect(portable != start)
        for path in Self.paths {
            #expect(training.run(on: start, recipe: recipe, masks: masks, path: path) == portable, "\(path)")
        }
    }

    @Test("The logistic function is accurate to a rounding error, and saturates")
    func sigmoid() {
        var x: [Float] = [0, 1, -1, 20, -20, 90, -1000, 1000]
        ck_sigmoid(&x, x.count)
        let expected: [Double] = [
            0.5, 0.731_058_578_630_004_9, 0.268_941_421_369_995_1, 0.999_999_997_938_846_3, 2.061_153_618_190_204e-9, 1,
            0, 1,
        ]
        for (value, exact) in zip(x, expected) { #expect(value == Float(exact)) }
    }
}
