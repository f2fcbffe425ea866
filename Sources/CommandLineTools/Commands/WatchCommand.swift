import AdminClient
import AdminTypes
import ArgumentParser
import Glibc
import Vocabulary

struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Show a service live, or all services if SERVICE is omitted and there are several.",
        discussion: "On a terminal, a screen that updates until q or Ctrl-C; otherwise one line for each change.")

    @OptionGroup var service: ServiceArgument
    @OptionGroup var connection: ConnectionOptions

    /// The time between two queries of the agent, in milliseconds.
    private static let interval: Int32 = 500

    func run() throws {
        let console = Console.current
        let client = connection.client
        // Query the agent before the alternate screen opens, so that errors are reported on the normal screen.
        let first = try client.services()
        let name = service.service ?? (first.count == 1 ? first[0].service : nil)
        if let name { _ = try client.service(name) }
        guard console.isTerminal else { return try plainLines(client, name, console) }
        let screen = TerminalScreen()
        defer { screen.restore() }
        var snapshot = Snapshot(services: first, events: [], at: Self.now)
        repeat {
            let (width, height) = screen.size
            var problem: String?
            do { snapshot = try take(client, name) } catch {
                problem = "\(error); last seen \(snapshot.at.clockTime) UTC, trying again"
            }
            let picture = WatchScreen(width: width, height: height, isColored: console.isColored)
            if let name, let status = snapshot.services.first(where: { $0.service == name }) {
                screen.draw(picture.lines(status, events: snapshot.events, now: snapshot.at, problem: problem))
            } else {
                screen.draw(picture.overview(snapshot.services, now: snapshot.at, problem: problem))
            }
        } while screen.pause(milliseconds: Self.interval)
    }

    private struct Snapshot {
        var services: [ServiceStatus]
        var events: [EventRecord]
        var at: Timestamp
    }

    private func take(_ client: AdminClient, _ name: String?) throws -> Snapshot {
        guard let name else { return Snapshot(services: try client.services(), events: [], at: Self.now) }
        return Snapshot(services: [try client.service(name)], events: try client.events(name, limit: 30), at: Self.now)
    }

    private static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// Prints a line for a service whenever its `WatchLine` changes, until an error ends it.
    private func plainLines(_ client: AdminClient, _ name: String?, _ console: Console) throws {
        var printed: [String: String] = [:]
        while true {
            for status in try name.map({ [try client.service($0)] }) ?? client.services() {
                let line = WatchLine.text(status)
                guard printed[status.service] != line else { continue }
                printed[status.service] = line
                console.line("\(Self.now.short) UTC  \(line)")
            }
            usleep(UInt32(Self.interval) * 1000)
        }
    }
}

/// Formats a service as one line that changes only with its phase, weight and verdicts, not with every request.
enum WatchLine {
    static func text(_ status: ServiceStatus) -> String {
        guard let rollout = status.rollout else {
            return "\(status.service): \(plain(status.serving)) serves all"
                + (status.refused.map { "; \(plain($0.version)) was reverted: \(plain($0.reason))" } ?? "")
        }
        let checks = (status.evaluation?.checks ?? []).map { "\(plain($0.check)) \($0.verdict.words)" }
        return
            "\(status.service): \(Words.phase(status)), \(status.candidateWeight.words) to \(plain(rollout.candidate))"
            + (checks.isEmpty ? "" : "; \(checks.joined(separator: ", "))")
    }
}

extension WatchScreen {
    /// The lines of the screen that shows all services.
    func overview(_ services: [ServiceStatus], now: Timestamp, problem: String?) -> [String] {
        var lines = [Line("canaryd  \(now.clockTime) UTC", .bold).rendered(width: width, colored: isColored), ""]
        if let problem { lines += [Line(problem, .red).rendered(width: width, colored: isColored), ""] }
        lines += ServiceTable.lines(services, colored: isColored)
        return Array(lines.prefix(height))
    }
}
