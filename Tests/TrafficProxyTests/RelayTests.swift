import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Relaying")
struct RelayTests {
    @Test("a request goes through and the reply says which version answered")
    func simple() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let client = fixture.client()
        for i in 0..<3 {
            client.send("POST /p\(i)?q=1 HTTP/1.1\r\nHost: models.example\r\nContent-Length: 4\r\n\r\nbody")
            let response = client.receiveResponse()
            #expect(response.status == 200)
            #expect(response.text == "a POST /p\(i) body")
            #expect(response["x-canary-version"] == "old")
            #expect(response["x-request-id"]?.count == 32)
        }
        #expect(server.requests.map(\.query) == ["q=1", "q=1", "q=1"])
        #expect(server.requests[0].headers["host"] == "models.example")
        #expect(server.requests[0].headers["x-forwarded-for"] == "127.0.0.1")
        let seen = fixture.observations(3)
        #expect(seen.allSatisfy { $0.outcome == .success && $0.arm == .baseline && $0.slot == 7 })
        #expect(seen.allSatisfy { $0.flags == .judged && $0.firstByte <= $0.total })
    }

    @Test("pipelined requests are answered in their order")
    func pipelining() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let client = fixture.client()
        client.send((0..<100).map { "GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
        for i in 0..<100 { #expect(client.receiveResponse().text == "a GET /\(i) ") }
        #expect(fixture.observations(100).count == 100)
    }
}
