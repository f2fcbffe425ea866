import AdminClient
import AdminTypes

/// The exit statuses of canaryctl, on which scripts may rely.
public enum ExitStatus {
    public static let done: Int32 = 0
    /// The command was refused or failed.
    public static let failed: Int32 = 1
    public static let usage: Int32 = 2
    public static let unreachable: Int32 = 3
    /// The change is in force, but not on disk yet.
    public static let notDurable: Int32 = 4
    /// `--wait` ended because the rollout continues only when a person acts.
    public static let needsPerson: Int32 = 5
}

/// The error that ends a command with an exit status.
struct Failure: Error {
    var status: Int32
    /// The reason in one line; empty if the command has printed it already.
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
            // The message already lists the services.
            let detail = problem.code == "unknown_service" ? [] : problem.detail
            self.init(ExitStatus.failed, problem.message, detail: detail)
        }
    }
}
