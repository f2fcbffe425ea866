import PolicyModel
import RolloutEngine
import Testing
import Vocabulary

@testable import RolloutController

@Suite(.timeLimit(.minutes(15))) struct WriteLedgerTests {
    private static let second: Int64 = 1_000_000_000
    private static let start: Int64 = 1_000_000 * second
    private static let ledger = WriteLedger(service: "income", hasMarker: false, now: start)

    private func event(_ kind: EventKind, _ number: Int = 0) -> Event { Event(kind, message: "\(number)") }

    /// The seconds after the start, of the next 20, in which a predicate holds.
    private func seconds(_ isDue: (Int64) -> Bool) -> [Int64] {
        (0..<20).filter { isDue(Self.start + $0 * Self.second) }
    }

    @Test("a change is due at the service's turn, at most one interval later; without a change nothing is")
    func turn() throws {
        var ledger = Self.ledger
        #expect(seconds { ledger.isStateDue(now: $0) } == [])
        ledger.recordChange()
        let first = try #require(seconds { ledger.isStateDue(now: $0) }.first)
        #expect(first >= 1 && first <= 5)
        _ = ledger.recordCommit(withJudge: false, now: Self.start + first * Self.second)
        #expect(seconds { ledger.isStateDue(now: $0) } == [])
        ledger.recordChange()
        #expect(seconds { ledger.isStateDue(now: $0) }.first == first + 5)
    }

    @Test("the turns of many services are spread over the interval") func spread() {
        let turns = Set(
            (0..<200).compactMap { number -> Int64? in
                var ledger = WriteLedger(service: "service-\(number)", hasMarker: false, now: Self.start)
                ledger.recordChange()
                return seconds { ledger.isStateDue(now: $0) }.first
            })
        #expect(turns == [1, 2, 3, 4, 5])
    }

    @Test("a required write does not wait for its turn, and takes the judge with it") func required() {
        var ledger = Self.ledger
        _ = ledger.recordCommit(withJudge: true, now: Self.start)
        #expect(!ledger.isJudgeDue(inRollout: true, now: Self.start))
        ledger.requireWrite()
        #expect(!ledger.isStateDue(now: Self.start) && ledger.isJudgeDue(inRollout: true, now: Self.start))
        ledger.recordChange()
        #expect(ledger.isStateDue(now: Self.start))
    }

    @Test("deferred events are due in every tick until a commit, and take the judge with them") func deferred() {
        var ledger = Self.ledger
        _ = ledger.recordCommit(withJudge: true, now: Self.start)
        ledger.deferWrite(of: [event(.reverted)])
        #expect(!ledger.isDurable && !ledger.survivesCrash)
        #expect(ledger.isStateDue(now: Self.start) && ledger.isJudgeDue(inRollout: false, now: Self.start))
        ledger.postponeWrite(now: Self.start)
        #expect(ledger.isStateDue(now: Self.start))
        _ = ledger.recordCommit(withJudge: true, now: Self.start)
        #expect(ledger.isDurable && !ledger.isStateDue(now: Self.start))
    }

    @Test("too many deferred events drop the oldest that decided nothing first") func limit() {
        var ledger = Self.ledger
        ledger.deferWrite(of: [event(.reverted), event(.alarm)])
        ledger.deferWrite(of: (0..<WriteLedger.maximumDeferred - 1).map { event(.alarm, $0 + 1) })
        #expect(ledger.deferredEvents.count == WriteLedger.maximumDeferred)
        #expect(ledger.deferredEvents.map(\.kind).prefix(2) == [.reverted, .alarm])
        #expect(ledger.deferredEvents[1].message == "1")
    }

    @Test("a commit makes a marker obsolete, once") func marker() {
        var ledger = Self.ledger
        ledger.deferWrite(of: [event(.reverted)])
        ledger.recordMarker(isKept: true)
        #expect(ledger.survivesCrash && !ledger.isDurable)
        let first = ledger.recordCommit(withJudge: true, now: Self.start)
        let second = ledger.recordCommit(withJudge: true, now: Self.start)
        #expect(first && !second)
    }

    @Test("a failure is news until it repeats, and after a commit again") func failures() {
        var ledger = Self.ledger
        let reasons = ["disk full", "disk full", "read-only"].map { ledger.recordFailure($0) }
        #expect(reasons == [true, false, true] && ledger.failure == "read-only")
        _ = ledger.recordCommit(withJudge: false, now: Self.start)
        #expect(ledger.failure == nil)
        let again = ledger.recordFailure("read-only")
        #expect(again)
    }

    /// The seconds after the start, of the next 2,000, at which the judge becomes due; each is written at once.
    private func judgeWrites(inRollout: Bool) -> [Int64] {
        var ledger = Self.ledger
        _ = ledger.recordCommit(withJudge: true, now: Self.start)
        return (0..<2_000).filter { second in
            let now = Self.start + second * Self.second
            guard ledger.isJudgeDue(inRollout: inRollout, now: now) else { return false }
            _ = ledger.recordCommit(withJudge: true, now: now)
            return true
        }
    }

    @Test("the judge is due every two minutes in a rollout and each ten minutes between rollouts") func judge() {
        for (inRollout, interval) in [(true, Int64(120)), (false, 600)] {
            let writes = judgeWrites(inRollout: inRollout)
            #expect(writes.first.map { $0 >= 1 && $0 <= interval } == true)
            #expect(zip(writes, writes.dropFirst()).allSatisfy { $1 - $0 == interval })
            #expect(Int64(writes.count) >= 1_999 / interval)
        }
    }

    @Test("a commit without the judge leaves the judge due") func withoutJudge() {
        var ledger = Self.ledger
        #expect(ledger.isJudgeDue(inRollout: true, now: Self.start))
        _ = ledger.recordCommit(withJudge: false, now: Self.start)
        #expect(ledger.isJudgeDue(inRollout: true, now: Self.start))
    }

    @Test("a periodic write that failed waits for the next turn") func postponed() throws {
        var ledger = Self.ledger
        ledger.recordChange()
        let first = try #require(seconds { ledger.isStateDue(now: $0) }.first)
        ledger.postponeWrite(now: Self.start + first * Self.second)
        #expect(seconds { ledger.isStateDue(now: $0) }.first == first + 5)
    }

    @Test("if all deferred events are decisions, the oldest is dropped") func decisions() {
        var ledger = Self.ledger
        ledger.deferWrite(of: (0...WriteLedger.maximumDeferred).map { event(.reverted, $0) })
        #expect(ledger.deferredEvents.count == WriteLedger.maximumDeferred)
        #expect(ledger.deferredEvents.first?.message == "1")
    }

    @Test("a marker from before the start counts, and one that could not be kept does not") func keptMarker() {
        var ledger = WriteLedger(service: "income", hasMarker: true, now: Self.start)
        #expect(ledger.hasMarker)
        ledger.deferWrite(of: [event(.reverted)])
        #expect(ledger.survivesCrash)
        ledger.recordMarker(isKept: false)
        #expect(!ledger.survivesCrash && !ledger.hasMarker)
        let isObsolete = ledger.recordCommit(withJudge: true, now: Self.start)
        #expect(!isObsolete && ledger.survivesCrash)
    }

    @Test("a failure is news as well when the state loses its marker or gets one") func unmarked() {
        var ledger = Self.ledger
        func fails() -> Bool { ledger.recordFailure("disk full") }
        // The disk may be full long before there is something to lose.
        var (first, second) = (fails(), fails())
        #expect(first && !second && !ledger.isUnmarked)
        ledger.deferWrite(of: [event(.reverted)])
        (first, second) = (fails(), fails())
        #expect(first && !second && ledger.isUnmarked)
        ledger.recordMarker(isKept: true)
        (first, second) = (fails(), fails())
        #expect(first && !second && !ledger.isUnmarked)
        ledger.recordMarker(isKept: false)
        first = fails()
        #expect(first && ledger.isUnmarked)
        _ = ledger.recordCommit(withJudge: true, now: Self.start)
        #expect(!ledger.isUnmarked)
    }
}
