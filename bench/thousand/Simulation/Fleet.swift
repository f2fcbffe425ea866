import Glibc
import PolicyModel
import RolloutController
import RolloutStore

func rounded(_ value: Double, _ digits: Int = 2) -> String {
    let scale = pow(10, Double(digits))
    return digits == 0 ? "\(Int(value.rounded()))" : "\((value * scale).rounded() / scale)"
}

/// The controller of one agent with its store, run in simulated time.
final class Fleet {
    /// The number of ticks per second, as in the agent.
    private static let ticksInSecond = 2
    static let header = """
        | simulated | CPU, % of a core | of it scrapes | longest tick, ms of CPU | RSS, MiB | peak | fdatasync/s | written, KiB a service and hour | database, MiB | log, MiB |
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
        """

    private var configuration: Configuration
    private let directory: String
    private let clock = SteppedClock()
    private let plane = Plane()
    private let scrapes: SimulatedScrapes
    private let listener = Listener()
    /// The controller, which owns the store; nil while the agent is down.
    private var controller: RolloutController?
    /// Requests per second of each service.
    private let rates: [Double]
    /// Whether each service gets labels.
    private let isLabeled: [Bool]
    private var second = 0

    init(_ configuration: Configuration, metricsPage: [UInt8], directory: String, busy: Int, busyRate: Double) throws {
        self.configuration = configuration
        self.directory = directory
        let interval = configuration.services.first?.versions.first?.metrics?.interval ?? .seconds(15)
        scrapes = SimulatedScrapes(page: metricsPage, interval: Int(interval.components.seconds))
        rates = configuration.services.indices.map { $0 < busy ? busyRate : 1 }
        isLabeled = configuration.services.map { $0.policies.contains("sensitive-groups") }
    }

    /// Opens the store and starts the controller.
    func start(_ name: String) throws {
        try measured(name) {
            let controller = try makeController()
            try controller.start()
            self.controller = controller
        }
    }

    private func makeController() throws -> RolloutController {
        var random = RandomSource()
        return RolloutController(
            configuration: configuration, store: try SQLiteStore(directory: directory), plane: plane, metrics: scrapes,
            clock: clock,
            marker: NoMarker(), listener: listener,
            resolve: { address in
                guard case .http(let host, let port) = address else { stop("\(address): only http here") }
                return Endpoint(host: host, port: port)
            }, entropy: { random.next() })
    }

    /// Ends all rollouts by a reload of files that name no candidate.
    func endRollouts() throws {
        for i in configuration.services.indices { configuration.services[i].candidate = nil }
        try measured("reload that ends all rollouts") { _ = try controller?.apply(configuration) }
    }

    /// Ends the agent as a kill would: the store is not told.
    func kill() { controller = nil }

    private func measured(_ name: String, _ body: () throws -> Void) rethrows {
        let (before, began, publications) = (Usage.now, wallTime(), plane.publications)
        try body()
        let after = Usage.now
        print(
            "\(name): \(rounded(wallTime() - began)) s, of it CPU \(rounded(after.seconds - before.seconds)) s; "
                + "\(after.syncs - before.syncs) waits for the disk, \(plane.publications - publications) publications")
    }

    /// Runs the agent for simulated minutes and returns a row of the table. The CPU time of generating requests is
    /// subtracted.
    func run(_ name: String, minutes: Int) -> String {
        Usage.resetPeak()
        let before = Usage.now
        var (generating, scraping, longest) = (0.0, 0.0, 0.0)
        let seconds = minutes * 60
        for _ in 0..<seconds {
            for tick in 0..<Self.ticksInSecond {
                clock.advance(by: 1_000_000_000 / Int64(Self.ticksInSecond))
                let now = clock.now.monotonic
                var mark = Usage.processorTime
                plane.generate(rates, isLabeled: isLabeled, span: 1 / Double(Self.ticksInSecond), now: now)
                generating += Usage.processorTime - mark
                if tick == 0 {
                    mark = Usage.processorTime
                    scrapes.scrape(second: second, at: now)
                    scraping += Usage.processorTime - mark
                }
                mark = Usage.processorTime
                for (service, rows) in plane.labels { _ = controller?.feedback(rows, service: service) }
                controller?.tick()
                longest = max(longest, Usage.processorTime - mark)
            }
            second += 1
        }
        let after = Usage.now
        let span = Double(seconds)
        let services = Double(configuration.services.count)
        let cells = [
            "\(minutes) min, \(name)",
            rounded((after.seconds - before.seconds - generating) / span * 100), rounded(scraping / span * 100),
            rounded(longest * 1000, 0), rounded(Usage.resident, 0), rounded(Usage.peak, 0),
            rounded(Double(after.syncs - before.syncs) / span),
            rounded(Double(after.written - before.written) / 1024 / services / span * 3600, 0),
            rounded(Double(sizeOfFile(directory + "/canaryd.sqlite")) / 1_048_576, 1),
            rounded(Double(sizeOfFile(directory + "/canaryd.sqlite-wal")) / 1_048_576, 1),
        ]
        return "| " + cells.joined(separator: " | ") + " |"
    }

    func report() {
        print("events:", listener.kinds.map { "\($0.value) \($0.key.rawValue)" }.sorted().joined(separator: ", "))
        if scrapes.failures > 0 { print("scrapes that failed: \(scrapes.failures)") }
    }
}
