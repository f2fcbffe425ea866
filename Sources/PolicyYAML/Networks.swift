import Glibc
import PolicyModel

/// Reads address ranges of configurations.
enum Networks {
    /// Reads `trustedNetworks`, such as `[10.0.0.0/8, fd00::/8, loopback, unix]`. An empty list trusts no client.
    static func read(_ section: Section, _ report: FileReport) -> TrustedNetworks {
        var trusted = TrustedNetworks()
        let items = section.list(
            "trustedNetworks", "'trustedNetworks'", atMost: ConfigurationLimits.trustedNetworks)
        for item in items ?? [] {
            _ = report.read(item, "10.0.0.0/8") { (text) throws(InvalidValue) in
                if text == "unix" {
                    if trusted.includesUnix { throw InvalidValue("is repeated: remove one of them") }
                    trusted.includesUnix = true
                    return
                }
                let networks = text == "loopback" ? TrustedNetworks.host.networks : [try network(text)]
                for network in networks where trusted.networks.contains(network) {
                    throw InvalidValue("is repeated: remove one of them")
                }
                trusted.networks += networks
            }
        }
        return trusted
    }

    /// Reads `10.0.0.0/8`, `::1/128`, or a single address. Bits after the prefix are refused, since they are most
    /// likely a mistake.
    static func network(_ text: String) throws(InvalidValue) -> TrustedNetworks.Network {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let address = String(parts[0])
        let isIPv4 = !address.contains(":")
        guard let (high, low) = bits(address, isIPv4: isIPv4) else {
            throw InvalidValue(
                "is no range of addresses: write one such as 10.0.0.0/8 or fd00::/8, or loopback, or unix")
        }
        let width = isIPv4 ? 32 : 128
        var length = width
        if parts.count > 1 {
            guard let given = Int(parts[1]), (0...width).contains(given), parts[1].utf8.allSatisfy({ $0 != 0x2b })
            else {
                throw InvalidValue("has no valid length: write /0 to /\(width)")
            }
            length = given
        }
        let network = TrustedNetworks.Network(high: high, low: low, prefix: isIPv4 ? length + 96 : length)
        guard network == network.base else {
            throw InvalidValue(
                "has address bits behind its prefix: write \(written(network.base, isIPv4: isIPv4))/\(length)")
        }
        return network
    }

    private static func bits(_ address: String, isIPv4: Bool) -> (UInt64, UInt64)? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let offset = isIPv4 ? 12 : 0
        if isIPv4 { bytes.replaceSubrange(10..<12, with: [0xff, 0xff]) }
        let status = bytes.withUnsafeMutableBytes {
            inet_pton(isIPv4 ? AF_INET : AF_INET6, address, $0.baseAddress! + offset)
        }
        guard status == 1 else { return nil }
        let half = { (from: Int) in bytes[from..<from + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        return (half(0), half(8))
    }

    private static func written(_ network: TrustedNetworks.Network, isIPv4: Bool) -> String {
        var bytes = [network.high, network.low].flatMap { half in
            (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) }
        }
        if isIPv4 { bytes.removeFirst(12) }
        var text = [CChar](repeating: 0, count: 64)
        inet_ntop(isIPv4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
