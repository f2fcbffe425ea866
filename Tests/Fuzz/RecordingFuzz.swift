// The decoder of recordings and the judge that replays them. Built by scripts/fuzz with these modules; no SwiftPM
// target.

import Analysis
import PolicyModel

private let policies: [Policy] = [
    Policy(
        name: "p",
        checks: [
            Check(name: "errors", kind: .errors(ErrorsCheck(max: 0.05, maxIncrease: 0.5, floor: 0.01))),
            Check(
                name: "latency",
                kind: .latency(LatencyCheck(quantile: 0.95, max: .milliseconds(500), maxIncrease: 0.3))),
            Check(
                name: "quality",
                kind: .quality(QualityCheck(measure: .score, groups: [GroupSelector(attribute: "sex")], maxDrop: 0.1))),
        ])
]
private let judges = [false, true].map { SequentialJudge(policies, risk: Risk(), isKeyed: $0) }

/// What it accepts is encoded again to the same items, and a judge can take it in and answer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRecording(_ input: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size > 0 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: input + 1, count: size - 1))
    guard let items = try? ItemCoding.decode(bytes), !items.isEmpty else { return 0 }
    // NaN scores are not equal to themselves: what is written is compared.
    let written = ItemCoding.encode(items)
    guard let again = try? ItemCoding.decode(written), ItemCoding.encode(again) == written else {
        fatalError("it reads otherwise when written again")
    }
    var judge = judges[Int(input[0] & 1)]
    for item in items { judge.take(item) }
    let snapshot = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
    for result in judge.evaluate(policies, snapshot, now: 0) {
        guard !result.verdictWords.isEmpty else { fatalError("a verdict without words") }
        for m in result.measurements where m.verdict == .pass || m.verdict == .fail {
            guard m.value?.isNaN != true, !m.bound.isNaN else { fatalError("\(m.verdict) of \(m)") }
        }
    }
    return 0
}
