import AdminClient
import AdminTypes
import Glibc
import HTTPEngine
import Testing

@Suite("The client's errors when it cannot reach an agent", .timeLimit(.minutes(15)))
struct ClientErrorTests {
    private func failure(_ path: String) -> String {
        do {
            _ = try AdminClient(path: path).services()
            return "it answered"
        } catch {
            guard case .unreachable(let text) = error else { return "not unreachable: \(error)" }
            return text
        }
    }

    private func folder() -> String {
        var template = Array("/tmp/canaryd-client-XXXXXX".utf8CString)
        return template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    @Test("No socket: start the agent, or name its socket")
    func missing() {
        let text = failure("/nonexistent/admin.sock")
        #expect(text.hasPrefix("no agent at /nonexistent/admin.sock: there is no such socket; start it"))
        #expect(text.contains("CANARYD_SOCKET"))
    }

    @Test("A socket that nobody listens on is distinguished from a missing one")
    func dead() throws {
        let path = folder() + "/dead.sock"
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(bound == 0)
        close(number)
        #expect(failure(path).contains("the socket is there, but nobody listens"))
        unlink(path)
    }

    @Test("A path that is too long for a socket is refused before the system sees it")
    func long() {
        #expect(failure("/" + String(repeating: "x", count: 108)).contains("1 to 107 bytes"))
        #expect(failure("").contains("1 to 107 bytes"))
    }

    @Test("Something else that listens is no agent")
    func unexpectedResponse() throws {
        let loop = try EventLoop(name: "other")
        loop.start()
        let path = folder() + "/other.sock"
        let server = try loop.sync {
            let server = HTTPServer(loop: loop) { _, responder in
                responder.respond(status: 418, headers: [("Content-Type", "text/plain")], body: Array("teapot".utf8))
            }
            try server.listen(.unix(path: path, mode: 0o600))
            return server
        }
        #expect(throws: AdminClientError.self) { try AdminClient(path: path).services() }
        do { _ = try AdminClient(path: path).services() } catch {
            guard case .unexpectedResponse(let text) = error else {
                Issue.record("not an error about an unexpected response: \(error)")
                return
            }
            #expect(text.contains("is not canaryd's admin API"))
        }
        loop.post { server.close() }
        loop.stop()
        loop.join()
        unlink(path)
    }

    @Test("Without --socket and CANARYD_SOCKET the client uses the default socket")
    func path() {
        #expect(AdminClient(socket: "/x.sock").path == "/x.sock")
        if getenv("CANARYD_SOCKET") == nil { #expect(AdminClient(socket: nil).path == "/run/canaryd/admin.sock") }
    }
}
