import AdminAPI
import AdminTestSupport
import HTTPEngine
import PrometheusText
import TestSupport
import Testing

@Suite("The metrics listener", .timeLimit(.minutes(15)))
struct MetricsServerTests {
    let api: RunningAPI
    init() throws { api = try RunningAPI(Example.backend("income", "fraud")) }

    /// Sends a request on a connection of its own and returns the whole response.
    private func exchange(_ method: String, _ target: String, body: String = "") -> String {
        let client = RawClient(port: api.metricsPort)
        client.send(
            "\(method) \(target) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                + (body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n") + "\r\n\(body)")
        return client.receiveAll()
    }

    private func parts(_ response: String) -> (head: String, body: String) {
        let parts = response.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
    }

    @Test("Metrics over TCP: one path, to be read, and nothing else")
    func routes() throws {
        let (head, body) = parts(exchange("GET", "/metrics"))
        #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(head.contains("\r\nContent-Type: \(ExpositionWriter.contentType)"))
        let page = try ExpositionParser.parse(Array(body.utf8))
        #expect(page.samples.contains { $0.name == "canaryd_services" && $0.value == 2 })
        #expect(page.families.contains { $0.name == "canaryd_admin_requests_total" })
        let (only, nothing) = parts(exchange("HEAD", "/metrics"))
        #expect(only.hasPrefix("HTTP/1.1 200 OK\r\n") && nothing.isEmpty)
        #expect(only.contains("\r\nContent-Length: \(body.utf8.count)"))
        // A scraper may add parameters of its own.
        #expect(exchange("GET", "/metrics?collect=all").hasPrefix("HTTP/1.1 200 "))

        // Every route of the API that could change or show anything else, and paths that look like the one.
        let targets =
            AdminRoute.table.filter { $0.template != "/metrics" }.map {
                ($0.method, $0.template.replacing("{service}", with: "income").replacing("{id}", with: "1"))
            } + [("GET", "/"), ("GET", "/metrics/"), ("GET", "/Metrics"), ("GET", "//metrics"), ("GET", "/%6detrics")]
        for (method, target) in targets {
            let (head, body) = parts(exchange(method, target))
            #expect(head.hasPrefix("HTTP/1.1 404 "), "\(method) \(target)")
            #expect(body == "there is no \(target) here: this address serves GET /metrics, and no API\n")
        }
        #expect(api.sync { $0.lastCommand } == nil)
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let (head, body) = parts(exchange(method, "/metrics", body: method == "POST" ? "{}" : ""))
            #expect(head.hasPrefix("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET, HEAD"), "\(method)")
            #expect(body == "/metrics takes GET and HEAD, not \(method)\n")
        }
        // Nothing else is accepted either, and what a client sent is shown safely.
        #expect(exchange("GET", "/\u{202e}txt").hasPrefix("HTTP/1.1 4"))
        let large = String(repeating: "x", count: 64 << 10)
        #expect(exchange("POST", "/metrics", body: large).hasPrefix("HTTP/1.1 413 "))
    }

    @Test("However often metrics are asked for, the page is rendered twice a second at most")
    func rendering() {
        let clock = ContinuousClock()
        let began = clock.now
        let client = RawClient(port: api.metricsPort)
        for _ in 0..<200 {
            client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(client.receive(until: "canaryd_event_followers_cut_total 0\n").contains("200 OK"))
        }
        let seconds = (clock.now - began) / .seconds(1)
        let renderings = api.sync { $0.renderings }
        #expect(Double(renderings) <= 1 + seconds / 0.5, "\(renderings) in \(seconds) s")
        // Later requests get a new page, which shows the change.
        api.sync { $0.services["fraud"] = nil }
        while !exchange("GET", "/metrics").contains("canaryd_services 1\n") {}
        #expect(api.sync { $0.renderings } > renderings)
    }

    @Test("Connections to the metrics listener are limited, and idle ones give way")
    func connections() {
        let first = RawClient(port: api.metricsPort)
        // The response shows that this connection was accepted before the others are opened.
        first.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(first.receive(until: "canaryd_event_followers_cut_total 0\n").contains("200 OK"))
        let idle = (0..<AdminLimits.metricsConnections - 1).map { _ in RawClient(port: api.metricsPort) }
        #expect(exchange("GET", "/metrics").hasPrefix("HTTP/1.1 200 "))
        #expect(api.metricsDisplaced >= 1)
        #expect(api.metricsDisplaced <= 2)
        _ = idle
    }
}
