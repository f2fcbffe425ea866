import ArgumentParser
import Glibc
import PolicyModel
import PolicySimulation
import PolicyYAML

struct PolicyTestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Run policy tests: what do policies decide on the traffic that the tests describe, and when?",
        discussion:
            "A folder stands for all tests in it. The command needs no agent. A test contains its seed, so its result is always the same."
    )

    @Argument(
        help: ArgumentHelp("Policy tests, NAME.test.yaml, or folders.", valueName: "files"),
        completion: .file(extensions: ["yaml"]))
    var files: [String]

    func run() throws {
        let console = Console.current
        var unmet = 0
        var met = 0
        var unread = 0
        let files = try files.flatMap(Self.tests)
        for file in files {
            let loaded = ConfigurationLoader.load(policyTestFile: file)
            for diagnostic in loaded.diagnostics { console.block(diagnostic.description) }
            guard let test = loaded.value, !loaded.hasErrors else {
                unread += 1
                continue
            }
            for outcome in PolicyTestRunner.run(test) {
                let place = "\(file):\(outcome.scenario.line)"
                console.line(
                    "\(outcome.isMet ? "ok    " : "FAILED") \(place): \(outcome.scenario.name): \(outcome.line)")
                if outcome.isMet { met += 1 } else { unmet += 1 }
            }
        }
        let summary = "\(met) as expected, \(unmet) not"
        guard unmet + unread == 0 else {
            let also = unread > 0 ? ", \(unread) of \(files.count) files with errors" : ""
            throw Failure(ExitStatus.failed, summary + also)
        }
        console.line(summary)
    }

    /// The maximum number of tests in a folder. One with more is most likely not a folder of tests.
    private static let maximumFiles = 1_000

    /// The policy tests in a folder, sorted by name; the path itself if it is not a folder.
    private static func tests(_ path: String) throws -> [String] {
        guard let folder = opendir(path) else { return [path] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".test.yaml") || name.hasSuffix(".test.yml") { names.append(name) }
            guard names.count <= maximumFiles else {
                throw Failure(ExitStatus.failed, "\(path) has more than \(maximumFiles) tests; name some of them")
            }
        }
        guard !names.isEmpty else {
            throw Failure(ExitStatus.failed, "\(path) has no policy test in it; they are named NAME.test.yaml")
        }
        return names.sorted().map { (path.hasSuffix("/") ? path : path + "/") + $0 }
    }
}
