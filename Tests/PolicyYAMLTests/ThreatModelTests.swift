import Glibc
import Testing

@testable import PolicyYAML

@Suite("Threat model")
struct ThreatModelTests {
    /// The Swift files of every folder in Tests, as one text.
    private func tests() throws -> String {
        let root = "\(Fixtures.root)/Tests"
        return try entries(root).flatMap { folder in
            ((try? entries("\(root)/\(folder)")) ?? []).filter { $0.hasSuffix(".swift") }
                .map { (try? Files.read("\(root)/\(folder)/\($0)")) ?? "" }
        }.joined()
    }

    private func entries(_ path: String) throws -> [String] {
        let folder = try #require(opendir(path))
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names.filter { !$0.hasPrefix(".") }
    }

    @Test("Every test that docs/THREAT_MODEL.md names exists")
    func names() throws {
        let page = try Files.read("\(Fixtures.root)/docs/THREAT_MODEL.md").split(separator: "**").joined(separator: "")
        let named = page.split(separator: "*", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
        #expect(named.count > 40)
        let tests = try tests()
        let missing = named.filter { !tests.contains("\"\($0)\"") }
        #expect(missing == [])
    }
}
