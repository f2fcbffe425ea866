import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel

/// A health check of a server: one GET on a connection of its own.
final class Probe: EventSource {
    enum Verdict: Equatable, Sendable {
        case good
        /// The server is unhealthy. The reason is text that follows the server's name.
        case bad(String)
    }

    private enum Phase {
        /// The connection is being established. Exits: `asking` when it is; `over` when it fails.
        case connecting
        /// The request was sent. Exit: `over` with the verdict.
        case asking
        case over
    }

    /// The largest size of a response's head in bytes. The body is not read.
    private static let maxHead = 16 << 10
    private static let maxInterim = 8

    private let key: ProbeKey
    private var address: ce_address
    private let loop: EventLoop
    private let parser: HeadParser
    /// Called with the verdict; with nil if the probe could not be made, which says nothing about the server.
    private let then: (Verdict?) -> Void
    private var phase = Phase.connecting
    private var fd: Int32 = -1
    private var timer: HTTPEngine.Timer?
    private var buffer: [UInt8] = []
    private var interim = 0

    init(
        _ key: ProbeKey, _ address: ce_address, _ loop: EventLoop, _ parser: HeadParser,
        then: @escaping (Verdict?) -> Void
    ) {
        self.key = key
        self.address = address
        self.loop = loop
        self.parser = parser
        self.then = then
    }

    private var path: String { key.check.path ?? "/" }

    func start() {
        timer = loop.schedule(after: key.check.timeout) { [self] in
            timer = nil
            let limit = key.check.timeout.written
            let what = phase == .connecting ? "takes no connection" : "answers no GET \(path)"
            end(.bad("\(what) within \(limit)"))
        }
        fd = ce_socket(ce_family(&address))
        // The failure is the agent's own and says nothing about the server.
        guard fd >= 0 else { return end(nil) }
        let status = ce_connect(fd, &address)
        guard status >= 0 || status == -EINPROGRESS else { return refused(-status) }
        do { try loop.register(self, descriptor: fd, interest: .writable) } catch { end(nil) }
    }

    /// Ends the probe without a verdict.
    func abandon() {
        end(nil)
    }

    override func ready(_ events: ReadyEvents) {
        switch phase {
        case .connecting:
            let error = ce_socket_error(fd)
            guard error == 0 else { return refused(error) }
            ask()
        case .asking: read()
        case .over: break
        }
    }

    private func ask() {
        phase = .asking
        let request =
            "GET \(path) HTTP/1.1\r\nHost: \(key.endpoint)\r\nUser-Agent: canaryd-health-check\r\n"
            + "Connection: close\r\n\r\n"
        let bytes = Array(request.utf8)
        // An empty send buffer takes all of these bytes, unless the connection is gone.
        guard ce_send(fd, bytes, bytes.count, 0) == bytes.count else {
            return end(.bad("closes the connection on GET \(path)"))
        }
        loop.modify(self, interest: .readable)
    }

    private func read() {
        let room = Self.maxHead - buffer.count
        guard room > 0 else { return end(.bad("answers GET \(path) with too large a head")) }
        let n = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: room) { space in
            let n = ce_receive(fd, space.baseAddress!, room)
            if n > 0 { buffer += UnsafeBufferPointer(rebasing: space[..<n]) }
            return n
        }
        if n == -Int(EAGAIN) || n == -Int(EINTR) { return }
        guard n > 0 else { return end(.bad("closes the connection on GET \(path)")) }
        while phase == .asking, readHead() {}
    }

    /// Reads a head from the buffer. Returns true if it was an interim head and bytes are left, so that another may
    /// follow.
    private func readHead() -> Bool {
        var scanner = HeadScanner()
        var head = ResponseHead()
        let verdict: HeadScanner.Verdict = buffer.withUnsafeBufferPointer { bytes in
            let verdict = scanner.scan(bytes.baseAddress!, bytes.count)
            guard case .complete(let length) = verdict else { return verdict }
            let error = parser.parse(response: bytes.baseAddress!, length, toHead: false, into: &head)
            return error.map(HeadScanner.Verdict.failed) ?? verdict
        }
        switch verdict {
        case .incomplete: return false
        case .failed(let error):
            end(.bad("answers GET \(path) with no HTTP/1.1: \(error.message)"))
            return false
        case .complete(let length):
            guard head.status >= 200 else {
                interim += 1
                buffer.removeFirst(length)
                if interim > Self.maxInterim { end(.bad("answers GET \(path) with no end of 1xx")) }
                return !buffer.isEmpty
            }
            let isExpected = key.check.expectedStatus.contains(head.status)
            end(isExpected ? .good : .bad("answers GET \(path) with \(head.status)"))
            return false
        }
    }

    private func refused(_ error: Int32) {
        end(.bad("takes no connection: \(describeErrno(error))"))
    }

    private func end(_ verdict: Verdict?) {
        guard phase != .over else { return }
        close()
        then(verdict)
    }

    private func close() {
        phase = .over
        if let timer { loop.cancel(timer) }
        timer = nil
        loop.deregister(self)
        if fd >= 0 { Glibc.close(fd) }
        fd = -1
    }
}
