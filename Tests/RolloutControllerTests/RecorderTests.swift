import Analysis
import PolicyModel
import Testing

@testable import RolloutController

@Suite(.timeLimit(.minutes(15))) struct RecorderTests {
    private func second(_ second: Int64, requests: Int) -> [JudgedItem] {
        var tick = LatencyTick(second: second, step: 1, share: Weight(clamping: 1000))
        tick.entries = Array(repeating: LatencyEntry(.baseline, shard: 0, total: 900), count: requests)
        return [.latencies(tick)]
    }

    @Test(
        "what cannot be written is kept up to a limit; beyond it a gap is left, and the newest goes on",
        arguments: [1, 500])
    func limit(requests: Int) {
        var recorder = Recorder()
        var kept = 0
        while recorder.parts.last?.hasGap != true {
            kept += 1
            recorder.append(second(Int64(kept), requests: requests), first: nil)
        }
        // Between the bytes of the entries alone and the four times that they take at most with all that goes with
        // them.
        let bytes = Recorder.maximumBytes / kept
        #expect(bytes >= 4 * requests && bytes <= 16 * requests + 1000)
        #expect(recorder.parts.count == 1 && recorder.unwritten.isEmpty)
        recorder.append(second(Int64(kept + 1), requests: 1), first: nil)
        #expect(recorder.unwritten.count == 1 && recorder.unwritten[0].hasGap && recorder.unwritten[0].items.count == 1)
        recorder.written()
        recorder.append(second(Int64(kept + 2), requests: 1), first: nil)
        #expect(!recorder.unwritten[0].hasGap)
    }
}
