import Glibc
import HTTPEngine
import Synchronization
import TestSupport
import Testing

@Suite("HTTP server", .timeLimit(.minutes(15)))
struct HTTPServerTests {
    /// A server on a loop of its own that says what it was asked.
    final class Echo: Sendable {
        let loop: EventLoop
        let server: HTTPServer
        let port: UInt16

        init(
            limits: HTTPServerLimits = .init(),
            handler: @escaping @Sendable (HTTPRequest, HTTPResponder) -> Void = { request, responder in
                let query = request.query.map { "?\($0)" } ?? ""
                let text = "\(request.method) \(request.path)\(query) \(request.body.count)"
                responder.respond(status: 200, body: Array(text.utf8))
            }
        ) throws {
            let loop = try EventLoop(name: "echo")
            let server = HTTPServer(loop: loop, limits: limits, handler: handler)
            guard case .tcp(_, let port) = try server.listen(.tcp(host: "127.0.0.1", port: 0)) else {
                throw SetupError()
            }
            self.loop = loop
            self.server = server
            self.port = port
            loop.start()
        }

        func stop() {
            loop.stop()
            loop.join()
        }
    }

    struct SetupError: Error {}

    @Test("answers several requests on one connection")
    func keepAlive() throws {
        let echo = try Echo()
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send("GET /a?b=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse().text == "GET /a?b=1 0")
        client.send("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        #expect(client.receiveResponse().text == "POST /c 3")
    }

    @Test("answers pipelined requests in their order")
    func pipelining() throws {
        let echo = try Echo()
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send((0..<50).map { "GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
        for i in 0..<50 { #expect(client.receiveResponse().text == "GET /\(i) 0") }
    }

    @Test("reads a chunked body, and takes a broken one for an error")
    func chunked() throws {
        let echo = try Echo()
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send(
            "PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;q=1\r\nde\r\n0\r\n\r\n")
        #expect(client.receiveResponse().text == "PUT /x 5")
        client.send("PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n")
        let refused = client.receiveResponse()
        #expect(refused.status == 400)
        #expect(refused["connection"] == "close")
        #expect(client.receiveAll() == "")
    }

    @Test("sends 100 Continue when the client waits for it")
    func expectContinue() throws {
        let echo = try Echo()
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        #expect(client.receive(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
        client.send("ab")
        #expect(client.receiveResponse().text == "POST /x 2")
    }

    @Test("answers HEAD with the length and no body")
    func head() throws {
        let echo = try Echo()
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nGET /y HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse(toHead: true)["content-length"] == "9")
        #expect(client.receiveResponse().text == "GET /y 0")
    }

    @Test(
        "refuses what goes beyond a limit",
        arguments: [
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n", 413),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"
                    + String(repeating: "a", count: 101) + "\r\n0\r\n\r\n", 413
            ),
            ("GET /" + String(repeating: "a", count: 3000) + " HTTP/1.1\r\n", 414),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "a", count: 3000), 431),
            ("GET / HTTP/1.1\r\nHost: x\r\n" + String(repeating: "a:\r\n", count: 200) + "\r\n", 431),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            ("\u{16}\u{3}\u{1}", 400),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501),
        ])
    func limits(bytes: String, status: Int) throws {
        let echo = try Echo(limits: HTTPServerLimits(maxBody: 100, maxHead: 2048))
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send(bytes)
        #expect(client.receiveResponse().status == status)
        #expect(client.receiveAll() == "")
    }

    @Test("streams in chunks that arrive one by one, and calls back when the client leaves")
    func streaming() throws {
        let responders = Mutex<[HTTPResponder]>([])
        let left = Mutex(0)
        let echo = try Echo(limits: HTTPServerLimits(halfCloseWindow: .zero)) { _, responder in
            responder.onClose = { left.withLock { $0 += 1 } }
            responder.startStream(status: 200, headers: [("Content-Type", "text/event-stream")])
            responder.write(Array("data: 1\n\n".utf8))
            responders.withLock { $0.append(responder) }
        }
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receive(until: "data: 1\n\n\r\n").hasSuffix("\r\n\r\n9\r\ndata: 1\n\n\r\n"))
        try echo.loop.sync { responders.withLock { $0[0].write(Array("data: 2\n\n".utf8)) } }
        #expect(client.receive(until: "data: 2\n\n\r\n") == "9\r\ndata: 2\n\n\r\n")
        client.close()
        eventually { left.withLock({ $0 }) != 0 }
        #expect(try echo.loop.sync { responders.withLock { $0[0].isOpen } } == false)
        responders.withLock { $0 = [] }
    }

    @Test("an answer may come later, from a job that was posted")
    func later() throws {
        let echo = try Echo { _, responder in
            responder.loop.post { responder.respond(status: 202, body: [0x6f, 0x6b]) }
        }
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse().status == 202)
    }

    @Test("a responder that is let go answers 500")
    func abandoned() throws {
        let echo = try Echo { _, _ in }
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse().status == 500)
    }

    @Test("draining finishes what is open and closes what is idle")
    func drain() throws {
        let held = Mutex<[HTTPResponder]>([])
        let echo = try Echo { _, responder in held.withLock { $0.append(responder) } }
        defer { echo.stop() }
        let idle = RawClient(port: echo.port)
        let busy = RawClient(port: echo.port)
        busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually { !held.withLock({ $0.isEmpty }) }
        let done = Mutex(false)
        try echo.loop.sync { echo.server.drain(grace: .seconds(60)) { done.withLock { $0 = true } } }
        #expect(idle.receiveAll() == "")
        try echo.loop.sync { held.withLock { $0.removeFirst().respond(status: 200) } }
        let response = busy.receiveResponse()
        #expect(response.status == 200)
        #expect(response["connection"] == "close")
        busy.close()
        eventually { done.withLock({ $0 }) }
    }

    @Test("connections that wait for a request head give way to new ones, the oldest first")
    func halfOpen() throws {
        // Without giving way, the last client would wait for these time-outs.
        let limits = HTTPServerLimits(maxConnections: 4, idle: .seconds(3600), headTimeout: .seconds(3600))
        let echo = try Echo(limits: limits)
        defer { echo.stop() }
        let silent = (0..<20).map { _ in RawClient(port: echo.port) }
        for client in silent.suffix(10) { client.send("GET /dripping HTTP/1.1\r\nHost:") }
        let client = RawClient(port: echo.port)
        client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse().text == "GET /a 0")
        #expect(silent[0].receiveAll() == "")
        #expect(try echo.loop.sync { echo.server.connectionCount } <= 4)
        #expect(try echo.loop.sync { echo.server.displacedConnectionCount } == 17)
        // Whoever was answered before outlives those that never asked.
        let more = (0..<20).map { _ in RawClient(port: echo.port) }
        #expect(more[0].receiveAll() == "")
        client.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse().text == "GET /b 0")
    }

    @Test("half a body holds no place for ever either")
    func halfBodies() throws {
        let limits = HTTPServerLimits(maxConnections: 4, idle: .seconds(3600), bodyTimeout: .seconds(3600))
        let echo = try Echo(limits: limits)
        defer { echo.stop() }
        let dripping = (0..<4).map { _ in RawClient(port: echo.port) }
        for client in dripping {
            client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
            #expect(client.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 100 "))
        }
        let client = RawClient(port: echo.port)
        client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse().text == "GET /a 0")
        #expect(dripping[0].receiveAll() == "")
        dripping[3].send("123456789")
        #expect(dripping[3].receiveResponse().text == "POST / 9")
    }

    @Test("connections kept alive give way where nobody else waits, and busy ones never do")
    func restingGiveWay() throws {
        let held = Mutex<[HTTPResponder]>([])
        let limits = HTTPServerLimits(maxConnections: 2, idle: .seconds(3600), headTimeout: .seconds(3600))
        let echo = try Echo(limits: limits) { request, responder in
            if request.path == "/hold" {
                held.withLock { $0.append(responder) }
            } else {
                responder.respond(status: 200)
            }
        }
        defer { echo.stop() }
        let busy = RawClient(port: echo.port)
        busy.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually { !held.withLock({ $0.isEmpty }) }
        let resting = RawClient(port: echo.port)
        resting.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(resting.receiveResponse().status == 200)
        let new = RawClient(port: echo.port)
        new.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(new.receiveResponse().status == 200)
        #expect(resting.receiveAll() == "")
        try echo.loop.sync { held.withLock { $0.removeFirst().respond(status: 202) } }
        #expect(busy.receiveResponse().status == 202)
    }

    @Test("a client that sends nothing more gets the responses to all that it sent", arguments: [false, true])
    func halfClosed(isAsync: Bool) throws {
        let echo = try Echo { request, responder in
            let text = Array("\(request.path) \(request.body.count)".utf8)
            guard isAsync else { return responder.respond(status: 200, body: text) }
            responder.loop.schedule(after: .milliseconds(20)) { responder.respond(status: 200, body: text) }
        }
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        client.finishWriting()
        #expect(client.receiveResponse().text == "/a 0")
        let last = client.receiveResponse()
        #expect(last.text == "/b 3")
        #expect(client.receiveAll() == "")
    }

    @Test("half a request is none: a client that ends there is let go, behind what it is still owed")
    func halfRequest() throws {
        let echo = try Echo()
        defer { echo.stop() }
        for rest in ["GET /b HTT", "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", ""] {
            let client = RawClient(port: echo.port)
            client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + rest)
            client.finishWriting()
            #expect(client.receiveResponse().text == "GET /a 0")
            #expect(client.receiveAll() == "")
        }
    }

    @Test("a stream reaches a client that sends nothing more")
    func halfClosedStream() throws {
        let echo = try Echo { _, responder in
            responder.startStream(status: 200)
            responder.loop.schedule(after: .milliseconds(20)) {
                responder.write([0x61, 0x62])
                responder.end()
            }
        }
        defer { echo.stop() }
        let client = RawClient(port: echo.port)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.finishWriting()
        let response = client.receiveResponse()
        #expect(response.text == "ab")
        #expect(response.isComplete)
        #expect(client.receiveAll() == "")
    }

    @Test("a port that is taken is one clear line")
    func portInUse() throws {
        let echo = try Echo()
        defer { echo.stop() }
        let loop = try EventLoop(name: "second")
        let server = HTTPServer(loop: loop) { _, _ in }
        let error = #expect(throws: ListenError.self) {
            try server.listen(.tcp(host: "127.0.0.1", port: echo.port))
        }
        #expect(
            error?.description
                == "cannot listen on 127.0.0.1:\(echo.port): Address already in use; "
                + "stop the program that listens there, or choose another address")
    }

    @Test("a Unix socket gets its mode, tells who asks, and replaces what an unclean stop left behind")
    func unixSocket() throws {
        let path = "/tmp/canaryd-test-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        for _ in 0..<2 {
            let loop = try EventLoop(name: "unix")
            let server = HTTPServer(loop: loop) { request, responder in
                responder.respond(status: 200, body: Array("\(request.peer?.pid ?? 0)".utf8))
            }
            try server.listen(.unix(path: path, mode: 0o660))
            loop.start()
            var status = stat()
            #expect(lstat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o660)
            let client = RawClient(path: path)
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.receiveResponse().text == "\(getpid())")
            // On a Unix socket an end of input is never mistaken for a client that left.
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.finishWriting()
            #expect(client.receiveResponse().text == "\(getpid())")
            loop.stop()
            loop.join()
            server.close()
        }
        unlink(path)
    }
}
