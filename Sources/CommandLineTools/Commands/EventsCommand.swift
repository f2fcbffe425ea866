import AdminClient
import AdminTypes
import ArgumentParser
import Glibc

struct EventsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "List the events of a service, the newest last.")

    @OptionGroup var service: ServiceArgument
    @Flag(name: [.short, .long], help: "Keep printing new events until Ctrl-C.") var follow = false
    @OptionGroup var list: ListOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let console = Console.current
        let client = connection.client
        let service = try service.choose(client)
        let events = try client.events(service, limit: list.limit)
        guard follow else {
            return try console.show(EventList(events: events), as: output.output) {
                events.isEmpty
                    ? ["nothing happened to \(service) yet"]
                    : events.map { EventText.line($0, colored: console.isColored) }
            }
        }
        for event in events { try show(event, console) }
        var last = events.last?.id ?? 0
        var failure: (any Error)?
        while failure == nil {
            try client.follow(service, after: last) { event in
                last = event.id ?? last
                do { try show(event, console) } catch { failure = error }
                return failure == nil
            }
            // The agent ended the stream, because it restarts or because this client read too slowly. If it stays away,
            // the next attempt throws.
            if failure == nil { sleep(1) }
        }
        if let failure { throw failure }
    }

    private func show(_ event: EventRecord, _ console: Console) throws {
        try console.showItem(event, as: output.output) { EventText.line(event, colored: console.isColored) }
    }
}
