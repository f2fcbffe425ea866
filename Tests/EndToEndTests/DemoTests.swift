import Glibc
import Testing

@Suite("The demo", .serialized, .timeLimit(.minutes(15)))
struct DemoTests {
    private static let data: String = {
        let source = #filePath
        let root = source.split(separator: "/").dropLast(3).joined(separator: "/")
        return "/\(root)/examples/income/data"
    }()

    private func start(_ folder: TemporaryFolder, _ arguments: [String]) throws -> Subprocess {
        try Subprocess(
            Binaries.canaryd,
            ["demo", "--data", Self.data, "--artifacts", "\(folder.path)/artifacts"] + arguments,
            output: "\(folder.path)/demo.out", error: "\(folder.path)/demo.err")
    }

    /// The process ids of the children of a demo, found by the variable that it sets in their environment.
    private func children(of pid: pid_t) -> [String] {
        Files.names(in: "/proc").filter { Int($0) != nil }.filter {
            Files.read("/proc/\($0)/environ").split(separator: "\0").contains("CANARYD_DEMO_PARENT=\(pid)")
        }
    }

    @Test("the verdict depends on the artifact, and not on the order of the candidates", .timeLimit(.minutes(15)))
    func verdicts() async throws {
        let folder = TemporaryFolder()
        let demo = try start(folder, ["--candidates", "skewed,int8"])
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(700)
        while demo.isRunning, clock.now < deadline { try await Task.sleep(for: .milliseconds(500)) }
        let output = demo.output
        #expect(demo.ended == .code(0), "\(demo.errors)")
        let results = output.split(separator: "\n").compactMap { line -> String? in
            if line.hasPrefix("Rollout ") { return String(line.split(separator: " ")[2]) }
            return ["PROMOTED", "REVERTED"].first { line.hasPrefix($0) }
        }
        let expected = ["skewed", "REVERTED", "int8", "PROMOTED"]
        #expect(results == expected, "\(output)")
        #expect(output.contains("sensitive-groups/recall-of-women: sex=Female"))
        #expect(output.contains(", 0 failed;"))
        #expect(children(of: demo.pid).isEmpty)
    }

    @Test("text from files, folders and child processes cannot control the terminal", .timeLimit(.minutes(15)))
    func display() async throws {
        let folder = TemporaryFolder()
        let steering = "\u{1b}[31m\u{9b}2J\u{202e}"
        for arguments in [
            ["demo", "--data", "\(folder.path)/\(steering)/data"],
            ["model-server", "--artifact", "\(folder.path)/\(steering)"],
        ] {
            let process = try Subprocess(
                Binaries.canaryd, arguments, output: "\(folder.path)/out", error: "\(folder.path)/err")
            #expect(try await process.wait() == .code(1))
            let said = process.output + process.errors
            #expect(said.contains("·[31m·2J·"), "\(said)")
            for scalar in steering.unicodeScalars where !scalar.isASCII || scalar.value < 0x20 {
                #expect(!said.unicodeScalars.contains(scalar))
            }
        }
    }

    @Test(
        "Ctrl-C, or closing the terminal, ends everything that it started, and removes its files",
        .timeLimit(.minutes(15)), arguments: [SIGINT, SIGHUP])
    func interrupted(signal: Int32) async throws {
        let folder = TemporaryFolder()
        let demo = try start(folder, ["--candidates", "int8"])
        try await until("traffic goes to the candidate", or: { demo.output + demo.errors }) {
            demo.output.contains("step 1")
        }
        #expect(children(of: demo.pid).count == 3)
        let files = demo.output.split(separator: " ").last { $0.contains("/tmp/canaryd-demo-") }
        let stage = String(files?.prefix { $0 != "\n" } ?? "")
        #expect(Files.mode("\(stage)/canaryd.yaml") != nil)
        demo.signal(signal)
        #expect(try await demo.wait() == .code(130))
        #expect(children(of: demo.pid).isEmpty)
        #expect(Files.mode("\(stage)/canaryd.yaml") == nil)
    }
}
