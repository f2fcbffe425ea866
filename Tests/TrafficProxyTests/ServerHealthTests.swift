import PolicyModel
import Testing

@testable import TrafficProxy

/// Sequences of events, each with the state of the server after it.
@Suite("A server's health", .timeLimit(.minutes(15)))
struct ServerHealthTests {
    enum Event {
        case resolved, refused, hung, connected, heard
        case answered(ServerHealth.RequestResult, times: Int)
        case probes(well: Bool)
        case nothing
    }

    struct Story: CustomTestStringConvertible, Sendable {
        let name: String
        /// The time of each event in seconds, the event, and the state of the server after it.
        let lines: [(Double, Event, ServerHealth.State)]
        var rules = OutlierDetection()
        var testDescription: String { name }
    }

    static let stories: [Story] = [
        Story(
            name: "without an address nothing else counts",
            lines: [
                (0, .nothing, .unresolved), (1, .refused, .unresolved), (1, .probes(well: false), .unresolved),
                (9, .resolved, .unhealthy),
            ]),
        Story(
            name: "connections that fail back off for 100 ms, then twice that, up to 2 s, and one that stands ends it",
            lines: [
                (0, .resolved, .up), (0, .refused, .refusing), (0.099, .nothing, .refusing), (0.1, .nothing, .up),
                (0.1, .refused, .refusing), (0.299, .nothing, .refusing), (0.3, .nothing, .up),
                (1, .refused, .refusing), (2, .refused, .refusing), (3, .refused, .refusing), (5, .refused, .refusing),
                (6.999, .nothing, .refusing), (7, .nothing, .up), (8, .hung, .hanging), (9.999, .nothing, .hanging),
                (9, .connected, .up), (9.1, .refused, .refusing), (9.2, .nothing, .up),
            ]),
        Story(
            name: "a server that answered a moment ago has a full backlog, and is not gone",
            lines: [
                (0, .resolved, .up), (1, .heard, .up), (2.9, .hung, .up), (2.95, .refused, .refusing),
                (3.5, .hung, .hanging),
            ]),
        Story(
            name: "the fifth 5xx in a row is one too many, for 30 s",
            lines: [
                (0, .resolved, .up), (1, .answered(.serverError, times: 4), .up), (2, .answered(.good, times: 1), .up),
                (3, .answered(.serverError, times: 4), .up), (4, .answered(.serverError, times: 1), .ejected),
                (33.999, .nothing, .ejected), (34, .nothing, .up), (35, .answered(.serverError, times: 4), .up),
            ]),
        Story(
            name: "the same server once more is out for as much longer, up to the longest, and is forgiven in time",
            lines: [
                (0, .resolved, .up), (0, .answered(.serverError, times: 5), .ejected), (30, .nothing, .up),
                (31, .answered(.serverError, times: 5), .ejected), (90.999, .nothing, .ejected), (91, .nothing, .up),
                (91, .answered(.serverError, times: 5), .ejected), (160.999, .nothing, .ejected),
                (161, .nothing, .up),
                // 25 s of peace take two off.
                (186, .answered(.serverError, times: 5), .ejected), (245.999, .nothing, .ejected), (246, .nothing, .up),
                (10_000, .answered(.serverError, times: 5), .ejected), (10_030, .nothing, .up),
            ], rules: OutlierDetection(maxEjectionTime: .seconds(70))),
        Story(
            name: "gateway failures have a count of their own, which another 5xx ends",
            lines: [
                (0, .resolved, .up), (1, .answered(.gatewayFailure, times: 2), .up),
                (1, .answered(.serverError, times: 1), .up), (1, .answered(.gatewayFailure, times: 2), .up),
                (1, .answered(.gatewayFailure, times: 1), .ejected),
            ], rules: OutlierDetection(consecutive5xx: 0, consecutiveGatewayFailure: 3)),
        Story(
            name: "what still comes back while it is out does not keep it out",
            lines: [
                (0, .resolved, .up), (0, .answered(.serverError, times: 5), .ejected),
                (29, .answered(.serverError, times: 4), .ejected), (30, .nothing, .up),
            ]),
        Story(
            name: "connections that fail are no answers, and the other way round",
            lines: [
                (0, .resolved, .up), (0, .answered(.serverError, times: 4), .up), (1, .refused, .refusing),
                (2, .answered(.good, times: 1), .up), (2, .answered(.serverError, times: 5), .ejected),
                (3, .connected, .ejected),
            ]),
        Story(
            name: "probes put it out and back in whatever else is, and what is worse shows",
            lines: [
                (0, .resolved, .up), (1, .probes(well: false), .unhealthy),
                (1, .answered(.serverError, times: 5), .unhealthy), (2, .refused, .refusing), (3, .nothing, .unhealthy),
                (4, .probes(well: true), .ejected), (31, .nothing, .up),
            ]),
        Story(
            name: "without rules nothing is ejected",
            lines: [(0, .resolved, .up), (0, .answered(.gatewayFailure, times: 70_000), .up)],
            rules: OutlierDetection(consecutive5xx: 0, consecutiveGatewayFailure: 0)),
    ]

    @Test("stands as its story says", arguments: stories)
    func tell(_ story: Story) {
        var health = ServerHealth()
        let rules = OutlierRules(story.rules)
        for (line, (seconds, event, expected)) in story.lines.enumerated() {
            let now = Int64(seconds * 1e9)
            switch event {
            case .resolved: health.isResolved = true
            case .refused: health.connectFailed(now, hangs: false, jitter: 0)
            case .hung: health.connectFailed(now, hangs: true, jitter: 0)
            case .connected: health.connected()
            case .heard: health.lastHeard = now
            case .answered(let answer, let times):
                for _ in 0..<times where health.record(answer, rules, now) { health.eject(rules, now) }
            case .probes(let well): health.isUnhealthy = !well
            case .nothing: break
            }
            #expect(health.state(now) == expected, "line \(line): \(event) at \(seconds) s")
        }
    }

    @Test("at most a quarter of a back-off is left to chance")
    func jitter() {
        for jitter in [0, 1, 24_999_999, 25_000_000, UInt64.max] {
            var health = ServerHealth()
            health.connectFailed(0, hangs: false, jitter: jitter)
            #expect(health.downUntil <= ServerHealth.firstBackoff)
            #expect(health.downUntil > ServerHealth.firstBackoff / 4 * 3)
        }
    }

    @Test("a failed connection is reported until one stands, or until it is long past")
    func reported() {
        var health = ServerHealth()
        health.isResolved = true
        health.connectFailed(0, hangs: false, jitter: 0)
        #expect(health.state(1_000_000_000) == .up)
        #expect(health.reported(1_000_000_000) == .refusing)
        #expect(health.reported(20_000_000_000) == .up)
        health.connected()
        #expect(health.reported(1_000_000_000) == .up)
    }

    @Test(
        "one may always go, and more only up to the share",
        arguments: [
            (0, 1, 0, true), (0, 5, 10, true), (1, 5, 10, false), (1, 4, 50, true), (2, 4, 50, false),
            (1, 3, 50, false), (1, 3, 67, true), (1, 2, 100, true), (9, 10, 100, true),
        ])
    func share(out: Int, of count: Int, percent: Int, expected: Bool) {
        #expect(OutlierRules(OutlierDetection(maxEjectionPercent: percent)).spares(out, of: count) == expected)
    }

    @Test(
        "probes turn a verdict when enough in a row say so, and the first decides by itself",
        arguments: [
            ("-", "-"), ("+", "+"), ("+--", "+++"), ("+---", "+++-"), ("+--+--+---", "+++++++++-"), ("-+", "--"),
            ("-++", "--+"), ("-+-++", "----+"), ("---++---", "----+++-"),
        ])
    func probes(_ ends: String, _ verdicts: String) {
        var count = ProbeCount()
        var last = true
        for (end, verdict) in zip(ends, verdicts) {
            let hasTurned = count.ended(isGood: end == "+", HealthCheck())
            #expect(count.isHealthy == (verdict == "+"))
            #expect(hasTurned == (last != (verdict == "+")))
            last = verdict == "+"
        }
    }
}
