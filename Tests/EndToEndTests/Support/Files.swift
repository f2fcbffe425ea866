import Glibc
import Synchronization

enum Files {
    /// The content of a file; empty if there is no such file.
    static func read(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }

    static func write(_ path: String, _ text: String) {
        guard let file = fopen(path, "w") else { preconditionFailure("\(path) cannot be written") }
        _ = fwrite(Array(text.utf8), 1, text.utf8.count, file)
        fclose(file)
    }

    static func names(in folder: String) -> [String] {
        guard let handle = opendir(folder) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func remove(_ folder: String) {
        for name in names(in: folder) {
            let path = "\(folder)/\(name)"
            if unlink(path) != 0 { remove(path) }
        }
        rmdir(folder)
    }

    static func size(_ path: String) -> Int? {
        var info = stat()
        return lstat(path, &info) == 0 ? Int(info.st_size) : nil
    }

    /// The device and inode of a file, such as `8:17`; nil if there is no such file.
    static func identity(_ path: String) -> String? {
        var info = stat()
        return lstat(path, &info) == 0 ? "\(info.st_dev):\(info.st_ino)" : nil
    }

    /// The permission bits of a file; nil if there is no such file.
    static func mode(_ path: String) -> mode_t? {
        var info = stat()
        return lstat(path, &info) == 0 ? info.st_mode & 0o777 : nil
    }
}

/// A folder below /tmp that is removed with this value. Its path is short, because the paths of sockets are limited.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/canaryd-e2e-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "no folder below /tmp")
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Files.remove(path) }
}

/// Free ports on loopback, each returned once. They are below those that the kernel assigns to clients.
enum Ports {
    private static let next = Mutex<UInt16>(20_000 + UInt16(truncatingIfNeeded: getpid() % 100) * 100)

    static func free() -> UInt16 {
        next.withLock { next in
            while true {
                next = next < 32_000 ? next + 1 : 20_000
                if isFree(next) { return next }
            }
        }
    }

    private static func isFree(_ port: UInt16) -> Bool {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(probe) }
        var address = sockaddr_in.loopback(port)
        return withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

extension sockaddr_in {
    static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }
}
