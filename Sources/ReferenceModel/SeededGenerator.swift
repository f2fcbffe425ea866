/// SplitMix64 (Steele, Lea and Flood 2014): 64 bits of state, every seed is a good one. It decides the split of the rows,
/// the first weights and the order of training, and is written here so that a seed means the same in every release.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// 0 ..< 1, a multiple of 2^-24, so exact as a Float.
    mutating func uniform() -> Float { Float(next() >> 40) * 0x1p-24 }

    /// 0 ..< bound, by the high half of the product; the bias is below bound / 2^64.
    mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }

    /// Fisher and Yates. Not `shuffle(using:)`, whose use of the generator may change with the standard library.
    mutating func shuffle(_ values: inout [Int32]) {
        guard values.count > 1 else { return }
        for index in stride(from: values.count - 1, to: 0, by: -1) { values.swapAt(index, below(index + 1)) }
    }
}
