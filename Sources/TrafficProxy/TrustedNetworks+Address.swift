import CLinuxEngine
import PolicyModel

extension TrustedNetworks {
    /// Once a connection: the list is short.
    func contains(_ ip: ce_ip) -> Bool {
        if ip.is_unix != 0 { return includesUnix }
        return networks.contains { $0.contains(high: ip.high, low: ip.low) }
    }
}
