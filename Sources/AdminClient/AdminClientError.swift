import AdminTypes

/// Why the agent could not be asked, or what it answered.
public enum AdminClientError: Error, Hashable, CustomStringConvertible {
    /// Nobody could be asked: what, where and what to do.
    case unreachable(String)
    /// The agent answered with an error.
    case refused(status: Int, ErrorBody.Problem)
    /// Something answered that is no agent, or an agent of another age.
    case strange(String)

    public var description: String {
        switch self {
        case .unreachable(let text), .strange(let text): text
        case .refused(_, let problem): problem.message
        }
    }
}
