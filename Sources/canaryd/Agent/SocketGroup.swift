import Glibc
import PolicyModel

/// Lets the members of a group use a socket of the agent's API.
enum SocketGroup {
    struct Failure: Error, CustomStringConvertible { let description: String }

    /// Gives the socket to the group. Until then it belongs to the agent's own group, so nobody else has access
    /// earlier.
    /// - Parameter key: the key of the agent's file that sets the socket, for errors.
    static func give(_ address: ListenAddress, to group: String?, key: String) throws {
        guard let group, case .unix(let path) = address else { return }
        guard let entry = getgrnam(group) else {
            throw Failure(
                description: "\(key): there is no group '\(group)': create it with `groupadd --system \(group)`, or "
                    + "remove 'group' from the agent's file")
        }
        guard chown(path, uid_t.max, entry.pointee.gr_gid) == 0 else {
            let reason = String(cString: strerror(errno))
            throw Failure(
                description: "\(key): \(path) cannot be given to group '\(group)' (\(reason)): make the agent's user a "
                    + "member of it (SupplementaryGroups= in the unit), or remove 'group'")
        }
    }
}
