import Glibc

/// Reads whole files up to a limit of their size.
public enum FileReader {
    /// The reason why a file was not read.
    public enum Problem: Error, Hashable, Sendable {
        /// A system call failed with this error number.
        case system(Int32)
        /// The path names a folder, a FIFO, a device or a socket, which may never end.
        case notRegular
        case tooLarge
    }

    /// Reads a regular file of at most `limit` bytes. Opening never blocks, whatever the path names.
    /// - Parameter followsLink: false to refuse a path whose last part is a symbolic link.
    public static func read(_ path: String, limit: Int, followsLink: Bool = true) throws(Problem) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followsLink ? 0 : O_NOFOLLOW))
        // A socket, or a device without a driver, cannot be opened at all.
        guard descriptor >= 0 else { throw errno == ENXIO ? .notRegular : .system(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular }
        guard status.st_size <= limit else { throw .tooLarge }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(status.st_size))
        var part = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system(errno) }
            if count == 0 { return bytes }
            bytes += part[..<count]
            // The file may have grown meanwhile.
            guard bytes.count <= limit else { throw .tooLarge }
        }
    }
}
