import PolicyModel
import PolicySimulation
import PolicyYAML
import Testing

/// The policies that are shipped, on the traffic that is shipped with them.
@Suite struct ShippedPolicyTests {
    static let folder = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/policies/"
    static let names = ["standard", "latency-slo", "llm-serving", "sensitive-groups"]

    @Test("every shipped policy decides as its tests expect", arguments: names)
    func expectations(name: String) throws {
        let loaded = ConfigurationLoader.load(policyTestFile: Self.folder + name + ".test.yaml")
        let test = try #require(loaded.value, "\(loaded.diagnostics)")
        let outcomes = PolicyTestRunner.run(test)
        #expect(outcomes.count == test.scenarios.count)
        for outcome in outcomes { #expect(outcome.isMet, "\(outcome.scenario.name): \(outcome.line)") }
    }
}
