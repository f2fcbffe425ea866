import AdminAPI
import AdminClient
import AdminTestSupport
import AdminTypes
import Analysis
import Glibc
import RolloutController
import RolloutEngine
import TestSupport
import Testing

@Suite("Reading the admin API", .timeLimit(.minutes(15)))
struct ReadingTests {
    let api: RunningAPI
    let client: AdminClient

    init() throws {
        api = try RunningAPI(Example.backend("income", "fraud"))
        client = AdminClient(path: api.adminSocket)
    }

    private func problem(_ target: String, method: String = "GET") throws -> (status: Int, ErrorBody.Problem) {
        let (status, body) = try client.exchange(method, target)
        return (status, try JSONCoding.decode(ErrorBody.self, from: body).error)
    }

    @Test("All services come sorted by name")
    func services() throws {
        #expect(try client.services().map(\.service) == ["fraud", "income"])
    }

    @Test("A service shows its rollout, its split in per cent and basis points, and what comes next")
    func service() throws {
        api.sync { $0.services["income"]?.evaluation = Example.evaluation }
        let status = try client.service("income")
        #expect(status.phase == .step)
        #expect(status.rollout?.id == "income-1")
        #expect(status.rollout?.step == 1)
        #expect(status.rollout?.candidate == "int8-v2@2026-11-20")
        #expect(status.candidateWeight == Share(basisPoints: 100))
        #expect(status.candidateWeight.percent == 1)
        #expect(status.holdLeftSeconds == 120)
        #expect(status.next == "step 2: 10% for 10m")
        #expect(status.evaluation?.checks.map(\.verdict) == [.pass, .pass, .noData])
        #expect(status.evaluation?.checks[1].measurements[0].value == 0.0912)
        #expect(status.candidate?.p95TrendSeconds.count == 24)
    }

    @Test("A quantile among errors travels as +Inf and comes back infinite")
    func infinity() throws {
        api.sync { $0.services["income"]?.candidate?.p95 = .infinity }
        #expect(try client.service("income").candidate?.p95Seconds?.value == .infinity)
        let (_, body) = try client.exchange("GET", "/v1/services/income")
        #expect(String(decoding: body, as: UTF8.self).contains(#""p95Seconds":"+Inf""#))
    }

    @Test("An unknown service is a 404 that names those there are")
    func unknownService() throws {
        let (status, problem) = try problem("/v1/services/incme")
        #expect(status == 404)
        #expect(problem.code == "unknown_service")
        #expect(problem.message == "there is no service incme; there is fraud, income")
        #expect(problem.detail == ["fraud", "income"])
    }

    @Test(
        "Every route of a service says 404 for an unknown one",
        arguments: ["history", "events", "events?follow=1", "decisions/1", "recording", "targets"])
    func unknownEverywhere(_ rest: String) throws {
        let (status, problem) = try problem("/v1/services/nope/\(rest)")
        #expect(status == 404)
        #expect(problem.code == "unknown_service")
    }

    @Test("An unknown path is a 404, another method a 405 that says which is allowed")
    func routing() throws {
        #expect(try problem("/v1/nothing").0 == 404)
        #expect(try problem("/v1/services/").1.code == "unknown_path")
        let (status, wrong) = try problem("/v1/services", method: "POST")
        #expect(status == 405)
        #expect(wrong.message == "/v1/services takes GET, not POST")
        let raw = try rawAnswer("DELETE /v1/services/income/start HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(raw.hasPrefix("HTTP/1.1 405 "))
        #expect(raw.contains("\r\nAllow: POST\r\n"))
    }

    private func rawAnswer(_ text: String) throws -> String {
        let client = RawClient(path: api.adminSocket)
        client.send(text)
        return client.receiveAll()
    }

    @Test("Unknown, repeated and senseless query keys are refused by name")
    func queries() throws {
        #expect(
            try problem("/v1/services/income/history?limt=3").1.message.contains(
                "no query key \"limt\"; it takes limit"))
        #expect(try problem("/v1/services?x=1").1.message.contains("it takes none"))
        #expect(try problem("/v1/services/income/history?limit=1&limit=2").1.message.contains("repeated"))
        #expect(
            try problem("/v1/services/income/history?limit=0").1.message == "limit is a number 1 to 1000, not \"0\"")
        #expect(try problem("/v1/services/income/events?follow=maybe").1.code == "bad_query")
        #expect(try problem("/v1/services/income/events?after=%zz").1.code == "bad_query")
    }

    @Test("Events come oldest first, after an id and up to a limit")
    func events() throws {
        api.sync { backend in
            for i in 1...5 {
                backend.record(Event(.held, message: "number \(i)"), service: "income")
                backend.record(Event(.held, message: "elsewhere \(i)"), service: "fraud")
            }
        }
        let last = try client.events("income", limit: 2)
        #expect(last.map(\.message) == ["number 4", "number 5"])
        let id = try #require(last[0].id)
        #expect(try client.events("income", after: id).map(\.message) == ["number 5"])
        #expect(try client.events("income", after: 0, limit: 1).first?.kind == "rollout_started")
    }

    @Test("The history is newest first and has the decision that ended a rollout")
    func history() throws {
        let record = RolloutRecord(
            id: "income-1", service: "income", baseline: .init(name: "fp32-v1"), candidate: .init(name: "skewed"),
            startedAt: 1_000, endedAt: 61_000, result: .reverted, reason: "recall", decision: 17,
            candidateRequests: 421)
        api.sync { $0.records = [record] }
        let history = try client.history("income")
        #expect(history.rollouts.count == 1)
        #expect(history.rollouts[0].decision == 17)
        #expect(history.rollouts[0].endedAt?.description == "1970-01-01T00:01:01.000Z")
        #expect(try client.history("fraud").rollouts.isEmpty)
    }

    @Test("A decision has every number; latest is the newest one; another service's is not found")
    func decisions() throws {
        api.sync { _ = $0.handle(.evaluated(Example.harmful, elapsed: .seconds(1)), service: "income") }
        let latest = try client.decision(nil, of: "income")
        #expect(latest.event.kind == "reverted")
        let recall = try #require(latest.evaluation?.checks.last)
        #expect(recall.verdict == .fail)
        #expect(recall.measurements[0].value == 0.368)
        #expect(recall.measurements[0].candidateSamples == 117)
        let id = try #require(latest.event.id)
        #expect(try client.decision(id, of: "income") == latest)
        #expect(throws: AdminClientError.self) { try client.decision(id, of: "fraud") }
        #expect(try problem("/v1/services/income/decisions/999").1.code == "unknown_decision")
        #expect(try problem("/v1/services/income/decisions/last").0 == 400)
    }

    @Test("A journal that cannot be read is a 500 that says so, and status still answers")
    func journalFault() throws {
        api.sync { $0.journalFault = "disk I/O error" }
        let (status, problem) = try problem("/v1/services/income/events")
        #expect(status == 500)
        #expect(problem.message.contains("disk I/O error"))
        #expect(try client.service("income").service == "income")
    }

    @Test("Health, readiness, version and metrics")
    func agent() throws {
        #expect(try client.exchange("GET", "/healthz").status == 200)
        #expect(try client.readiness().ok)
        api.sync { $0.readiness = HealthStatus(ok: false, problems: ["127.0.0.1:8080 is in use"]) }
        #expect(try client.exchange("GET", "/readyz").status == 503)
        #expect(try client.readiness().problems == ["127.0.0.1:8080 is in use"])
        #expect(try client.agent().version == "0.1.0")
        let (_, body) = try client.exchange("GET", "/metrics")
        let text = String(decoding: body, as: UTF8.self)
        #expect(text.contains("canaryd_services 2\n"))
        #expect(text.contains("canaryd_admin_requests_total{code=\"503\"} 2\n"))
    }

    @Test("Both sockets are for owner and group only")
    func mode() {
        for path in [api.adminSocket, api.feedbackSocket] {
            var status = stat()
            #expect(stat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o660)
        }
    }
}
