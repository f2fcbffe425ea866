/// One side of a rollout.
public enum Arm: UInt8, CaseIterable, Codable, Sendable {
    case baseline = 0
    case candidate = 1

    public var other: Arm { self == .baseline ? .candidate : .baseline }
    public var name: String { self == .baseline ? "baseline" : "candidate" }
}

/// How requests are assigned to the two arms. A value: whoever holds it decides without asking anyone.
public struct TrafficSplit: Hashable, Codable, Sendable {
    /// The candidate's share.
    public var candidate: Weight
    /// Grows with each change of the split; a reader tells old from new by it.
    public var generation: UInt64
    /// New for each rollout, so that the same keys are not first in line for every candidate.
    public var salt: UInt64

    public init(candidate: Weight, generation: UInt64, salt: UInt64) {
        self.candidate = candidate
        self.generation = generation
        self.salt = salt
    }

    /// The arm of a key. While the candidate's weight grows, a key that once was the candidate's stays so: its place
    /// in 0 ..< 10 000 is fixed by hash and salt, and the candidate owns the places below its weight.
    @inlinable public func select(_ keyHash: UInt64) -> Arm {
        Self.place(of: keyHash, salt: salt) < UInt64(candidate.basisPoints) ? .candidate : .baseline
    }

    /// The place of a key in 0 ..< 10 000: the finaliser of MurmurHash3 over hash and salt, then a multiply-shift.
    @inlinable public static func place(of keyHash: UInt64, salt: UInt64) -> UInt64 {
        ((mix(keyHash ^ salt) >> 32) &* 10_000) >> 32
    }

    /// The 64-bit finaliser of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit.
    @inlinable public static func mix(_ value: UInt64) -> UInt64 {
        var x = value
        x ^= x >> 33
        x = x &* 0xff51_afd7_ed55_8ccd
        x ^= x >> 33
        x = x &* 0xc4ce_b9fe_1a85_ec53
        x ^= x >> 33
        return x
    }

    /// FNV-1a over the bytes of a routing key, the same on every run and machine.
    @inlinable public static func hash(key: UnsafeRawBufferPointer) -> UInt64 {
        var h: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in key { h = (h ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return h
    }

    public static func hash(key: String) -> UInt64 {
        var key = key
        return key.withUTF8 { hash(key: UnsafeRawBufferPointer($0)) }
    }
}
