import RolloutEngine

/// Formats the line about the agent that `systemctl status` shows, with a clause for each service.
enum StatusLine {
    /// The maximum number of services that are named; further ones are only counted.
    static let named = 4

    static func text(_ states: [ServiceState]) -> String {
        if states.isEmpty { return "no service: put a file into the services folder and reload" }
        var clauses = states.prefix(named).map(clause)
        if states.count > named { clauses.append("and \(states.count - named) more") }
        return clauses.joined(separator: "; ")
    }

    private static func clause(_ state: ServiceState) -> String {
        let frozen = state.freeze == nil ? "" : ", frozen"
        guard let rollout = state.rollout else { return "\(state.service): \(state.serving) serves\(frozen)" }
        let share = "\(rollout.candidate) at \(state.split.candidate)"
        return "\(state.service): \(share), \(rollout.phase.name)\(held(rollout))\(frozen)"
    }

    /// The reason why the rollout does not advance; empty if it does.
    private static func held(_ rollout: Rollout) -> String {
        if rollout.pause != nil { return ", paused" }
        if rollout.isRecovering { return ", recovering" }
        return rollout.holdReason.map { ", held: \($0.rawValue)" } ?? ""
    }
}
