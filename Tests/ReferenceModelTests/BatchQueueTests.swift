import Testing

@testable import ReferenceModel

@Suite(.timeLimit(.minutes(15))) struct BatchQueueTests {
    private static func queue(rows: Int = 8, delay: Duration = .milliseconds(2), waiting: Int = 4) -> BatchQueue<String>
    {
        BatchQueue(limits: BatchLimits(rows: rows, delay: delay, waiting: waiting))
    }

    @Test("The first request of a batch waits for the delay and no longer")
    func delay() {
        var queue = Self.queue()
        #expect(queue.decide(now: 0, isDraining: false) == .idle)
        #expect(queue.push("a", rows: 1, now: 1_000) == true)
        #expect(queue.push("b", rows: 1, now: 900_000) == true)
        #expect(queue.decide(now: 1_000_000, isDraining: false) == .wait(until: 2_001_000))
        #expect(queue.decide(now: 2_000_999, isDraining: false) == .wait(until: 2_001_000))
        #expect(queue.decide(now: 2_001_000, isDraining: false) == .run)
        #expect(queue.popBatch() == ["a", "b"])
        #expect(queue.decide(now: 2_001_000, isDraining: false) == .idle)
    }

    @Test("A full batch starts at once, and takes no more than fits")
    func size() {
        var queue = Self.queue()
        for (job, rows) in [("a", 3), ("b", 4), ("c", 2)] { _ = queue.push(job, rows: rows, now: 0) }
        #expect(queue.decide(now: 0, isDraining: false) == .run)
        #expect(queue.popBatch() == ["a", "b"])
        #expect(queue.decide(now: 0, isDraining: false) == .wait(until: 2_000_000))
        #expect(queue.popBatch() == ["c"])
    }

    @Test("A request larger than a batch is a batch of its own")
    func large() {
        var queue = Self.queue()
        _ = queue.push("big", rows: 20, now: 0)
        _ = queue.push("b", rows: 1, now: 0)
        #expect(queue.decide(now: 0, isDraining: false) == .run)
        #expect(queue.popBatch() == ["big"])
        #expect(queue.popBatch() == ["b"])
    }

    @Test("Beyond the limit requests are refused until there is room")
    func full() {
        var queue = Self.queue(waiting: 2)
        #expect(queue.push("a", rows: 1, now: 0) == true)
        #expect(queue.push("b", rows: 1, now: 0) == true)
        #expect(queue.push("c", rows: 1, now: 0) == false)
        #expect(queue.count == 2)
        _ = queue.popBatch()
        #expect(queue.push("c", rows: 1, now: 0) == true)
    }

    @Test("While draining nothing waits; without a delay nothing waits either")
    func closing() {
        var queue = Self.queue()
        _ = queue.push("a", rows: 1, now: 0)
        #expect(queue.decide(now: 0, isDraining: true) == .run)
        var eager = Self.queue(delay: .zero)
        _ = eager.push("a", rows: 1, now: 5)
        #expect(eager.decide(now: 5, isDraining: false) == .run)
    }

    @Test("A batcher delivers every request's own scores, also those of requests that are queued when it closes")
    func batcher() throws {
        let artifact = try #require(AdultFixture.artifacts[.int8])
        let data = AdultFixture.subset
        let rows = (0..<Int32(60)).map { $0 }
        let features = data.features(of: rows, by: artifact.encoding)
        let expected = artifact.scores(features)
        let box = AnswerBox()
        let batcher = Batcher<Int>(artifact: artifact, limits: BatchLimits(rows: 7, delay: .seconds(60))) {
            box.add($0)
        }
        let width = artifact.encoding.width
        for start in stride(from: 0, to: 60, by: 3) {
            let slice = Array(features[start * width..<(start + 3) * width])
            #expect(batcher.submit(.init(features: slice, rows: 3, token: start)) == true)
        }
        batcher.close()
        #expect(batcher.submit(.init(features: features, rows: 60, token: 0)) == false)
        let answers = box.answers
        #expect(answers.map(\.token) == Array(stride(from: 0, to: 60, by: 3)))
        for answer in answers { #expect(answer.scores == Array(expected[answer.token..<answer.token + 3])) }
        #expect(box.batches.allSatisfy { $0 <= 2 })
    }
}

/// Answers as they come from the batcher's thread.
private final class AnswerBox: @unchecked Sendable {
    // Written by the batcher's thread, read after that has ended.
    private(set) var answers: [Batcher<Int>.Output] = []
    private(set) var batches: [Int] = []

    func add(_ new: [Batcher<Int>.Output]) {
        answers += new
        batches.append(new.count)
    }
}
