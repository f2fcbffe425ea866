import Foundation
import PolicyModel
import Testing

@testable import PolicyYAML

@Suite("Arguments of policies", .timeLimit(.minutes(15)))
struct ArgumentTests {
    private static let policy = """
        policy: slo
        arguments:
          p95: {default: 200ms}
          floor: {default: 0.2%}
        checks:
          - name: latency
            latency: {quantile: p95, max: "${p95}"}
          - name: errors
            errors:
              max: 2%
              maxIncrease: 50%
              floor: ${floor}
        """

    private static func service(_ name: String, _ policies: String) -> String {
        """
        service: \(name)
        listen: 127.0.0.1:0
        versions:
          a: {servers: http://127.0.0.1:9001}
        baseline: a
        policies: \(policies)
        """
    }

    /// Writes the files of an agent and passes the path of its own file to `body`.
    private func withFiles(_ services: [String: String], _ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "arguments-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in ["services", "policies"] {
            try FileManager.default.createDirectory(at: folder.appending(path: name), withIntermediateDirectories: true)
        }
        func write(_ text: String, _ path: String) throws {
            try Data(text.utf8).write(to: folder.appending(path: path))
        }
        try write("state: state\n", "canaryd.yaml")
        try write(Self.policy, "policies/slo.yaml")
        for (name, policies) in services { try write(Self.service(name, policies), "services/\(name).yaml") }
        try body(folder.path)
    }

    @Test("each service has the policy with its own values, and with the defaults of the others")
    func values() throws {
        try withFiles(["plain": "[slo]", "slow": "[{use: slo, with: {p95: 350ms}}]", "used": "[{use: slo}]"]) {
            folder in
            let configuration = try #require(
                ConfigurationLoader.load(agentFile: folder + "/canaryd.yaml").configuration)
            func policy(_ service: String) throws -> Policy {
                let service = try #require(configuration.services.first { $0.name == service })
                return try #require(configuration.policies(of: service).first)
            }
            func ceiling(_ policy: Policy) -> Duration? {
                if case .latency(let check) = policy.checks[0].kind { check.max } else { nil }
            }
            #expect(try ceiling(policy("plain")) == .milliseconds(200))
            #expect(try ceiling(policy("used")) == .milliseconds(200))
            let slow = try policy("slow")
            #expect(ceiling(slow) == .milliseconds(350))
            #expect(
                slow.arguments == [
                    PolicyArgument(name: "p95", value: "350ms", isDefault: false),
                    PolicyArgument(name: "floor", value: "0.2%", isDefault: true),
                ])
            #expect(try slow.checks[1] == policy("plain").checks[1])
            let linted = ConfigurationLoader.lint(files: [folder + "/services", folder + "/policies"])
            let service = try #require(linted.value?.services.first { $0.name == "slow" })
            #expect(linted.value?.policies(of: service) == [slow])
        }
    }

    @Test("a stored policy without arguments is read, and one with them is as it was")
    func stored() throws {
        let old = #"{"name":"p","description":"","onNoData":{"hold":{}},"checks":[]}"#
        #expect(try JSONDecoder().decode(Policy.self, from: Data(old.utf8)) == Policy(name: "p", checks: []))
        let policy = Policy(
            name: "p", arguments: [PolicyArgument(name: "p95", value: "350ms", isDefault: false)], checks: [])
        #expect(try JSONDecoder().decode(Policy.self, from: JSONEncoder().encode(policy)) == policy)
    }
}
