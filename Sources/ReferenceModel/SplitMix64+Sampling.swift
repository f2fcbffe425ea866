import Statistics

// Seeds decide the split of the rows, the initial weights and the order of training. These functions are written here,
// instead of taken from the standard library, so that a seed means the same in every release.
extension SplitMix64 {
    /// A number in 0 ..< 1, a multiple of 2^-24, hence exact as a Float.
    mutating func uniform() -> Float { Float(next() >> 40) * 0x1p-24 }

    /// A number in 0 ..< bound, by the high half of the product; the bias is below bound / 2^64.
    mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }

    /// Shuffles by the algorithm of Fisher and Yates.
    mutating func shuffle(_ values: inout [Int32]) {
        guard values.count > 1 else { return }
        for index in stride(from: values.count - 1, to: 0, by: -1) { values.swapAt(index, below(index + 1)) }
    }
}
