import FileAccess
import Glibc

/// A file in the state directory that distinguishes a first start from a loss: it is written after the first commit, so
/// a directory that has it and no database has lost one. Losing the whole directory still looks like a first start.
struct InitializationFile {
    private static let name = "canaryd.initialized"
    /// The prefix of the text if state was lost and nothing has been committed since.
    private static let lossMark = "lost: "
    private static let explanation = """
        An agent has kept its state in this directory. As long as this file is here, an agent that finds no state
        beside it freezes its services instead of taking that for its first start.

        """
    private static let maximumSize = 4096

    private let directory: String
    private var path: String { directory + "/" + Self.name }

    init(directory: String) { self.directory = directory }

    /// True if anything has the file's name, even if it cannot be read.
    var exists: Bool { StateDirectory.exists(path) }

    /// The reason why the state is gone; nil if nothing was lost, or if something was committed since.
    var loss: String? {
        guard let bytes = try? FileReader.read(path, limit: Self.maximumSize, followsLink: false) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.hasPrefix(Self.lossMark) else { return nil }
        return String(text.dropFirst(Self.lossMark.count).prefix { $0 != "\n" })
    }

    /// Records a loss. It is called before a new database takes the place of the lost one.
    func record(loss: String) throws(StoreError) {
        try replace(with: "\(Self.lossMark)\(loss)\n\(Self.explanation)")
    }

    /// Records that the database holds committed state, so that an earlier loss no longer counts.
    func recordCommit() throws(StoreError) { try replace(with: Self.explanation) }

    /// Replaces the file atomically and durably; if that fails, the file stays as it was.
    private func replace(with text: String) throws(StoreError) {
        let new = path + ".new"
        let fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { throw StateDirectory.unusable(path, "cannot be written", hint: .file) }
        defer { close(fd) }
        var text = text
        let isWritten = text.withUTF8 { write(fd, $0.baseAddress, $0.count) == $0.count } && fsync(fd) == 0
        guard isWritten, rename(new, path) == 0 else {
            let error = StateDirectory.unusable(path, "cannot be written", hint: .file)
            unlink(new)
            throw error
        }
        StateDirectory.sync(directory)
    }
}
