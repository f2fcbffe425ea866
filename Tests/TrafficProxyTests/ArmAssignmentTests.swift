import Analysis
import HTTPEngine
import PolicyModel
import Statistics
import Testing

@testable import TrafficProxy

@Suite(.timeLimit(.minutes(15))) struct ArmAssignmentTests {
    private func assign(_ plan: PlanFixture, _ head: String, isTrusted: Bool = true) -> ArmAssignment {
        var random = SplitMix64(seed: .random(in: 0 ... .max))
        return withMessage(head) { plan.service.pointee.assign($0, isTrusted: isTrusted, &random) }
    }

    private func withMessage<Value>(_ head: String, _ body: (RequestMessage) -> Value) -> Value {
        let parser = HeadParser()
        let bytes = Array((head + "\r\n\r\n").utf8)
        return bytes.withUnsafeBufferPointer { buffer in
            var parsed = RequestHead()
            let base = buffer.baseAddress!
            #expect(parser.parse(request: base, buffer.count, into: &parsed) == nil)
            return body(
                RequestMessage(
                    head: parsed,
                    fields: FieldList(first: UnsafePointer(parser.fields), count: parsed.fields.count, base: base)))
        }
    }

    private let get = "GET /a HTTP/1.1\r\nHost: h"

    @Test("a key decides, the same each time; two keys meet the same arm only by chance")
    func sticky() {
        let plan = PlanFixture(traffic: TrafficRules(sticky: .cookie("user")))
        var arms: Set<Arm> = []
        for user in 0..<40 {
            let head = get + "\r\nCookie: a=b; user=\(user)"
            let first = assign(plan, head)
            let second = assign(plan, head)
            #expect(first.arm == second.arm && first.key == second.key && first.place == second.place)
            #expect(!first.flags.contains(.keyless))
            arms.insert(first.arm)
        }
        #expect(arms == [.baseline, .candidate])
        #expect(assign(plan, get).flags.contains(.keyless))
    }

    @Test("a rule decides before the split, and its requests are not judged")
    func matched() {
        let rules = TrafficRules(match: [HeaderMatch(header: "X-Team", equals: "blue", to: .candidate)])
        let plan = PlanFixture(candidate: 0, traffic: rules)
        let matched = assign(plan, get + "\r\nx-team: blue")
        #expect(matched.arm == .candidate && matched.flags == [.matched])
        #expect(assign(plan, get + "\r\nx-team: Blue").flags == [.judged])
    }

    @Test("only what is declared is judged")
    func judged() {
        let plan = PlanFixture(judged: JudgedRequests(methods: ["POST"], paths: ["/v1"]))
        let cases = [("POST /v1", true), ("POST /v1?q", true), ("GET /v1", false), ("POST /v1/", false)]
        for (line, isJudged) in cases {
            #expect(assign(plan, "\(line) HTTP/1.1\r\nHost: h").flags.contains(.judged) == isJudged, "\(line)")
        }
    }

    @Test("what may be sent twice is rescued even when it was sent")
    func rescue() {
        let plan = PlanFixture(
            candidate: 10_000, traffic: TrafficRules(rescue: Rescue(methods: ["GET"], paths: ["/safe"])))
        let cases: [(String, RetryPolicy.Rescue)] = [
            ("GET /a", .replayable), ("POST /a", .unsent), ("POST /safe", .replayable),
        ]
        for (line, expected) in cases {
            withMessage("\(line) HTTP/1.1\r\nHost: h") { message in
                var random = SplitMix64(seed: .random(in: 0 ... .max))
                var assignment = plan.service.pointee.assign(message, isTrusted: true, &random)
                #expect(plan.service.pointee.rescue(of: message, assignment) == expected, "\(line)")
                assignment.flags.insert(.matched)
                #expect(plan.service.pointee.rescue(of: message, assignment) == .none)
                assignment.flags.remove(.matched)
                assignment.arm = .baseline
                #expect(plan.service.pointee.rescue(of: message, assignment) == .none)
            }
        }
    }
}
