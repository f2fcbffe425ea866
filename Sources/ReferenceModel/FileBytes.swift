import FileAccess
import Glibc

/// The error for a file that could not be read or written, or whose content is invalid.
public struct FileError: Error, Hashable, CustomStringConvertible, Sendable {
    public var path: String
    /// The problem and how to fix it.
    public var message: String

    public init(path: String, message: String) {
        self.path = path
        self.message = message
    }

    public var description: String { "\(path): \(message)" }
}

enum FileBytes {
    /// Reads a whole file of at most `limit` bytes.
    static func read(_ path: String, limit: Int) throws(FileError) -> [UInt8] {
        do throws(FileReader.Problem) { return try FileReader.read(path, limit: limit) } catch {
            switch error {
            case .system(let code):
                throw FileError(path: path, message: "cannot be opened: \(String(cString: strerror(code)))")
            case .notRegular: throw FileError(path: path, message: "is not a regular file")
            case .tooLarge: throw FileError(path: path, message: "has more than the limit of \(limit) bytes")
            }
        }
    }

    /// Writes a file and renames it into place, so that a reader sees either the old or the new content, never a part.
    static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        let temporary = path + ".\(getpid()).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(temporary, "cannot be created") }
        var done = 0
        var problem: FileError?
        bytes.withUnsafeBytes { buffer in
            while done < buffer.count, problem == nil {
                let put = Glibc.write(descriptor, buffer.baseAddress! + done, buffer.count - done)
                if put < 0, errno == EINTR { continue }
                if put < 0 { problem = failure(temporary, "cannot be written") } else { done += put }
            }
        }
        if problem == nil, fsync(descriptor) != 0 { problem = failure(temporary, "cannot be flushed to disk") }
        close(descriptor)
        if problem == nil, rename(temporary, path) != 0 { problem = failure(path, "cannot be put in place") }
        if let problem {
            unlink(temporary)
            throw problem
        }
    }

    /// Creates a directory and those above it.
    static func makeDirectory(_ path: String) throws(FileError) {
        var made = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            made += (made.isEmpty || made.hasSuffix("/") ? "" : "/") + part
            if mkdir(made, 0o755) != 0, errno != EEXIST, errno != EISDIR { throw failure(made, "cannot be made") }
        }
    }

    private static func failure(_ path: String, _ what: String) -> FileError {
        FileError(path: path, message: "\(what): \(String(cString: strerror(errno)))")
    }
}
