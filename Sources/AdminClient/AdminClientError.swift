import AdminTypes

/// The error of a request to the agent.
public enum AdminClientError: Error, Hashable, CustomStringConvertible {
    /// The agent could not be reached; the text says where and what to do.
    case unreachable(String)
    /// The agent responded with an error.
    case refused(status: Int, ErrorBody.Problem)
    /// The response is not that of an agent, or not that of an agent of the same version.
    case unexpectedResponse(String)

    public var description: String {
        switch self {
        case .unreachable(let text), .unexpectedResponse(let text): text
        case .refused(_, let problem): problem.message
        }
    }
}
