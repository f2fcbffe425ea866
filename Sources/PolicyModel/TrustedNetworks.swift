/// Clients whose word counts: what they say under reserved names (the addresses of others, routing) is believed.
public struct TrustedNetworks: Hashable, Codable, Sendable {
    public var networks: [Network]
    /// Clients of Unix sockets, whose files say who may connect.
    public var includesUnix: Bool

    public init(networks: [Network] = [], includesUnix: Bool = false) {
        self.networks = networks
        self.includesUnix = includesUnix
    }

    /// The networks that an agent trusts by default: this host alone.
    public static let host = TrustedNetworks(
        networks: [
            Network(high: 0, low: 0xffff_7f00_0000, prefix: 104), Network(high: 0, low: 1, prefix: 128),
        ], includesUnix: true)

    /// A range of addresses, in 128 bits, IPv4 mapped into IPv6 (`::ffff:a.b.c.d`).
    public struct Network: Hashable, Codable, Sendable {
        public var high: UInt64
        public var low: UInt64
        /// Leading bits that count, 0 ... 128; of IPv4 96 more than written.
        public var prefix: Int

        public init(high: UInt64, low: UInt64, prefix: Int) {
            self.high = high
            self.low = low
            self.prefix = prefix
        }

        /// An IPv6 range holds no IPv4 address, not even `::/0`: it was not meant.
        public func contains(high: UInt64, low: UInt64) -> Bool {
            Self.isIPv4(self.high, self.low) == Self.isIPv4(high, low)
                && (self.high ^ high) & Self.mask(prefix) == 0 && (self.low ^ low) & Self.mask(prefix - 64) == 0
        }

        /// The first address of the range, which is how it is written.
        public var base: Network {
            Network(high: high & Self.mask(prefix), low: low & Self.mask(prefix - 64), prefix: prefix)
        }

        private static func isIPv4(_ high: UInt64, _ low: UInt64) -> Bool { high == 0 && low >> 32 == 0xffff }

        private static func mask(_ bits: Int) -> UInt64 {
            bits <= 0 ? 0 : bits >= 64 ? .max : UInt64.max << (64 - UInt64(bits))
        }
    }
}
