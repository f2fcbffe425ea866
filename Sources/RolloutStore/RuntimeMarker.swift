import FileAccess
import Glibc
import RolloutController
import RolloutEngine

/// Keeps lowered splits in the runtime directory (a tmpfs) while the store cannot be written, in one file per service
/// that is replaced as a whole. The first line is the state as JSON, the second its checksum. The file has to survive
/// the agent but not the machine, so it is not synced.
public final class RuntimeMarker: LoweringMarker {
    /// The largest file that is read, in bytes: many times the largest state.
    public static let maximumSize = 4 << 20

    private static let suffix = ".lowered.json"
    private let directory: String
    private let json = StableJSON()

    /// - Parameter directory: the runtime directory, which is created with mode 0700 at the first mark if it is
    ///   missing.
    public init(directory: String) { self.directory = directory }

    public func mark(_ state: ServiceState) -> Bool {
        guard let line = try? json.text(state) else { return false }
        var text = "\(line)\n\(Checksum.of(line))\n"
        mkdir(directory, 0o700)
        let file = path(state.service)
        // The suffix differs, so that no reader takes a half-written file.
        let new = file + ".new"
        let fd = Glibc.open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { return false }
        let isWritten = text.withUTF8 { bytes in
            var done = 0
            while done < bytes.count {
                let n = Glibc.write(fd, bytes.baseAddress! + done, bytes.count - done)
                if n < 0, errno == EINTR { continue }
                guard n > 0 else { return false }
                done += n
            }
            return true
        }
        close(fd)
        guard isWritten, rename(new, file) == 0 else {
            unlink(new)
            return false
        }
        return true
    }

    /// Deletes the service's marker, or renames it if it cannot be deleted: one that stays would freeze the service at
    /// each start.
    public func clear(service: String) {
        let file = path(service)
        if unlink(file) != 0, errno != ENOENT { rename(file, file + ".unreadable") }
    }

    public func read() -> LoweringMarks {
        var marks = LoweringMarks()
        for file in files() {
            do throws(StoreError) {
                let state = try json.value(ServiceState.self, Self.checked(try contents(file)))
                guard path(state.service) == file else {
                    throw StoreError(.unreadable, "it holds the state of \(state.service), which has another file")
                }
                marks.states[state.service] = state
            } catch {
                marks.unreadable[service(of: file)] = "\(file): a lowered split cannot be read: \(error)"
            }
        }
        return marks
    }

    /// The file of a service. Characters of its name that a file name may not contain are percent-encoded.
    private func path(_ service: String) -> String {
        var name = ""
        for byte in service.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: name.unicodeScalars.append(Unicode.Scalar(byte))
            default: name += (byte < 16 ? "%0" : "%") + String(byte, radix: 16)
            }
        }
        return "\(directory)/\(name)\(Self.suffix)"
    }

    /// The service whose marker a file is, as the inverse of `path`.
    private func service(of file: String) -> String {
        var name: [UInt8] = []
        var rest = file.utf8.dropFirst(directory.utf8.count + 1).dropLast(Self.suffix.utf8.count)
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let code = UInt8(String(Substring(rest.prefix(2))), radix: 16) {
                name.append(code)
                rest = rest.dropFirst(2)
            } else {
                name.append(byte)
            }
        }
        return String(decoding: name, as: UTF8.self)
    }

    /// The paths of all markers in the runtime directory, sorted.
    private func files() -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var found: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(Self.suffix) { found.append("\(directory)/\(name)") }
        }
        return found.sorted()
    }

    /// Compares the first line with its checksum, which is the second line, and returns it.
    private static func checked(_ text: String) throws(StoreError) -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 3, lines[2].isEmpty, let checksum = Int64(lines[1]) else {
            throw StoreError(.unreadable, "it is not a line of JSON and its checksum")
        }
        let line = String(lines[0])
        try Checksum.check(line, checksum)
        return line
    }

    private func contents(_ file: String) throws(StoreError) -> String {
        do throws(FileReader.Problem) {
            return String(
                decoding: try FileReader.read(file, limit: Self.maximumSize, followsLink: false), as: UTF8.self)
        } catch {
            switch error {
            case .system(let code): throw StoreError(.io, String(cString: strerror(code)))
            case .notRegular, .tooLarge:
                throw StoreError(.unreadable, "not a file of at most \(Self.maximumSize >> 20) MiB")
            }
        }
    }
}
