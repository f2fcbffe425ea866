import CLinuxEngine

/// A loop's own generator (SplitMix64) for dealing and jitter; nobody sees its numbers.
struct LoopRandom {
    private var state: UInt64

    init() { state = UInt64.random(in: 0 ... .max) }

    @inline(__always) mutating func next() -> UInt64 {
        state = state &+ 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Request ids: 128 bits from the kernel each, fetched for many at a time, since feedback is accepted for whoever knows
/// the id.
struct RequestIDs {
    static let length = 32
    private static let stock = 4096

    private let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: RequestIDs.stock)
    private var used = RequestIDs.stock

    /// Writes 32 hexadecimal digits.
    @inline(__always) mutating func next(into target: UnsafeMutablePointer<UInt8>) {
        if used == Self.stock { refill() }
        for i in 0..<16 {
            let byte = bytes[used + i]
            target[2 * i] = digit(byte >> 4)
            target[2 * i + 1] = digit(byte & 15)
        }
        used += 16
    }

    @inline(__always) private func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

    private mutating func refill() {
        ce_random(bytes, Self.stock)
        used = 0
    }

    func deallocate() { bytes.deallocate() }
}
