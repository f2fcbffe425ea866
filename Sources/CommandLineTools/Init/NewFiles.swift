import Glibc
import PolicyYAML

/// Creates files and folders, and overwrites nothing.
enum NewFiles {
    /// Checks that nothing has this path yet.
    /// - Throws: `Failure` if something has.
    static func refuseExisting(_ path: String) throws {
        var info = stat()
        guard lstat(path, &info) != 0 else {
            throw Failure(
                ExitStatus.failed,
                "\(path) is there already, and init overwrites nothing: move it away, or choose another --out or --name"
            )
        }
    }

    static func write(_ text: String, to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            let cause = errno
            if cause == EEXIST { try refuseExisting(path) }
            throw Failure(ExitStatus.failed, "cannot write \(path): \(String(cString: strerror(cause)))")
        }
        let bytes = Array(text.utf8)
        var written = 0
        var failure: Int32 = 0
        while written < bytes.count, failure == 0 {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written) }
            if count > 0 { written += count } else if count == 0 || errno != EINTR { failure = count < 0 ? errno : EIO }
        }
        if close(descriptor) != 0, failure == 0 { failure = errno }
        guard failure == 0 else {
            // The file is this call's own: half of it would be in the way of the next attempt.
            unlink(path)
            throw Failure(ExitStatus.failed, "cannot write \(path): \(String(cString: strerror(failure)))")
        }
    }

    /// Writes several files, or none of them.
    static func write(_ files: [(path: String, text: String)]) throws {
        var written: [String] = []
        do {
            for (path, text) in files {
                try write(text, to: path)
                written.append(path)
            }
        } catch {
            for path in written { unlink(path) }
            throw error
        }
    }

    /// Creates a folder unless it exists.
    static func folder(_ path: String) throws {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw Failure(ExitStatus.failed, "cannot make the folder \(path): \(String(cString: strerror(errno)))")
        }
    }

    /// Writes files into a temporary folder, passes their paths to `body`, and removes the folder.
    static func trying<Value>(_ files: [(name: String, text: String)], _ body: ([String]) throws -> Value) throws
        -> Value
    {
        var template =
            Array((variable("TMPDIR") ?? "/tmp").utf8CString.dropLast()) + Array("/canaryctl.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Failure(ExitStatus.failed, "no temporary folder: \(String(cString: strerror(errno)))")
        }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let paths = files.map { folder + "/" + $0.name }
        defer {
            for path in paths { unlink(path) }
            rmdir(folder)
        }
        for (path, file) in zip(paths, files) { try write(file.text, to: path) }
        return try body(paths)
    }
}
