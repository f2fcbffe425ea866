import AdminClient
import AdminTypes
import ArgumentParser

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check the agent, files, servers and scrapes: ok, warn or fail, with the fix.",
        discussion: "Exit status: 0 if nothing fails, 1 if something does, 3 if the agent cannot be reached.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let console = Console.current
        var examination = Examination(client: connection.client)
        examination.run()
        let report = DoctorReport(findings: examination.findings)
        try console.show(report, as: output.output) {
            report.findings.map { finding in
                let style: Style =
                    switch finding.grade {
                    case .ok: .green
                    case .warn: .yellow
                    case .fail: .red
                    }
                let fix = finding.fix.map { "; \(plain($0))" } ?? ""
                return console.styled(EventText.pad(finding.grade.rawValue, 4), style)
                    + "  \(plain(finding.subject)): \(plain(finding.found))\(fix)"
            }
        }
        if !examination.isReachable { throw Failure(ExitStatus.unreachable) }
        if report.findings.contains(where: { $0.grade == .fail }) { throw Failure(ExitStatus.failed) }
    }
}

/// The output of `canaryctl doctor`.
struct DoctorReport: Codable, Equatable {
    var findings: [Finding]

    struct Finding: Codable, Equatable {
        enum Grade: String, Codable { case ok, warn, fail }
        var grade: Grade
        var subject: String
        var found: String
        /// How to fix the problem; nil if there is none, or if no fix is known.
        var fix: String?
    }
}
