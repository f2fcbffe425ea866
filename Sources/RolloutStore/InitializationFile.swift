import FileAccess
import Glibc

/// A file in the state directory that tells a first start from a loss: it is written after the first commit, so a
/// directory that has it and no database has lost one. Losing the whole directory still looks like a first start.
struct InitializationFile {
    private static let name = "canaryd.initialized"
    /// What the text begins with where state was lost and nothing has been committed since.
    private static let lossMark = "lost: "
    private static let explanation = """
        An agent has kept its state in this directory. As long as this file is here, an agent that finds no state
        beside it freezes its services instead of taking that for its first start.

        """
    private static let maximumSize = 4096

    private let directory: String
    private var path: String { directory + "/" + Self.name }

    init(directory: String) { self.directory = directory }

    /// Whatever is there under the name counts, readable or not.
    var exists: Bool { StateDirectory.exists(path) }

    /// Why the state is gone; nil where nothing was lost, or something was committed since.
    var loss: String? {
        guard let bytes = try? FileReader.read(path, limit: Self.maximumSize, followsLink: false) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.hasPrefix(Self.lossMark) else { return nil }
        return String(text.dropFirst(Self.lossMark.count).prefix { $0 != "\n" })
    }

    /// Before a new database takes the place of a lost one.
    func record(loss: String) throws(StoreError) {
        try replace(with: "\(Self.lossMark)\(loss)\n\(Self.explanation)")
    }

    /// After a commit: from now on the database is what counts.
    func recordCommit() throws(StoreError) { try replace(with: Self.explanation) }

    /// Whole and on disk, or as it was.
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
