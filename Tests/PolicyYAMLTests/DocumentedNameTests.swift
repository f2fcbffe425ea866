import Glibc
import Testing

@testable import PolicyYAML

@Suite("Names that the documentation relies on", .timeLimit(.minutes(15)))
struct DocumentedNameTests {
    /// The Swift files of every folder in `Tests` or `Sources`, subfolders included, by the name of the folder.
    private func sources(_ top: String) throws -> [String: String] {
        let root = "\(Fixtures.root)/\(top)"
        var texts: [String: String] = [:]
        for folder in try entries(root) { texts[folder] = try text("\(root)/\(folder)") }
        return texts
    }

    private func text(_ folder: String) throws -> String {
        try entries(folder).map { name in
            let path = "\(folder)/\(name)"
            if name.hasSuffix(".swift") { return try Files.read(path) }
            return isFolder(path) ? try text(path) : ""
        }.joined()
    }

    private func isFolder(_ path: String) -> Bool {
        guard let folder = opendir(path) else { return false }
        closedir(folder)
        return true
    }

    private func entries(_ path: String) throws -> [String] {
        guard isFolder(path) else { return [] }
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
    func tests() throws {
        let page = try Files.read("\(Fixtures.root)/docs/THREAT_MODEL.md").split(separator: "**").joined(separator: "")
        let named = page.split(separator: "*", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
        #expect(named.count > 40)
        let tests = try sources("Tests").values.joined()
        let missing = named.filter { !tests.contains("\"\($0)\"") && !tests.contains("`\($0)`") }
        #expect(missing == [])
    }

    @Test("Every type that docs/GLOSSARY.md names is declared in the module that it says")
    func types() throws {
        let page = try Files.read("\(Fixtures.root)/docs/GLOSSARY.md")
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("| ") && $0.hasSuffix("` |") }
        #expect(rows.count > 10)
        let modules = try sources("Sources")
        for row in rows {
            let named = row.split(separator: "`").last { $0 != " |" }.map(String.init) ?? ""
            let parts = named.split(separator: ".")
            let module = try #require(modules[String(parts[0])], "no module \(parts[0])")
            guard parts.count == 2 else { continue }
            let isDeclared = ["struct", "enum", "class", "protocol", "typealias"].contains { kind in
                [" ", ":", "<", "\n"].contains { module.contains("\(kind) \(parts[1])\($0)") }
            }
            #expect(isDeclared, "\(named) is not declared")
        }
    }
}
