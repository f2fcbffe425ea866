import Analysis
import Glibc
import PolicyModel
import PrometheusText
import TestSupport
import Testing

@testable import MetricsScrape

@Suite("Scrape loop", .timeLimit(.minutes(15)))
struct ScrapeLoopTests {
    private func target(
        _ metrics: Endpoint, path: String = "/metrics", timeout: Duration = .seconds(20),
        interval: Duration = .milliseconds(100), preset: String? = nil
    ) -> ScrapeTarget {
        ScrapeTarget(
            service: "income", version: VersionIdentity(name: "v1"), server: metrics, metrics: metrics, path: path,
            preset: preset, interval: interval, timeout: timeout,
            queries: [SeriesQuery(selector: "x", kind: .gauge)])
    }

    /// Scrapes a target until there are `results` results, and returns them in order. The wait blocks the test's
    /// thread, since the loop would go on scraping every 100 ms while an asynchronous wait is queued behind other
    /// tests.
    private func scrape(
        _ target: ScrapeTarget, results: Int = 1, limits: ScrapeLimits = ScrapeLimits(pending: 1_000)
    ) throws -> [ScrapeResult] {
        let loop = ScrapeLoop(limits: limits)
        defer { loop.stop() }
        loop.setTargets([target])
        var collected: [ScrapeResult] = []
        eventually("\(results) results; \(collected.count) came") {
            collected += loop.drain()
            return collected.count >= results
        }
        try #require(collected.count >= results)
        return Array(collected.prefix(results))
    }

    private func failure(
        _ reply: RawServer.Reply, timeout: Duration = .seconds(20),
        limits: ScrapeLimits = ScrapeLimits(pending: 1_000)
    ) throws -> String? {
        let server = try RawServer(reply)
        defer { server.close() }
        let result = try scrape(target(server.endpoint, timeout: timeout), limits: limits)[0]
        guard case .failure(let reason) = result.outcome else { return nil }
        return reason
    }

    private func value(_ result: ScrapeResult) -> [Double]? {
        guard case .sample(let sample) = result.outcome,
            case .values(let values) = sample.series[SeriesQuery(selector: "x", kind: .gauge)]
        else { return nil }
        return Array(values.values)
    }

    @Test(
        "replies in every shape that servers send",
        arguments: [
            RawServer.Reply.ok("x 1\n", headers: "Content-Type: text/plain; version=1.0.0\r\n"),
            .text("HTTP/1.0 200 OK\r\n\r\nx 1\n"),
            .text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nx \r\n2\r\n1\n\r\n0\r\n\r\n"),
            .ok(Gzip.x1, headers: "Content-Encoding: gzip\r\n"),
        ])
    func shapes(reply: RawServer.Reply) throws {
        let server = try RawServer(reply)
        defer { server.close() }
        let results = try scrape(target(server.endpoint), results: 2)
        #expect(results.map(value) == [[1], [1]])
        #expect(results[0].startedAt < results[1].startedAt)
        let head = try #require(server.heads.first)
        #expect(head.hasPrefix("GET /metrics HTTP/1.1\r\nHost: \(server.endpoint)\r\n"))
        #expect(head.contains("Accept-Encoding: gzip\r\n") && !head.contains("ookie") && !head.contains("uthorization"))
    }

    @Test("a server that is silent is given up after the timeout")
    func timeout() throws {
        #expect(try failure(.silence, timeout: .milliseconds(60)) == "no whole reply within 60ms")
    }

    @Test("nothing listens there")
    func refused() throws {
        let result = try scrape(target(Endpoint(host: "127.0.0.1", port: 1)))[0]
        guard case .failure(let reason) = result.outcome else {
            Issue.record("a port without a listener gave a sample")
            return
        }
        #expect(reason.hasPrefix("Failed to connect to 127.0.0.1 port 1"))
        #expect(reason.hasSuffix(": is the server up, and is this its metrics port?"))
    }

    @Test("a redirect is not followed, and says where it points")
    func redirect() throws {
        let reason = try failure(
            .text("HTTP/1.1 307 Temporary Redirect\r\nLocation: /metrics/\r\nContent-Length: 0\r\n\r\n"))
        #expect(reason?.contains("answered 307, a redirect to http://127.0.0.1:") == true)
        #expect(reason?.contains("/metrics/; redirects are not followed") == true)
    }

    @Test("any other status is a failure")
    func status() throws {
        #expect(
            try failure(.text("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nx 1\n"))
                == "answered 503 instead of 200")
    }

    @Test("garbage is refused with line and reason")
    func garbage() throws {
        #expect(
            try failure(.ok("x 1\n<html>\n"))
                == "the response is not Prometheus text: line 2: expected a metric name at column 1, found \"<html>\"")
        #expect(
            try failure(.text("HTTP/1.0 200 OK\r\n\r\nx 12\nx 1"))
                == "the response is not Prometheus text: line 2: the text does not end with a newline: "
                + "the reply was cut off")
    }

    @Test(
        "JSON is named, since some servers have it beside their page for Prometheus", arguments: ["[]", "{\"x\": 1}"])
    func json(body: String) throws {
        #expect(
            try failure(.ok(body, headers: "Content-Type: application/json; charset=utf-8\r\n"))
                == "the response is JSON and not Prometheus text: set metrics.path to where the server has its metrics for "
                + "Prometheus")
    }

    @Test("too many series are refused")
    func series() throws {
        let reason = try failure(.ok((0...20_000).map { "x{i=\"\($0)\"} 1\n" }.joined()))
        #expect(
            reason
                == "the response has more than 20000 samples: let the server show fewer series, or raise the version's "
                + "metrics.maxSamples")
    }

    @Test("a reply, a head and a gzip bomb without end stop at their limits")
    func sizes() throws {
        let limits = ScrapeLimits(body: 100_000, head: 10_000)
        let line = [UInt8](String(repeating: "#", count: 999).utf8) + [10]
        let tooLarge =
            "the response is larger than 100000 bytes: let the server show fewer series, or raise the version's metrics.maxBody"
        let endless = RawServer.Reply.forever(head: [UInt8]("HTTP/1.0 200 OK\r\n\r\n".utf8), chunk: line)
        #expect(try failure(endless, limits: limits) == tooLarge)
        #expect(
            try failure(.ok(Gzip.mebibyteOfHashes, headers: "Content-Encoding: gzip\r\n"), limits: limits)
                == tooLarge)
        // A gzip header whose file name does not end: many bytes come in and none goes out.
        let hollow = RawServer.Reply.forever(
            head: [UInt8]("HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n".utf8)
                + [0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 3], chunk: line.map { $0 == 10 ? 35 : $0 })
        #expect(try failure(hollow, limits: limits) == tooLarge)
        let head = RawServer.Reply.forever(
            head: [UInt8]("HTTP/1.1 200 OK\r\n".utf8), chunk: [UInt8]("X-Again: and again\r\n".utf8))
        #expect(
            try failure(head, limits: limits) == "the response's headers are larger than 10000 bytes")
    }

    @Test("a failure is followed by a success when the server recovers, and a counter reset gives no negative step")
    func recovers() throws {
        let server = try RawServer(
            .ok("reference_requests_total{code=\"200\"} 10\n"), .text("nonsense\r\n\r\n"),
            .ok("reference_requests_total{code=\"200\"} 14\n"), .ok("reference_requests_total{code=\"200\"} 3\n"))
        defer { server.close() }
        var window = SeriesWindow(span: .seconds(86_400))
        let results = try scrape(target(server.endpoint, preset: "reference"), results: 4)
        for result in results {
            switch result.outcome {
            case .sample(let sample): window.record(sample, of: server.endpoint, arm: .candidate)
            case .failure(let reason):
                window.recordFailure(reason, at: result.startedAt, of: server.endpoint, arm: .candidate)
            }
        }
        let delta = try #require(window.delta(of: .candidate, from: results[0].startedAt, to: .max))
        #expect(delta.requests == 7 && delta.errors == 0)
        #expect(window.freshness(of: .candidate)[0].lastFailure != nil)
        #expect(window.freshness(of: .candidate)[0].consecutiveFailures == 0)
    }

    @Test("results that nobody drains are bounded and counted")
    func bounded() throws {
        let server = try RawServer(.ok("x 1\n"))
        defer { server.close() }
        let loop = ScrapeLoop(limits: ScrapeLimits(pending: 2))
        defer { loop.stop() }
        loop.setTargets([target(server.endpoint)])
        eventually { loop.dropped >= 2 }
        #expect(loop.drain().count == 2)
    }

    @Test("targets that are taken out give no more results, and stop ends a scrape that hangs")
    func removal() throws {
        let silent = try RawServer(.silence)
        let lively = try RawServer(.ok("x 1\n"))
        defer {
            silent.close()
            lively.close()
        }
        let loop = ScrapeLoop()
        loop.setTargets([target(silent.endpoint, timeout: .seconds(3600)), target(lively.endpoint)])
        eventually { !silent.heads.isEmpty && !lively.heads.isEmpty }
        loop.setTargets([target(silent.endpoint, timeout: .seconds(3600))])
        #expect(loop.drain().allSatisfy { $0.target.metrics == silent.endpoint })
        loop.stop()
        loop.stop()
        #expect(loop.drain().isEmpty)
    }

    @Test("a page without Content-Encoding that is gzip says so")
    func gzipWithoutHeader() throws {
        #expect(
            try failure(.ok(Gzip.x1))
                == "the response is compressed with gzip and does not say so: have the server send the header "
                + "Content-Encoding: gzip, or no compression")
    }

    @Test("OpenMetrics is known by its Content-Type and read by its rules")
    func openMetrics() throws {
        let type = "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
        let whole = try RawServer(.ok("x 1 # {} 1\n# EOF\n", headers: type))
        defer { whole.close() }
        #expect(try scrape(target(whole.endpoint)).map(value) == [[1]])
        #expect(
            try failure(.ok("x 1\n", headers: type))
                == "the response is not Prometheus text: line 2: the text does not end with # EOF, as OpenMetrics does: "
                + "the response was cut off")
    }

    @Test("a version's own limits count")
    func ownLimits() throws {
        let server = try RawServer(.ok(String(repeating: "x 1\n", count: 10)))
        defer { server.close() }
        func result(samples: Int?, body: Int?) throws -> ScrapeOutcome {
            var target = target(server.endpoint)
            (target.maxSamples, target.maxBody) = (samples, body)
            return try scrape(target, limits: ScrapeLimits(body: 39, samples: 9, pending: 1_000))[0].outcome
        }
        guard case .sample = try result(samples: 10, body: 40) else {
            Issue.record("refused within the version's limits")
            return
        }
        guard case .failure(let samples) = try result(samples: nil, body: 40),
            case .failure(let body) = try result(samples: 10, body: nil)
        else {
            Issue.record("taken in beyond the loop's limits")
            return
        }
        #expect(samples.contains("more than 9 samples") && samples.contains("metrics.maxSamples"))
        #expect(body.contains("larger than 39 bytes") && body.contains("metrics.maxBody"))
    }

    @Test("pages that take long to read hold another target's up for one of them at most")
    func slowPages() throws {
        let page = (0..<5_000).map { "x{i=\"\($0)\",j=\"\($0)\"} 1\n" }.joined()
        let heavy = try (0..<6).map { _ in try RawServer(.ok(page)) }
        let light = try RawServer(.ok("x 1\n"))
        defer { (heavy + [light]).forEach { $0.close() } }
        let loop = ScrapeLoop(limits: ScrapeLimits(pending: 1_000))
        defer { loop.stop() }
        loop.setTargets((heavy + [light]).map { target($0.endpoint) })
        var results: [ScrapeResult] = []
        func ofLight() -> [ScrapeResult] { results.filter { $0.target.metrics == light.endpoint } }
        eventually {
            results += loop.drain()
            return ofLight().count >= 6 && results.count >= 30
        }
        func end(_ result: ScrapeResult) -> Int64 { result.startedAt + result.duration.nanoseconds }
        for own in ofLight() {
            let others = results.filter { $0.target.metrics != light.endpoint }
            // The one that was being read when it came in, and one more that ended in the moment of publishing.
            #expect(others.count { own.startedAt < end($0) && end($0) < end(own) } <= 2)
        }
    }

    @Test("many targets at once, over fewer connections than targets")
    func many() throws {
        let servers = try (0..<8).map { _ in try RawServer(.ok("x 1\n")) }
        defer { servers.forEach { $0.close() } }
        let loop = ScrapeLoop(limits: ScrapeLimits(connections: 3))
        defer { loop.stop() }
        loop.setTargets(servers.map { target($0.endpoint) })
        var seen: Set<Endpoint> = []
        eventually {
            for result in loop.drain() where value(result) == [1] { seen.insert(result.target.metrics) }
            return seen.count == servers.count
        }
    }
}
