import Foundation
import GrowthMeasure
import Testing

@testable import PolicyYAML

@Suite("The cost of a file grows with its size", .timeLimit(.minutes(15)))
struct GrowthTests {
    /// Numbers of one width, so that twice as many entries are twice as many bytes.
    private static func numbers(_ count: Int) -> Range<Int> { 100_000..<(100_000 + count) }

    static let shapes: [@Sendable (Int) -> String] = [
        { count in numbers(count).map { "key\($0): value\n" }.joined() },
        { count in (0..<count).map { _ in "policy: again\n" }.joined() },
        { count in "policies:\n" + numbers(count).map { "  - name\($0)\n" }.joined() },
        { count in "policy: [" + numbers(count).map { "{a: \($0)}" }.joined(separator: ", ") + "]\n" },
        { count in "policy: \"" + String(repeating: #"\x41 \n "#, count: 10 * count) + "\"\n" },
        { count in "policy: " + String(repeating: "a", count: 40 * count) + "\n" },
        { count in String(repeating: "p", count: 20 * count) + ": 1\n" },
        { count in String(repeating: "# a comment\n", count: 4 * count) + "policy: p\n" },
        { count in String(repeating: "\n", count: 10 * count) + "policy: \"" },
        { count in numbers(count).map { "a\($0): &a\($0) {b: *a\($0)}\n" }.joined() },
    ]

    @Test("a file of any kind, right or wrong", arguments: shapes.indices)
    func file(shape: Int) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "growth-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let factor = try Growth.factor(1_000) { count in
            let file = folder.appending(path: "\(count).yaml")
            try Self.shapes[shape](count).write(to: file, atomically: true, encoding: .utf8)
            return file.path
        } _: { path in
            _ = ConfigurationLoader.load(policyFile: path)
            _ = ConfigurationLoader.load(serviceFile: path)
        }
        #expect(factor <= Growth.limit)
    }
}
