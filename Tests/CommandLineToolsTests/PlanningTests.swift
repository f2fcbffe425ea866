import AdminTestSupport
import AdminTypes
import Analysis
import Foundation
import PolicyModel
import PolicyYAML
import RolloutController
import Testing

@testable import CommandLineTools

@Suite("Policies on simulated and recorded traffic", .timeLimit(.minutes(15)))
struct PlanningTests {
    private static let policies =
        #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/policies/"
    private let standard = policies + "standard.yaml"

    @Test("simulate says how often a policy reverts and after how many requests, and JSON has the same numbers")
    func simulate() throws {
        let arguments = ["--rps", "40", "--candidate-errors", "50%", "--rollouts", "12", "--baseline-history", "10m"]
        let run = CommandRun(all: ["policy", "simulate", standard] + arguments)
        #expect(run.status == 0 && run.errors == "")
        #expect(run.output.contains("reverted     100% (95 % interval 73.54% to 100%)"), "\(run.output)")
        #expect(run.output.contains("by standard/error-rate "), "\(run.output)")
        let json = CommandRun(all: ["policy", "simulate", standard, "--output", "json"] + arguments)
        #expect(json.output.contains("\"seed\" : 1") || json.output.contains("\"seed\": 1"), "\(json.output)")
        let again = CommandRun(all: ["policy", "simulate", standard] + arguments)
        let isSame = again.output == run.output
        #expect(isSame)
    }

    @Test("lint says how often a sound candidate is promoted at a rate, and warns if that is rare")
    func promotions() {
        let slow = CommandRun(all: ["policy", "lint", standard, "--rps", "1", "--hours", "0.2"])
        #expect(slow.status == 0 && slow.output.contains("1 file fine"), "\(slow.output) \(slow.errors)")
        #expect(slow.output.contains("is promoted in 0% of rollouts within 0.2 h"), "\(slow.output)")
        #expect(slow.output.contains("warning: few are promoted in this time"), "\(slow.output)")
        #expect(slow.output.contains("the simulated steps take 42m before the proof"), "\(slow.output)")
        let refused = CommandRun(all: ["policy", "lint", standard, "--rps", "0"])
        #expect(refused.status == 2 && refused.errors.contains("--rps is a rate"), "\(refused.errors)")
        let idle = CommandRun(all: ["policy", "lint", standard, "--hours", "1"])
        #expect(idle.status == 2 && idle.errors.contains("go with --rps"), "\(idle.errors)")
    }

    @Test("lint of services with --rps refuses a budget that is used up before the agent can react")
    func budgets() throws {
        let file = NSTemporaryDirectory() + "budget-\(UUID().uuidString).yaml"
        defer { try? FileManager.default.removeItem(atPath: file) }
        func lint(budget: Int) throws -> CommandRun {
            try """
            service: s
            listen: 127.0.0.1:8080
            versions: {a: {servers: http://127.0.0.1:9001}, b: {servers: http://127.0.0.1:9002}}
            baseline: a
            candidate: b
            policies: [standard]
            strategy: {steps: [{weight: 10%, hold: 1m}, {weight: 40%, hold: 1m}]}
            analysis: {risk: {harm: {excessFailures: \(budget)}}}
            """.write(toFile: file, atomically: true, encoding: .utf8)
            return CommandRun(all: ["policy", "lint", file, "--rps", "20"])
        }
        let small = try lint(budget: 55)
        #expect(small.status == 1 && small.errors.contains("a harm budget of 55 is too small"), "\(small.errors)")
        #expect(small.errors.contains("has up to 56 in the 7s"), "\(small.errors)")
        let large = try lint(budget: 56)
        #expect(large.status == 0, "\(large.errors)")
        #expect(large.output.contains("no policy is among the files"), "\(large.output)")
    }

    @Test("lint of a folder without a file is an error")
    func nothingToLint() throws {
        let folder = NSTemporaryDirectory() + "lint-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for files in [[folder], [standard, folder]] {
            let run = CommandRun(all: ["policy", "lint"] + files)
            #expect(run.status == 1, "\(files)")
            let all = run.output + run.errors
            #expect(all.contains("\(folder)") && all.contains("no .yaml file in this folder"), "\(all)")
        }
    }

    @Test(
        "simulate refuses invalid values and says how to write them",
        arguments: [
            (["--rps", "40", "--errors", "2"], 2, "has no unit: write 2%"),
            (["--rps", "40", "--latency", "40ms"], 2, "write p50=40ms,p95=90ms"),
            (["--rps", "40", "--latency", "p50=90ms,p95=40ms"], 2, "the P95 is below the P50"),
            (["--rps", "40", "--steps", "50%:10m,10%:10m"], 2, "weights rise"),
            (["--rps", "40", "--steps", PlanningTests.risingSteps(65)], 2, "write 1 to 64 steps"),
            (["--rps", "0"], 2, "--rps is a rate"),
            (["--rps", "40", "--rollouts", "0"], 2, "--rollouts is 1 to"),
        ])
    func refused(arguments: [String], status: Int32, text: String) {
        let run = CommandRun(all: ["policy", "simulate", standard] + arguments)
        #expect(run.status == status && run.errors.contains(text), "\(run)")
    }

    private static func risingSteps(_ count: Int) -> String { (1...count).map { "\($0)%:1m" }.joined(separator: ",") }

    @Test("simulate takes as many steps as a service")
    func steps() throws {
        #expect(StepsValue.most == ConfigurationLimits.steps)
        #expect(try StepsValue(written: Self.risingSteps(StepsValue.most)).steps.count == StepsValue.most)
        #expect(throws: (any Error).self) { try StepsValue(written: Self.risingSteps(StepsValue.most + 1)) }
    }

    @Test("a policy without a check that can be simulated is refused, and so is a missing file")
    func policyFiles() {
        let missing = CommandRun(all: ["policy", "simulate", "/nowhere/p.yaml", "--rps", "40"])
        #expect(missing.status == 1 && missing.errors.contains("/nowhere/p.yaml"), "\(missing)")
        let groups = CommandRun(all: ["policy", "simulate", Self.policies + "sensitive-groups.yaml", "--rps", "40"])
        #expect(groups.status == 1 && groups.errors.contains("can be judged from requests alone"), "\(groups)")
    }

    private func page(_ items: [JudgedItem], head: String? = nil, whole: Bool = true) -> StoredPage {
        var page = StoredPage()
        page.head = head
        page.count = items.count
        page.items = ItemCoding.encode(items)
        page.isWhole = whole
        return page
    }

    /// Ten requests each second over all sub-shards, of which about one in a hundred fails.
    /// - Parameter arm: nil for a recording between rollouts; otherwise the recording of a rollout whose candidate gets
    ///   half of the requests and fails one in five of them.
    private func history(_ seconds: Int64, arm: Arm? = nil) -> [JudgedItem] {
        (0..<seconds).flatMap { second -> [JudgedItem] in
            var errors = ErrorTick(second: second, step: arm == nil ? 0 : 1)
            var latencies = LatencyTick(second: second, step: errors.step, share: .zero)
            for n in 0..<10 {
                let number = Int(second) * 10 + n
                let shard = Int(TrafficSplit.mix(UInt64(number)) & 7)
                let isError = TrafficSplit.mix(UInt64(number) ^ 0xffff) % 100 == 0
                let side: Arm = arm != nil && n % 2 == 0 ? .candidate : .baseline
                errors.add(side, shard: shard, isError || side == .candidate && n == 0 ? 500 : .success)
                let total = isError ? LatencyEntry.slowest : 900 + number % 40
                latencies.entries.append(LatencyEntry(side, shard: shard, total: total))
            }
            return [.errors(errors), .latencies(latencies)]
        }
    }

    @Test("calibrate compares the recorded baseline with itself, and says how precise the result is")
    func calibrate() throws {
        let backend = Example.backend()
        backend.recordings["income"] = ["": [page(history(3000))]]
        let api = try RunningAPI(backend)
        let run = CommandRun(
            all: ["policy", "calibrate", "income", "--rollouts", "8", "--policy", standard], socket: api.adminSocket)
        #expect(run.status == 0 && run.errors == "", "\(run)")
        #expect(run.output.contains("income against itself: 8 pseudo-rollouts of 30m"), "\(run.output)")
        #expect(run.output.contains("30,000 requests"), "\(run.output)")
        #expect(run.output.contains("failed       0%"), "\(run.output)")
        #expect(run.output.contains("overlap"), "\(run.output)")
    }

    @Test("calibrate refuses a history that is too short, and says how much it needs")
    func tooLittle() throws {
        let backend = Example.backend()
        let api = try RunningAPI(backend)
        func run() -> CommandRun {
            CommandRun(all: ["policy", "calibrate", "income", "--policy", standard], socket: api.adminSocket)
        }
        let nothing = run()
        #expect(nothing.status == 1 && nothing.errors.contains("nothing is recorded of income"), "\(nothing)")
        api.sync { $0.recordings["income"] = ["": [page(history(600))]] }
        let short = run()
        #expect(short.status == 1 && short.errors.contains("10m of income between rollouts are recorded"), "\(short)")
        #expect(short.errors.contains("needs 40m"), "\(short)")
    }

    @Test("replay compares what other policies would have decided with the original decision")
    func replay() throws {
        let backend = Example.backend()
        let rollout = "income-1"
        backend.records = [
            RolloutRecord(
                id: rollout, service: "income", baseline: VersionIdentity(name: "fp32-v1"),
                candidate: VersionIdentity(name: "int8-v2"), startedAt: 0, endedAt: 1_200_000, result: .promoted,
                reason: "every required check is proven", decision: nil, candidateRequests: 6000)
        ]
        let judge = Judge.sequential(SequentialJudge([], risk: Risk(), isKeyed: false))
        let head = String(decoding: try JSONCoding.encode(judge), as: UTF8.self)
        backend.recordings["income"] = [rollout: [page(history(1200, arm: .candidate), head: head)]]
        let api = try RunningAPI(backend)
        let run = CommandRun(
            all: ["policy", "replay", "income", standard, "--rollout", rollout], socket: api.adminSocket)
        #expect(run.status == 0 && run.errors == "", "\(run)")
        #expect(run.output.contains("replayed   reverted after"), "\(run.output)")
        #expect(run.output.contains("standard/error-rate") && run.output.contains("decided"), "\(run.output)")

        let unknown = CommandRun(
            all: ["policy", "replay", "income", standard, "--rollout", "income-99"], socket: api.adminSocket)
        #expect(unknown.status == 1 && unknown.errors.contains("no rollout income-99"), "\(unknown)")
        api.sync { $0.recordings["income"]?[rollout] = [page(history(10, arm: .candidate), head: head, whole: false)] }
        let torn = CommandRun(
            all: ["policy", "replay", "income", standard, "--rollout", rollout], socket: api.adminSocket)
        #expect(torn.status == 1 && torn.errors.contains("a part of its recording is gone"), "\(torn)")
    }
}
