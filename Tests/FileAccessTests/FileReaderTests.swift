import FileAccess
import Glibc
import Testing

@Suite("Reading a whole file", .timeLimit(.minutes(15)))
struct FileReaderTests {
    /// A folder that goes when the test ends.
    private final class Folder {
        let path: String

        init() {
            var template = Array("/tmp/canaryd-files-XXXXXX".utf8CString)
            path = String(cString: mkdtemp(&template))
        }

        deinit {
            for name in ["file", "link", "fifo", "socket"] { unlink("\(path)/\(name)") }
            rmdir(path)
        }
    }

    private let folder = Folder()

    private func write(_ count: Int) throws -> String {
        let path = folder.path + "/file"
        let file = try #require(fopen(path, "w"))
        fwrite([UInt8](repeating: 7, count: count), 1, count, file)
        fclose(file)
        return path
    }

    @Test("A file is read whole up to the limit, and not beyond it", arguments: [0, 1, 65_536, 65_537, 200_000])
    func limit(size: Int) throws {
        let path = try write(size)
        #expect(try FileReader.read(path, limit: size) == [UInt8](repeating: 7, count: size))
        if size > 0 {
            #expect(throws: FileReader.Problem.tooLarge) { try FileReader.read(path, limit: size - 1) }
        }
    }

    @Test("A file of /proc, which has no size, is read and held to the limit")
    func sizeless() throws {
        #expect(try FileReader.read("/proc/self/statm", limit: 4096).isEmpty == false)
        #expect(throws: FileReader.Problem.tooLarge) { try FileReader.read("/proc/self/statm", limit: 3) }
    }

    @Test("A FIFO without a writer is refused at once, as are folders, devices and sockets")
    func notRegular() {
        let fifo = folder.path + "/fifo"
        #expect(mkfifo(fifo, 0o600) == 0)
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let socketPath = folder.path + "/socket"
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socketPath.utf8) }
        let isBound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        #expect(isBound)
        for path in [fifo, folder.path, "/dev/zero", socketPath] {
            #expect(throws: FileReader.Problem.notRegular, "\(path)") { try FileReader.read(path, limit: 10) }
        }
    }

    @Test("A symbolic link is followed unless it is refused")
    func link() throws {
        let path = try write(3)
        let link = folder.path + "/link"
        #expect(symlink(path, link) == 0)
        #expect(try FileReader.read(link, limit: 10).count == 3)
        #expect(throws: FileReader.Problem.system(ELOOP)) {
            try FileReader.read(link, limit: 10, followsLink: false)
        }
        #expect(throws: FileReader.Problem.system(ENOENT)) { try FileReader.read(folder.path + "/none", limit: 10) }
    }
}
