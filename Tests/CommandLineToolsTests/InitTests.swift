import AdminTestSupport
import Foundation
import HTTPEngine
import PolicyModel
import PrometheusText
import Testing

@testable import CommandLineTools

@Suite("init", .timeLimit(.minutes(15)))
struct InitTests {
    @Test("a quantile lies within its bucket, and beyond the last bound it is that bound")
    func quantiles() {
        let counts = [(bound: 0.05, count: 50.0), (0.1, 90), (.infinity, 100)]
        #expect(BaselineSample.quantile(0.5, counts) == 0.05)
        #expect(abs((BaselineSample.quantile(0.7, counts) ?? 0) - 0.075) < 1e-12)
        #expect(BaselineSample.quantile(0.95, counts) == 0.1)
        #expect(BaselineSample.quantile(0.95, []) == nil)
    }

    @Test("a P95 in the lowest bucket is called a guess")
    func guess() {
        var sample = BaselineSample(seconds: 60)
        #expect(sample.p95Text == nil)
        (sample.p95, sample.lowestBound) = (0.095, 0.1)
        #expect(sample.p95Text == "P95 95ms (a guess: the histogram shows nothing below 100ms)")
        sample.lowestBound = 0.01
        #expect(sample.p95Text == "P95 95ms")
    }

    @Test("bounds are rounded up to two digits", arguments: [(0.1092, 0.11), (0.052, 0.052), (1.31, 1.4), (0, 0)])
    func rounding(value: Double, expected: Double) {
        #expect(abs(ProposedBounds.roundedUp(value) - expected) < 1e-12)
    }

    @Test(
        "the floor is one that the traffic can prove in a working day",
        arguments: [
            (50.0, 0.0033, 0.005, false), (0.5, 0.0033, 0.0075, true), (0.02, 0.0033, 0.03, true),
            (50, 0, 0.002, false), (50, 0.4, 0.375, false), (0.05, 0, 0.0075, true),
        ])
    func floors(rate: Double, errors: Double, floor: Double, isRaised: Bool) {
        let requests = max(rate * 600, 300)
        var sample = BaselineSample(seconds: requests / rate)
        (sample.requests, sample.errors) = (requests, requests * errors)
        let bounds = ProposedBounds(sample)
        #expect(bounds.errorFloor == floor && bounds.isRaised == isRaised, "\(bounds)")
        #expect(bounds.maxErrors > floor, "the reader refuses a ceiling that is the floor")
    }

    @Test(
        "the ceiling of the latency leaves room for the way through the proxy",
        arguments: [(0.00048, 5_500), (0.01, 15_000), (0.04, 52_000), (2, 2_600_000)])
    func ceilings(p95: Double, microseconds: Int) {
        var sample = BaselineSample(seconds: 60)
        (sample.requests, sample.p95) = (3_000, p95)
        #expect(ProposedBounds(sample).p95 == .microseconds(microseconds))
    }

    @Test("where failures are not counted, none of the bounds says that there were none")
    func uncountedFailures() throws {
        func page(_ count: Int) throws -> Exposition {
            try ExpositionParser.parse(Array("request_predict_seconds_count{model_name=\"m\"} \(count)\n".utf8))
        }
        let sample = BaselineSample(
            try #require(.named("kserve")), from: try page(1_000), to: try page(2_000), seconds: 20)
        #expect(sample.requests == 1_000 && !sample.countsErrors)
        #expect(sample.errorText == "failures are not counted")
        #expect(ProposedBounds(sample).maxErrors == 0.02)
        var counted = sample
        counted.countsErrors = true
        #expect(ProposedBounds(counted).maxErrors == 0.01 && counted.errorText == "0% failed")
    }

    @Test("files are written all or not at all, and a link that leads nowhere counts as a file")
    func newFiles() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "init-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (policy, service, link) = (folder + "/policy.yaml", folder + "/service.yaml", folder + "/link.yaml")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/nowhere/at/all")
        #expect(throws: Failure.self) { try NewFiles.refuseExisting(link) }
        let failure = #expect(throws: Failure.self) {
            try NewFiles.write([(path: policy, text: "a"), (path: link, text: "b")])
        }
        #expect(failure?.message.contains("link.yaml is there already") == true, "\(failure?.message ?? "")")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["link.yaml"])
        try NewFiles.write([(path: policy, text: "a"), (path: service, text: "b")])
        #expect(FileManager.default.contents(atPath: service) == Data("b".utf8))
    }

    @Test("a server is named by host and port, with or without http")
    func addresses() {
        #expect(ServerAddress("http://127.0.0.1:8000/")?.written == "http://127.0.0.1:8000")
        #expect(ServerAddress("[::1]:8000")?.written == "http://[::1]:8000")
        for wrong in ["127.0.0.1", "http://host", "https://h:1", "h:0", "h:99999", "u@h:80", "h:80/v2"] {
            #expect(ServerAddress(wrong) == nil, "\(wrong)")
        }
    }

    /// A server with a few routes, each a path with its body; all others respond with 404.
    private final class Routes {
        let loop: EventLoop
        let server: HTTPServer
        let address: String

        init(_ routes: [String: String]) throws {
            let loop = try EventLoop(name: "routes")
            server = HTTPServer(loop: loop) { request, responder in
                let body = routes[request.path]
                responder.respond(status: body == nil ? 404 : 200, headers: [], body: Array((body ?? "").utf8))
            }
            guard case .tcp(_, let port) = try server.listen(.tcp(host: "127.0.0.1", port: 0)) else {
                throw CancellationError()
            }
            address = "http://127.0.0.1:\(port)"
            self.loop = loop
            loop.start()
        }

        deinit {
            loop.stop()
            if !loop.isCurrent { loop.join() }
            server.close()
        }
    }

    /// Runs `init` for a server without metrics, and returns its output and the files that it writes.
    private func files(_ routes: [String: String]) throws -> (output: String, service: String, policy: String) {
        let server = try Routes(routes)
        defer { withExtendedLifetime(server) {} }
        let folder = FileManager.default.temporaryDirectory.appending(path: "init-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let run = CommandRun("init", server.address, server.address, "--out", folder)
        #expect(run.status == 0, "\(run)")
        func text(_ path: String) throws -> String {
            String(
                decoding: try #require(FileManager.default.contents(atPath: "\(folder)/\(path)/web.yaml")),
                as: UTF8.self)
        }
        return (run.output, try text("services"), try text("policies"))
    }

    @Test("a server of the Open Inference Protocol gets its health check")
    func openInference() throws {
        let files = try files([
            "/v2": #"{"name":"mlserver","version":"1.6.1","extensions":[]}"#, "/v2/health/ready": "",
        ])
        #expect(files.output.contains(", Open Inference Protocol: no metrics that canaryd knows"), "\(files.output)")
        #expect(files.service.contains("  healthCheck: {path: /v2/health/ready}\n"))
        #expect(files.service.contains("warmup: {requests: 20, within: 10m}"))
        #expect(files.policy.contains(#"latency: {quantile: p95, maxIncrease: "${latencyIncrease}"}"#))
    }

    @Test("a server of the OpenAI API is judged by its completions, and by the time to the first byte")
    func openAI() throws {
        let files = try files([
            "/v1/models": #"{"object":"list","data":[{"id":"org/model","object":"model"}]}"#, "/health": "",
        ])
        #expect(files.output.contains(", OpenAI API: "), "\(files.output)")
        #expect(files.service.contains("paths: [/v1/chat/completions, /v1/completions]}"))
        #expect(files.service.contains("  healthCheck: {path: /health}\n"))
        #expect(
            files.policy.contains("latency: {quantile: p95, of: firstByte, ") && !files.policy.contains("p95-latency"))
    }

    @Test(
        "other answers on these paths are no inference API",
        arguments: [
            ("/v2", "{}"), ("/v2", "[]"), ("/v2", "not JSON"), ("/v2", #"{"name":1,"extensions":[]}"#),
            ("/v1/models", #"{"data":[]}"#), ("/v1/models", #"{"data":[{"name":"x"}]}"#),
            ("/v1/models", #"{"data":"x"}"#),
        ])
    func otherAnswers(path: String, body: String) throws {
        let files = try files([path: body])
        #expect(
            files.output.contains(": no metrics that canaryd knows") && !files.output.contains(" API"),
            "\(files.output)")
        #expect(!files.service.contains("healthCheck") && files.service.contains("add paths if you can"))
    }

    @Test("a server that cannot be reached, and a text that is no address, are refused with the reason")
    func probing() throws {
        let gone = CommandRun("init", "http://127.0.0.1:1", "http://127.0.0.1:1")
        #expect(gone.status == 1 && gone.errors.contains("cannot be reached"), "\(gone)")
        let wrong = CommandRun("init", "127.0.0.1", "http://127.0.0.1:1")
        #expect(wrong.status == 2 && wrong.errors.contains("write http://HOST:PORT"), "\(wrong)")
    }
}
