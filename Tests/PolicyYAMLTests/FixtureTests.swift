import Glibc
import Testing

@testable import PolicyYAML

/// Files of this folder: `NAME.good.yaml` loads without a word, `NAME.bad.yaml` says what `NAME.bad.txt` holds.
enum Fixtures {
    static let folder = FilePaths.folder(of: #filePath) + "/Fixtures"
    /// The top of the repository.
    static let root = FilePaths.absolute("../..", base: FilePaths.folder(of: #filePath))

    static func files(_ ending: String) -> [String] {
        let all = (try? Files.configurations(in: folder)) ?? []
        return all.filter { $0.hasSuffix(ending) }.map { String($0.dropFirst(folder.count + 1)) }
    }

    /// Diagnostics as people see them, with the paths of this machine taken out.
    static func text<T>(_ loaded: Loaded<T>) -> String {
        let text = loaded.diagnostics.map { "\($0)\n" }.joined()
        return text.split(separator: folder + "/", omittingEmptySubsequences: false).joined()
    }

    /// Holds `text` against a file beside the fixture; with CANARYD_RECORD set, writes it instead.
    static func expect(_ text: String, in name: String, at location: SourceLocation = #_sourceLocation) {
        let path = "\(folder)/\(name)"
        if getenv("CANARYD_RECORD") != nil, let file = fopen(path, "w") {
            fputs(text, file)
            fclose(file)
        }
        #expect(text == (try? Files.read(path)), "not as in \(name)", sourceLocation: location)
    }
}

@Suite("Fixtures", .timeLimit(.minutes(15)))
struct FixtureTests {
    @Test(
        "A file with mistakes gets every diagnostic at once, each with its place and how to fix it",
        arguments: Fixtures.files(".bad.yaml"))
    func bad(_ name: String) {
        let loaded = ConfigurationLoader.lint(files: ["\(Fixtures.folder)/\(name)"])
        #expect(loaded.hasErrors && loaded.value?.count == nil)
        Fixtures.expect(Fixtures.text(loaded), in: name.dropLast(5) + ".txt")
    }

    @Test("A sound file gets no diagnostic", arguments: Fixtures.files(".good.yaml"))
    func good(_ name: String) {
        let loaded = ConfigurationLoader.lint(files: ["\(Fixtures.folder)/\(name)"])
        #expect(Fixtures.text(loaded) == "")
        #expect(loaded.value?.count == 1)
    }

    @Test(
        "Mistakes in several files, and those that only show between files, all come at once",
        arguments: [("set", 6), ("score-ranges", 1), ("arguments", 4), ("preset-checks", 4)])
    func set(_ folder: String, filesWithMistakes: Int) {
        let loaded = ConfigurationLoader.load(agentFile: "\(Fixtures.folder)/\(folder)/canaryd.yaml")
        #expect(loaded.configuration == nil)
        #expect(Set(loaded.diagnostics.map(\.file)).count == filesWithMistakes)
        Fixtures.expect(Fixtures.text(loaded), in: "\(folder)/expected.txt")
    }

    @Test("There are fixtures to test")
    func present() {
        #expect(Fixtures.files(".bad.yaml").count >= 15)
        #expect(Fixtures.files(".good.yaml").count >= 3)
    }
}

@Suite("Shipped files", .timeLimit(.minutes(15)))
struct ShippedFileTests {
    @Test(
        "Every example loads without a diagnostic",
        arguments: ["income", "minimal", "triton", "mlserver", "bentoml"])
    func examples(_ name: String) throws {
        let loaded = ConfigurationLoader.load(agentFile: "\(Fixtures.root)/examples/\(name)/canaryd.yaml")
        #expect(loaded.diagnostics.map(\.description) == [])
        let configuration = try #require(loaded.configuration)
        #expect(configuration.services.count == 1)
        for service in configuration.services {
            #expect(configuration.policies(of: service).count == service.policies.count)
            #expect(!service.policies.isEmpty)
        }
    }

    @Test("Every shipped policy has a test with at least three scenarios, and both load")
    func policies() throws {
        let folder = "\(Fixtures.root)/policies"
        let policies = try Files.configurations(in: folder)
        #expect(policies.count >= 4)
        for file in policies {
            #expect(ConfigurationLoader.load(policyFile: file).diagnostics.map(\.description) == [])
            let test = ConfigurationLoader.load(policyTestFile: file.dropLast(5) + ".test.yaml")
            #expect(test.diagnostics.map(\.description) == [])
            let decisions = try #require(test.value).scenarios.map(\.expected.decision)
            #expect(decisions.count >= 3 && decisions.contains(.revert) && decisions.contains(.promote))
        }
    }
}

@Suite("Byte order mark", .timeLimit(.minutes(15)))
struct ByteOrderMarkTests {
    @Test("A file that begins with a UTF-8 byte order mark is read, with the places of its mistakes as without")
    func accepted() throws {
        var template = Array("/tmp/canaryd-bom-XXXXXX".utf8CString)
        let folder = String(cString: mkdtemp(&template))
        let path = folder + "/policy.yaml"
        defer {
            unlink(path)
            rmdir(folder)
        }
        func lint(_ text: String) throws -> String {
            let file = try #require(fopen(path, "w"))
            fputs(text, file)
            fclose(file)
            return ConfigurationLoader.lint(files: [path]).diagnostics.map { "\($0)\n" }.joined()
        }
        let sound = try Files.read(FilePaths.join(Fixtures.root, "policies/standard.yaml"))
        for text in [sound, "polcy: x\n", "policy: [\n", ""] {
            #expect(try lint("\u{feff}" + text) == lint(text))
        }
        #expect(try lint("\u{feff}" + sound) == "")
    }
}
