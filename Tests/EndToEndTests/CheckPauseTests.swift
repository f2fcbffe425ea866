import AdminTypes
import Testing
import Vocabulary

@Suite("A check that pauses", .timeLimit(.minutes(15)))
struct CheckPauseTests {
    private func scene() throws -> Scene {
        let scene = try Scene {
            $0.judge = "sequential"
            $0.policies = ["pausing"]
            $0.strategy = "{steps: [{weight: 20%, hold: 1s}, {weight: 50%, hold: 10m}]}"
        }
        scene.policy(
            "pausing",
            """
            policy: pausing
            checks:
              - name: error-rate
                errors: {max: 10%}
                action: pause

            """)
        return scene
    }

    private func evidence(_ status: ServiceStatus) -> Double? {
        status.evaluation?.checks.first?.evidence?.logEvidence.value
    }

    @Test("the rollout stays paused at its weight over a restart, and is explained, replayed, resumed and promoted")
    func paused() async throws {
        let scene = try scene()
        scene.new.behave { $0.status = 500 }
        try await scene.start()
        let load = Load(port: scene.service.port, rate: 60)
        try await scene.wait("the check has paused the rollout") { $0.rollout?.pause?.cause == .check }
        let status = try await scene.ctl("status", "web")
        #expect(status.output.contains("step 1 of 2, paused, 20% to new"), "\(status)")
        #expect(status.output.contains("resume, promote or revert (paused by policy: check fails: pausing/error-rate"))
        let doctor = try await scene.ctl("doctor")
        #expect(doctor.output.contains("web-1 is paused: check fails: pausing/error-rate"), "\(doctor)")
        let explained = try await scene.ctl("explain", "web")
        #expect(explained.output.contains(": paused of web"), "\(explained)")
        #expect(explained.output.contains("✗ pausing/error-rate: fail (pauses)"), "\(explained)")
        let replay = try await scene.ctl("explain", "web", "--replay")
        #expect(replay.status == 0 && replay.output.contains("is the same, bit for bit."), "\(replay)")
        let advance = try await scene.ctl("advance", "web")
        #expect(advance.status == 1 && advance.errors.contains("canaryctl resume lets the rollout go on"), "\(advance)")

        try await scene.end()
        try await scene.start()
        let after = try scene.status()
        #expect(after.rollout?.pause?.cause == .check && after.candidateWeight.basisPoints == 2000)
        #expect(scene.count("check fails (action: pause): pausing/error-rate") == 1)

        scene.new.behave { $0.status = 200 }
        var last = Double.infinity
        try await scene.wait("the evidence falls after the failures") { status in
            guard let now = evidence(status) else { return false }
            defer { last = now }
            return now < last && last.isFinite
        }
        #expect(try scene.status().candidateWeight.basisPoints == 2000)
        let resumed = try await scene.ctl("resume", "web", "--reason", "known")
        #expect(resumed.status == 0 && resumed.output.contains("goes on at 20%"), "\(resumed)")
        try await scene.wait("the rollout continues") { $0.rollout?.step == 2 && $0.rollout?.pause == nil }
        let promoted = try await scene.ctl("promote", "web", "--reason", "known")
        #expect(promoted.status == 0, "\(promoted)")
        let outcome = try await scene.outcome()
        #expect(outcome.result == .promoted, "\(outcome)")
        #expect(outcome.reason.contains("; overrides a failing check: pausing/error-rate: "), "\(outcome.reason)")
        _ = try await load.end()
    }
}
