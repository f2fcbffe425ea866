import AdminClient
import AdminTypes

/// What scripts can trust.
public enum ExitStatus {
    public static let done: Int32 = 0
    /// Refused or failed.
    public static let failed: Int32 = 1
    public static let usage: Int32 = 2
    public static let unreachable: Int32 = 3
    /// The change is in force and not on disk yet.
    public static let notDurable: Int32 = 4
    /// `--wait` ended because the rollout continues only when a person acts.
    public static let needsPerson: Int32 = 5
}

/// Ends a command with a status and a line that says why.
struct Failure: Error {
    var status: Int32
    /// Empty: what there is to say has been said.
    var message: String
    var detail: [String] = []

    init(_ status: Int32, _ message: String = "", detail: [String] = []) {
        self.status = status
        self.message = message
        self.detail = detail
    }

    init(_ error: AdminClientError) {
        switch error {
        case .unreachable(let text): self.init(ExitStatus.unreachable, text)
        case .unexpectedResponse(let text): self.init(ExitStatus.failed, text)
        case .refused(_, let problem):
            // The list of services stands in the message already.
            let detail = problem.code == "unknown_service" ? [] : problem.detail
            self.init(ExitStatus.failed, problem.message, detail: detail)
        }
    }
}
