import Foundation
import Testing

/// Every file in `Transcripts` contains inputs of the state machine and the outputs that are expected after each. To
/// replace these by the current outputs, run with `REWRITE_TRANSCRIPTS=1`, and review the diff.
@Suite(.timeLimit(.minutes(15))) struct TranscriptTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Transcripts")
    static let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.sorted() ?? []

    @Test("there are transcripts") func some() { #expect(Self.names.count >= 20) }

    @Test("the state machine responds as in its transcripts", arguments: names)
    func plays(name: String) throws {
        let file = Self.folder.appending(path: name)
        let expected = try String(contentsOf: file, encoding: .utf8)
        let played = try Transcript.play(expected)
        if ProcessInfo.processInfo.environment["REWRITE_TRANSCRIPTS"] == "1" {
            try played.write(to: file, atomically: true, encoding: .utf8)
        }
        for (line, pair) in zip(expected.lines, played.lines).enumerated() where pair.0 != pair.1 {
            Issue.record("\(name):\(line + 1): expected «\(pair.0)», came «\(pair.1)»")
            return
        }
        #expect(expected == played)
    }
}

extension String {
    fileprivate var lines: [Substring] { split(separator: "\n", omittingEmptySubsequences: false) }
}
