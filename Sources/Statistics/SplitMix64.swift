/// The SplitMix64 generator (Steele, Lea and Flood 2014): 64 bits of state, and every seed is a good one. It is written
/// out here, instead of taken from the standard library, so that a seed gives the same numbers in every release and on
/// every machine.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    @usableFromInline var state: UInt64

    @inlinable public init(seed: UInt64) { state = seed }

    @inlinable public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A hash of 64 bits in which every bit of the result depends on every bit of `value`: the first number of the
    /// generator with that seed.
    @inlinable public static func hash(_ value: UInt64) -> UInt64 {
        var generator = SplitMix64(seed: value)
        return generator.next()
    }
}
