import CLinuxEngine
import PolicyModel

extension TrustedNetworks {
    /// True if an address is in one of the networks. Called once per connection, with a short list.
    func contains(_ ip: ce_ip) -> Bool {
        if ip.is_unix != 0 { return includesUnix }
        return networks.contains { $0.contains(high: ip.high, low: ip.low) }
    }
}
