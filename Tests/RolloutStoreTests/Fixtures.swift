import Analysis
import Glibc
import PolicyModel
import RolloutController
import RolloutEngine

@testable import RolloutStore

/// A directory that goes when the test ends.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/canaryd-store-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template))
    }

    deinit { Self.remove(path) }

    func names() -> [String] { Self.names(path) }
    /// Of `canaryd.sqlite` where nothing else is named.
    func file(_ name: String = "canaryd.sqlite") -> String { "\(path)/\(name)" }

    static func names(_ path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private static func remove(_ path: String) {
        for name in names(path) {
            let child = "\(path)/\(name)"
            if unlink(child) != 0 { remove(child) }
        }
        rmdir(path)
    }
}

func bytes(of path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let n = fread(&buffer, 1, buffer.count, file), n > 0 { all += buffer[..<n] }
    return all
}

func write(_ bytes: [UInt8], to path: String) {
    guard let file = fopen(path, "w") else { return }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
}

/// States as the machine makes them.
struct Scene {
    static let old = VersionIdentity(name: "fp32", revision: "1")
    static let new = VersionIdentity(name: "int8")
    let declaration: Declaration
    var state: ServiceState
    var wall: Int64 = 1_790_000_000_000
    private(set) var events: [Event] = []

    init(_ service: String = "income") {
        let check = Check(name: "error-rate", kind: .errors(ErrorsCheck(max: 0.01)))
        declaration = Declaration(
            service: service, baseline: Self.old, candidate: Self.new, versions: [Self.old, Self.new],
            plan: RolloutPlan(
                strategy: Strategy(bake: nil), policies: [Policy(name: "standard", checks: [check])],
                analysis: AnalysisRules()))
        state = ServiceState(service: service, serving: Self.old, seed: .max - 7)
    }

    /// Feeds the machine and hands back what is to be committed.
    mutating func feed(_ inputs: Input..., evidence: Evidence? = nil) -> StateChange {
        events = []
        for input in inputs {
            wall += 1_000
            let next = RolloutStateMachine.handle(
                input, state: state, declaration: declaration, now: Moment(monotonic: 0, wall: wall))
            state = next.state
            events += next.events
        }
        return StateChange(state: state, evidence: evidence, events: events, at: wall)
    }

    mutating func start() -> StateChange { feed(.declared(), .command(Command(.start, by: "ann"))) }

    /// What a judge gathered after so many requests to the candidate.
    func evidence(requests: UInt64) -> Evidence {
        var counts = OutcomeCounts()
        counts.add(.success, requests)
        var quality = QualityTable()
        quality.add(
            Feedback(requestHash: 1, label: 1, prediction: 1, groups: ["sex": "Female"]), arm: .candidate,
            attributes: ["sex"], scores: nil)
        return Evidence(
            rollout: state.rollout?.id ?? "", serving: state.serving, judge: .threshold(ThresholdJudge()),
            quality: quality,
            sinceStart: [OutcomeCounts(), counts], sinceStep: [OutcomeCounts(), counts])
    }

    /// A look with every kind of number in it.
    static func evaluation(requests: UInt64 = 412) -> Evaluation {
        let measurement = Measurement(
            subject: "ceiling", unit: .seconds, candidate: .infinity, baseline: 0.1 + 0.2, candidateSamples: .max,
            baselineSamples: 1, bound: 0.2, value: nil, verdict: .fail, notes: [.other("ü \"quoted\"\n")])
        let result = CheckResult(
            policy: "standard", check: "p95", action: .revert, verdict: .fail, measured: .fail,
            measurements: [measurement])
        return Evaluation(results: [result], candidate: ArmCondition(requests: requests))
    }
}
