import PolicyModel
import RolloutEngine
import Testing
import Vocabulary

@testable import RolloutController

@Suite(.timeLimit(.minutes(10))) struct WriteLedgerTests {
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
}
