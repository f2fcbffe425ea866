import FileAccess
import Glibc

/// Operations on paths as text, without following links.
enum FilePaths {
    /// The folder of a file; `.` for a bare name.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// A path as it is shown: without `base` if that is the working folder.
    static func join(_ base: String, _ path: String) -> String {
        if path.hasPrefix("/") || base == "." { return path }
        return base.hasSuffix("/") ? base + path : base + "/" + path
    }

    /// An absolute path without `.`, `..` and repeated slashes. `base` may be relative to the working folder.
    static func absolute(_ path: String, base: String) -> String {
        var full = join(base, path)
        if !full.hasPrefix("/") { full = workingFolder() + "/" + full }
        var parts: [Substring] = []
        for part in full.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    private static func workingFolder() -> String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }
}

/// Reads files and folders, with error messages for users.
enum Files {
    enum Kind { case file, folder, other, missing }

    static func kind(_ path: String) -> Kind {
        var status = stat()
        guard stat(path, &status) == 0 else { return .missing }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .folder
        default: return .other
        }
    }

    /// The text of a file of at most `ConfigurationLimits.fileBytes`.
    static func read(_ path: String) throws(InvalidValue) -> String {
        var bytes: [UInt8]
        do throws(FileReader.Problem) {
            bytes = try FileReader.read(path, limit: ConfigurationLimits.fileBytes)
        } catch {
            switch error {
            case .system(let code): throw InvalidValue(explanation(code))
            case .notRegular: throw InvalidValue("is not a regular file: name a YAML file")
            case .tooLarge: throw InvalidValue("is larger than 1 MiB, the most that is read: split it up")
            }
        }
        // Some editors begin a file with a byte order mark.
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes.removeFirst(3) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw InvalidValue("is not UTF-8 text: save it as UTF-8")
        }
        return text
    }

    /// The paths of the configuration files in a folder, sorted: `*.yaml` and `*.yml`, without hidden files.
    /// - Parameter tests: true to include policy tests, `*.test.yaml`.
    static func configurations(in folder: String, tests: Bool = false) throws(InvalidValue) -> [String] {
        guard let directory = opendir(folder) else { throw InvalidValue(explanation(errno)) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard !name.hasPrefix("."), name.hasSuffix(".yaml") || name.hasSuffix(".yml"), tests || !isTest(name)
            else { continue }
            names.append(name)
            guard names.count <= ConfigurationLimits.files else {
                throw InvalidValue("holds more than \(ConfigurationLimits.files) files: split it up")
            }
        }
        return names.sorted().map { FilePaths.join(folder.hasSuffix("/") ? String(folder.dropLast()) : folder, $0) }
    }

    static func isTest(_ path: String) -> Bool { path.hasSuffix(".test.yaml") || path.hasSuffix(".test.yml") }

    private static func explanation(_ code: Int32) -> String {
        switch code {
        case ENOENT: "does not exist: create it, or correct the path"
        case EACCES: "may not be read: give the agent's user read permission"
        case ENOTDIR: "lies under something that is not a folder: correct the path"
        case EISDIR: "is a folder: name a file in it"
        default: "cannot be read: \(String(cString: strerror(code)))"
        }
    }
}
