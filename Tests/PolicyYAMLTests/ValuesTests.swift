import Glibc
import PolicyModel
import Testing

@testable import PolicyYAML

@Suite("Values", .timeLimit(.minutes(15)))
struct ValuesTests {
    @Test("Every key of a policy arrives in the model")
    func policy() throws {
        let policy = try #require(ConfigurationLoader.load(policyFile: "\(Fixtures.folder)/policy.good.yaml").value)
        let limits = ThresholdLimits(
            interval: .seconds(5), window: .seconds(120), minSamples: 60, failureLimit: 1, inconclusiveLimit: 7,
            consecutiveErrorLimit: 3)
        var long = limits
        long.window = .seconds(5400)
        long.failureLimit = 4
        let errors = ErrorsCheck(max: 0.01, maxIncrease: 0.5, floor: 0.002, unlessBaselineExceeds: true, from: .scrape)
        let queues = ErrorsCheck(maxIncrease: 0.5, statuses: ResponseSet(300...399, 429...429, 500...599))
        let first = LatencyCheck(quantile: 0.95, of: .firstByte, max: .milliseconds(250), maxIncrease: 0.1)
        let recall = QualityCheck(
            measure: .recall,
            groups: [GroupSelector(attribute: "race"), GroupSelector(attribute: "sex", value: "Female")],
            maxDrop: 0.05, minSamples: 70, small: .block, maturity: .seconds(1800))
        let distribution = LatencyCheck(
            quantile: 0.9, isDistribution: true, maxIncrease: 0.15, floor: .milliseconds(5))
        let tail = LatencyCheck(
            quantile: 0.99, max: .seconds(1), maxIncrease: 0.15, unlessBaselineExceeds: true)
        let memory = MetricCheck(
            series: "nv_gpu_memory_used_bytes{gpu=\"0\"}", aggregate: .max, max: 75_161_927_680, min: 1_048_576,
            forScrapes: 3, unit: .bytes)
        let queue = MetricCheck(
            series: "queue_seconds", aggregate: .quantile(0.99), max: 0.25, maxIncrease: 0.2, unit: .seconds)
        let retries = MetricCheck(
            series: "retries_total{kind=\"gpu\"}", aggregate: .rate, maxIncrease: 0.5, floor: 0.1, absent: .zero)
        let expected = Policy(
            name: "everything", description: "Every key that a policy knows.", onNoData: .revert(after: .seconds(600)),
            checks: [
                Check(name: "error-rate", kind: .errors(errors), share: 2.5, limits: limits),
                Check(name: "full-queues", kind: .errors(queues), action: .pause, limits: limits),
                Check(
                    name: "client-errors", kind: .clientErrors(ClientErrorsCheck(maxIncrease: 0.5, floor: 0.01)),
                    limits: limits),
                Check(name: "p95-latency", kind: .latency(first), limits: long),
                Check(name: "distribution", kind: .latency(distribution), limits: limits),
                Check(name: "tail", kind: .latency(tail), limits: limits),
                Check(
                    name: "odd-quantile", kind: .latency(LatencyCheck(quantile: 0.59, max: .milliseconds(1500))),
                    limits: limits),
                Check(name: "recall", kind: .quality(recall), limits: limits),
                Check(
                    name: "positives",
                    kind: .quality(QualityCheck(measure: .falsePositiveRate, maxRise: 0.03, maturity: .seconds(60))),
                    action: .notify, limits: limits),
                Check(name: "gpu-memory", kind: .metric(memory), limits: limits),
                Check(name: "queue-time", kind: .metric(queue), limits: limits),
                Check(name: "retries", kind: .metric(retries), limits: limits),
            ])
        #expect(policy == expected)
    }

    @Test("Every key of a service arrives in the model, paths relative to its file")
    func service() throws {
        let service = try #require(ConfigurationLoader.load(serviceFile: "\(Fixtures.folder)/service.good.yaml").value)
        #expect(service.name == "income")
        #expect(
            service.listen == [
                .tcp(host: "127.0.0.1", port: 8080), .tcp(host: "::1", port: 8080),
                .unix(path: "\(Fixtures.folder)/run/income.sock"), .systemd(name: "income"),
            ])
        #expect(service.route == Route(host: "models.example", path: "/v2/models/income"))
        let metrics = MetricsSource(
            preset: "reference", path: "/metrics", port: 9101, model: "income", interval: .seconds(10),
            timeout: .seconds(3))
        #expect(
            service.versions == [
                Version(
                    name: "fp32-v1",
                    servers: [.http(host: "127.0.0.1", port: 9001), .http(host: "localhost", port: 80)],
                    revision: "2026-11-20", metrics: metrics),
                Version(
                    name: "int8-v2", servers: [.reference(artifact: "int8")], upstream: UpstreamRules(reuse: false)),
                Version(name: "local", servers: [.reference(artifact: "\(Fixtures.folder)/artifacts/local")]),
            ])
        #expect(service.baseline == "fp32-v1" && service.candidate == "int8-v2")
        #expect(service.policies == ["standard", "sensitive-groups"])
        #expect(
            service.traffic
                == TrafficRules(
                    sticky: .header("x-user-id"),
                    match: [HeaderMatch(header: "x-canary", equals: "always", to: .candidate)],
                    mirror: Mirror(share: Weight(clamping: 250)),
                    rescue: Rescue(methods: ["GET", "PATCH"], paths: ["/v2/models/income/infer"], maxBody: 16_384),
                    timeouts: Timeouts(connect: .milliseconds(250), response: .seconds(120), idle: .seconds(3600))))
        #expect(
            service.strategy
                == Strategy(
                    start: .manual, warmup: Warmup(requests: 20, within: .seconds(120)),
                    steps: [
                        .weight(Weight(clamping: 100), hold: .seconds(120)),
                        .weight(Weight(clamping: 1000), hold: .seconds(600)), .pause(nil), .pause(.seconds(1800)),
                        .weight(Weight(clamping: 5000), hold: .seconds(1800)),
                    ], promotion: .manual, bake: Bake(duration: .seconds(3600), control: Weight(clamping: 400)),
                    deadline: Deadline(after: .seconds(86_400), then: .revert)))
        #expect(
            service.analysis
                == AnalysisRules(
                    interval: .seconds(2),
                    requests: JudgedRequests(methods: ["POST"], paths: ["/v2/models/income/infer"]),
                    judge: .threshold, risk: Risk(falseRevert: 0.02, falsePromote: 0.1)))
    }

    @Test("A service's budget for harm, and its rule for promotions without proof")
    func harm() throws {
        let service = try #require(
            ConfigurationLoader.load(serviceFile: "\(Fixtures.folder)/risk.good.yaml").value)
        #expect(
            service.analysis.risk
                == Risk(
                    harm: HarmBudget(excessFailures: 200, confidence: 0.99),
                    promotion: UnprovenPromotion(after: .seconds(86_400), whenExcessFailuresAtMost: 5)))
    }

    @Test("What a service does not write is as the model's defaults say")
    func defaults() throws {
        let file = "\(Fixtures.root)/examples/minimal/service.yaml"
        let service = try #require(ConfigurationLoader.load(serviceFile: file).value)
        #expect(service.traffic == TrafficRules() && service.strategy == Strategy())
        #expect(service.analysis == AnalysisRules() && service.route == Route())
    }

    @Test("A policy test arrives with phases filled in from those before")
    func policyTest() throws {
        let loaded = ConfigurationLoader.load(policyTestFile: "\(Fixtures.folder)/policy-test.good.yaml")
        let test = try #require(loaded.value)
        #expect(test.seed == 7 && test.interval == .seconds(2) && test.policies.map(\.name) == ["everything"])
        #expect(test.strategy.steps == [.weight(Weight(clamping: 1000), hold: .seconds(60))])
        let scenario = test.scenarios[0]
        #expect(scenario.line == 6 && scenario.duration == .seconds(360))
        let (first, second) = (scenario.phases[0], scenario.phases[1])
        #expect(first.rate == 20 && second.rate == 5)
        #expect(first.candidate.errors == 0.05 && first.candidate.latency == first.baseline.latency)
        #expect(second.candidate.errors == 0.05 && !second.candidate.reachable && second.baseline == first.baseline)
        #expect(second.feedback == nil && !second.scrapesAnswer && second.series == first.series)
        let women = try #require(first.feedback?.groups.first)
        #expect(women.value == "Female" && women.share == 0.33)
        #expect(women.candidate == ArmQuality(recall: 0.2, falsePositiveRate: 0.02))
        #expect(scenario.expected == ExpectedDecision(decision: .revert, check: "error-rate", within: .seconds(180)))
        // A candidate like the baseline follows it.
        let like = test.scenarios[1].phases
        #expect(like[1].candidate == like[1].baseline && like[1].candidate.errors == 0.03)
        #expect(like[1].feedback == like[0].feedback && like[0].feedback?.attribute == nil)
    }

    @Test("The agent's settings, with paths relative to its file")
    func agent() throws {
        let folder = "\(Fixtures.root)/examples/income"
        let loaded = ConfigurationLoader.load(agentFile: "\(folder)/canaryd.yaml")
        let agent = try #require(loaded.configuration).agent
        #expect(agent.stateDirectory == "\(folder)/state")
        #expect(agent.admin == .unix(path: "\(folder)/state/admin.sock"))
        #expect(agent.loops == nil && agent.logLevel == .info && agent.logFormat == .auto)
    }

    @Test(
        "The metrics' address is on loopback or a warning",
        arguments: [
            ("127.0.0.1:9464", true), ("127.8.9.10:9464", true), ("localhost:9464", true), ("[::1]:9464", true),
            ("0.0.0.0:9464", false), ("[::]:9464", false), ("10.0.0.7:9464", false), ("127.example.org:9464", false),
            ("localhost.example.org:9464", false), ("[::ffff:127.0.0.1]:9464", false),
        ])
    func metricsAddress(_ text: String, isLoopback: Bool) throws {
        let address = try Addresses.listen(text, base: ".")
        guard case .tcp(let host, _) = address else { throw InvalidValue("is no TCP address") }
        #expect(Addresses.isLoopback(host) == isLoopback)
    }

    @Test(
        "Two listeners collide on the same port of one address, or of all addresses",
        arguments: [
            ("127.0.0.1:9464", "127.0.0.1:9464", true), ("127.0.0.1:9464", "127.0.0.1:9465", false),
            ("127.0.0.1:9464", "127.0.0.2:9464", false), ("0.0.0.0:9464", "127.0.0.1:9464", true),
            ("[::]:9464", "10.0.0.7:9464", true), ("localhost:9464", "127.0.0.1:9464", true),
            ("127.0.0.1:0", "127.0.0.1:0", false), ("0.0.0.0:0", "127.0.0.1:0", false),
            ("127.0.0.1:9464", "unix:/run/x", false), ("unix:/run/x", "unix:/run/x", true),
        ])
    func collision(_ first: String, _ second: String, collide: Bool) throws {
        let (a, b) = (try Addresses.listen(first, base: "/"), try Addresses.listen(second, base: "/"))
        #expect(Addresses.collide(a, b) == collide)
        #expect(Addresses.collide(b, a) == collide)
    }

    @Test("A file that is not there, too large, or no file gets one line")
    func unreadable() {
        let missing = ConfigurationLoader.load(agentFile: "/nowhere/canaryd.yaml")
        #expect(
            missing.diagnostics.map(\.description)
                == ["/nowhere/canaryd.yaml: error: does not exist: create it, or correct the path"])
        let folder = ConfigurationLoader.load(policyFile: Fixtures.folder)
        #expect(folder.diagnostics.count == 1 && folder.value == nil)
        #expect(ConfigurationLoader.load(policyFile: "/dev/null").diagnostics.count == 1)
        let large = "/tmp/canaryd-large-\(getpid()).yaml"
        defer { unlink(large) }
        for (size, refused) in [(1 << 20, false), (1 << 20 + 1, true)] {
            let file = fopen(large, "w")
            fputs("policy: p\nchecks: [{name: a, errors: {max: 1%}}]\n#", file)
            fputs(String(repeating: "x", count: size - 50), file)
            fclose(file)
            let says = ConfigurationLoader.load(policyFile: large).diagnostics.map(\.message)
            #expect(says == (refused ? ["is larger than 1 MiB, the most that is read: split it up"] : []))
        }
    }

    @Test("A file of mistakes shows a hundred and stops")
    func many() {
        let lines = (0..<500).map { "key\($0): 1\n" }.joined()
        let report = FileReport(file: "many.yaml", text: lines)
        let root = NodeReader.read("policy: p\n" + lines, report: report)
        _ = root.map { PolicyReader.read($0, report: report) }
        #expect(report.diagnostics.count == ConfigurationLimits.diagnostics)
        let shown = FileReport.diagnostics(of: [report])
        #expect(shown.last?.message == "and more: correct those above first" && shown.first?.line == 2)
    }

    @Test(
        "A diagnostic shows its own line, whatever ends the lines",
        arguments: ["\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"])
    func lineEnds(end: String) throws {
        let text = ["# a file", "policy: p", "chekcs: []", ""].joined(separator: end)
        let report = FileReport(file: "p.yaml", text: text)
        let root = try #require(NodeReader.read(text, report: report))
        _ = PolicyReader.read(root, report: report)
        let diagnostic = try #require(report.diagnostics.first { $0.message.contains("chekcs") })
        #expect(diagnostic.line == 3 && diagnostic.column == 1 && diagnostic.excerpt == "chekcs: []")
    }
}
