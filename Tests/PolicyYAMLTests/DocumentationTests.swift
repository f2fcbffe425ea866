import Glibc
import PolicyModel
import Testing

@testable import PolicyYAML

/// What docs/CONFIGURATION.md, docs/servers and systemd/canaryd.yaml show has to load as it stands.
@Suite("Documentation", .timeLimit(.minutes(15)))
struct DocumentationTests {
    /// The YAML blocks of a page, by the first key of each.
    private func blocks(_ page: String) throws -> [String: String] {
        var blocks: [String: String] = [:]
        var lines: [Substring]?
        let text = try Files.read("\(Fixtures.root)/\(page)")
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "```yaml" {
                lines = []
            } else if line == "```", let block = lines {
                // A policy test begins as a policy does.
                let isTest = block.contains { $0.hasPrefix("tests:") }
                let key = isTest ? "test" : String(block.first?.prefix { $0 != ":" } ?? "")
                blocks[key] = block.joined(separator: "\n")
                lines = nil
            } else {
                lines?.append(line)
            }
        }
        return blocks
    }

    private func write(_ text: String, to path: String) throws {
        let file = try #require(fopen(path, "w"))
        fputs(text + "\n", file)
        fclose(file)
    }

    @Test("The reference's agent, service, policy and test load together without a diagnostic")
    func reference() throws {
        let blocks = try blocks("docs/CONFIGURATION.md")
        #expect(Set(blocks.keys) == ["state", "service", "policy", "test"])
        var template = Array("/tmp/canaryd-docs-XXXXXX".utf8CString)
        let folder = String(cString: try #require(mkdtemp(&template)))
        let paths = ["state": "canaryd.yaml", "service": "services/income.yaml", "policy": "policies/standard.yaml"]
        for part in ["services", "policies"] { mkdir("\(folder)/\(part)", 0o700) }
        for (key, path) in paths { try write(try #require(blocks[key]), to: "\(folder)/\(path)") }
        let test = "\(folder)/policies/standard.test.yaml"
        try write(try #require(blocks["test"]), to: test)
        defer {
            for path in paths.values { unlink("\(folder)/\(path)") }
            unlink(test)
            for part in ["services", "policies", ""] { rmdir("\(folder)/\(part)") }
        }

        let loaded = ConfigurationLoader.load(agentFile: "\(folder)/canaryd.yaml")
        #expect(loaded.diagnostics.map(\.description) == [])
        #expect(try #require(loaded.configuration).services.map(\.name) == ["income"])
        let checked = ConfigurationLoader.load(policyTestFile: test)
        // In the page the test stands beside the shipped policy, whose checks it names.
        #expect(checked.diagnostics.map(\.description) == [])
        #expect(try #require(checked.value).scenarios.count == 1)
    }

    @Test(
        "The service file of each server's page loads with its policies",
        arguments: ["fastapi", "litserve", "ray-serve", "kserve", "mlserver", "bentoml"])
    func servers(_ page: String) throws {
        let blocks = try blocks("docs/servers/\(page).md")
        var template = Array("/tmp/canaryd-docs-XXXXXX".utf8CString)
        let folder = String(cString: try #require(mkdtemp(&template)))
        var policies = ["\(Fixtures.root)/policies/standard.yaml"]
        if let policy = blocks["policy"] {
            policies.append("\(folder)/server-view.yaml")
            try write(policy, to: policies[1])
        }
        try write(try #require(blocks["service"]), to: "\(folder)/service.yaml")
        let agent = blocks["state"] ?? "state: state/\nservices: service.yaml\npolicies: []"
        try write(
            agent.split(separator: "\n")
                .map { $0.hasPrefix("policies:") ? "policies: [\(policies.joined(separator: ", "))]" : $0 }
                .joined(separator: "\n"), to: "\(folder)/canaryd.yaml")
        defer {
            for name in ["service.yaml", "server-view.yaml", "canaryd.yaml", ""] { remove("\(folder)/\(name)") }
        }
        let loaded = ConfigurationLoader.load(agentFile: "\(folder)/canaryd.yaml")
        #expect(loaded.diagnostics.map(\.description) == [])
        #expect(try #require(loaded.configuration).services[0].versions.allSatisfy { $0.metrics?.preset != nil })
    }

    @Test("The file that an installation begins with says what the defaults are, and names the sockets' groups")
    func installed() throws {
        let (root, report) = Document.read("\(Fixtures.root)/systemd/canaryd.yaml")
        let draft = AgentReader.read(try #require(root), base: "/etc/canaryd", report: report)
        #expect(report.hasErrors == false)
        let expected = AgentSettings(adminGroup: "canaryd-admin", feedbackGroup: "canaryd-feedback")
        #expect(draft.settings == expected)
    }
}
