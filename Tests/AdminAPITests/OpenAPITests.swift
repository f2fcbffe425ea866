import AdminAPI
import AdminClient
import AdminTestSupport
import AdminTypes
import Glibc
import JSON
import PolicyModel
import RolloutController
import RolloutEngine
import Testing
import Vocabulary

/// `docs/openapi.json`, and whether a JSON value is as one of its schemas says.
struct OpenAPIDocument {
    let root: JSONValue

    init() throws {
        let folder = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let file = try #require(fopen(folder + "/docs/openapi.json", "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        root = try JSONReader.parse(bytes)
    }

    func members(_ value: JSONValue?) -> [JSONValue.Member] {
        guard case .object(let members) = value else { return [] }
        return members
    }

    func strings(_ value: JSONValue?) -> [String] {
        guard case .array(let items) = value else { return [] }
        return items.compactMap { if case .string(let text) = $0 { text } else { nil } }
    }

    /// The schema of an answer in JSON.
    func schema(_ method: String, _ path: String, _ status: Int) -> JSONValue? {
        root["paths"]?[path]?[method.lowercased()]?["responses"]?["\(status)"]?["content"]?["application/json"]?[
            "schema"]
    }

    /// What is wrong with the value, each with its place; empty where it is as documented. Knows what our document
    /// uses of JSON Schema.
    func faults(_ value: JSONValue, _ schema: JSONValue, at place: String = "$") -> [String] {
        if case .string(let reference) = schema["$ref"] {
            let name = String(reference.split(separator: "/").last ?? "")
            guard let target = root["components"]?["schemas"]?[name] else { return ["\(place): no schema \(name)"] }
            return faults(value, target, at: place)
        }
        if case .array(let choices) = schema["oneOf"] {
            return choices.contains { faults(value, $0, at: place).isEmpty } ? [] : ["\(place): none of the choices"]
        }
        if case .array(let allowed) = schema["enum"], !allowed.contains(value) { return ["\(place): not in the enum"] }
        switch (schema["type"], value) {
        case (.string("string"), .string), (.string("boolean"), .bool), (.string("number"), .number),
            (.string("null"), .null):
            return []
        case (.string("integer"), .number(let digits)): return digits.contains(".") ? ["\(place): no integer"] : []
        case (.string("array"), .array(let items)):
            guard let schema = schema["items"] else { return ["\(place): items are not documented"] }
            return items.enumerated().flatMap { faults($1, schema, at: "\(place)[\($0)]") }
        case (.string("object"), .object(let members)):
            let properties = schema["properties"]
            let missing = strings(schema["required"]).filter { value[$0] == nil }.map { "\(place).\($0) is missing" }
            return missing
                + members.flatMap { member in
                    properties?[member.key].map { faults(member.value, $0, at: "\(place).\(member.key)") }
                        ?? ["\(place).\(member.key) is not documented"]
                }
        default: return ["\(place): \(value.kind) is not as documented"]
        }
    }
}

@Suite("The OpenAPI document", .timeLimit(.minutes(15)))
struct OpenAPITests {
    let document: OpenAPIDocument

    init() throws { document = try OpenAPIDocument() }

    @Test("Every documented route exists, and every route is documented")
    func routes() {
        var documented: Set<String> = []
        for path in document.members(document.root["paths"]) {
            for method in document.members(path.value) {
                let socket = document.strings(method.value["tags"])[0]
                documented.insert("\(socket) \(method.key.uppercased()) \(path.key)")
            }
        }
        #expect(documented == Set(AdminRoute.table.map { "\($0.socket.rawValue) \($0.method) \($0.template)" }))
    }

    @Test("Every query key is documented, and every documented one is taken", arguments: AdminRoute.table)
    func queries(_ route: AdminRoute) {
        let operation = document.root["paths"]?[route.template]?[route.method.lowercased()]
        guard case .array(let parameters) = operation?["parameters"] else {
            Issue.record("no parameters of \(route.template)")
            return
        }
        func names(_ place: String) -> Set<String> {
            Set(
                parameters.compactMap { parameter in
                    guard parameter["in"] == .string(place), case .string(let name) = parameter["name"] else {
                        return nil
                    }
                    return name
                })
        }
        #expect(names("query") == Set(route.queryKeys))
        let inPath = route.template.split(separator: "/").filter { $0.hasPrefix("{") }.map {
            String($0.dropFirst().dropLast())
        }
        #expect(names("path") == Set(inPath))
    }

    private func check(_ client: AdminClient, _ method: String, _ template: String, _ target: String, body: String = "")
        throws
    {
        let (status, bytes) = try client.exchange(method, target, body: Array(body.utf8))
        let schema = try #require(
            document.schema(method, template, status), "\(method) \(target): \(status) undocumented")
        let faults = document.faults(try JSONReader.parse(bytes), schema)
        #expect(faults.isEmpty, "\(method) \(target): \(faults)")
    }

    private func backend() -> ScriptedBackend {
        let backend = Example.backend()
        backend.services["income"]?.evaluation = Example.harmful
        backend.services["income"]?.notes = ["a note"]
        backend.services["income"]?.baseline.p99 = .infinity
        backend.services["income"]?.state.freeze = Freeze(reason: "a", by: "b", at: 0)
        backend.services["income"]?.baseline.states = [
            ServerView(address: .http(host: "a", port: 1), state: .healthy),
            ServerView(address: .http(host: "b", port: 1), state: .ejected(until: 1), until: 1),
            ServerView(address: .http(host: "c", port: 1), state: .unhealthy(reason: "says no")),
        ]
        backend.services["income"]?.state.previous = VersionIdentity(name: "old")
        backend.records = [
            RolloutRecord(
                id: "income-1", service: "income", baseline: .init(name: "a"), candidate: .init(name: "b"),
                startedAt: 0,
                endedAt: 1, result: .reverted, reason: "c", decision: 1, candidateRequests: 2)
        ]
        var page = StoredPage()
        page.head = "{}"
        page.count = 1
        page.items = [1, 2, 3]
        page.begin = 1
        page.end = 2
        page.next = 1
        backend.recordings["income"] = ["income-1": [page]]
        backend.targetList = [
            TargetStatus(
                version: "a", server: "127.0.0.1:1", reachable: true,
                state: .ejected, detail: "a", until: Timestamp(milliseconds: 0),
                scrape: .init(
                    url: "http://x", at: Timestamp(milliseconds: 0), ok: false, problem: "gone", samples: 0,
                    durationSeconds: 0.5))
        ]
        return backend
    }

    @Test("What readers get is as documented, with everything set that can be")
    func reading() throws {
        let api = try RunningAPI(backend())
        let client = AdminClient(path: api.adminSocket)
        let service = "/v1/services/{service}"
        try check(client, "GET", "/v1/services", "/v1/services")
        try check(client, "GET", service, "/v1/services/income")
        try check(client, "GET", service + "/history", "/v1/services/income/history")
        try check(client, "GET", service + "/events", "/v1/services/income/events")
        try check(client, "GET", service + "/targets", "/v1/services/income/targets")
        try check(client, "GET", "/v1/version", "/v1/version")
        try check(client, "GET", "/healthz", "/healthz")
        try check(client, "GET", "/readyz", "/readyz")
        api.sync { backend in
            backend.services["income"]?.state.freeze = nil
            _ = backend.handle(.evaluated(Example.harmful, elapsed: .seconds(1)), service: "income")
            backend.readiness = HealthStatus(ok: false, problems: ["x"])
        }
        try check(client, "GET", service, "/v1/services/income")
        try check(client, "GET", service + "/decisions/{id}", "/v1/services/income/decisions/latest")
        try check(client, "GET", "/readyz", "/readyz")
        try check(client, "GET", service, "/v1/services/nope")
        try check(client, "GET", service + "/history", "/v1/services/income/history?x=1")
        try check(client, "GET", service + "/decisions/{id}", "/v1/services/income/decisions/99")
        try check(client, "GET", service + "/recording", "/v1/services/income/recording?rollout=income-1")
        try check(client, "GET", service + "/recording", "/v1/services/income/recording")
        try check(client, "GET", service + "/recording", "/v1/services/income/recording?after=x")
        api.sync { $0.journalFault = "gone" }
        try check(client, "GET", service + "/recording", "/v1/services/income/recording?rollout=income-1")
        try check(client, "GET", service + "/events", "/v1/services/income/events")
    }

    @Test("What commands answer is as documented: done, refused, not durable, wrong", arguments: CommandVerb.allCases)
    func commands(_ verb: CommandVerb) throws {
        let api = try RunningAPI(Example.backend())
        let client = AdminClient(path: api.adminSocket)
        let template = "/v1/services/{service}/\(verb.rawValue)"
        let target = "/v1/services/income/\(verb.rawValue)"
        try check(client, "POST", template, target)
        try check(client, "POST", template, target)
        try check(client, "POST", template, target, body: "{")
        try check(client, "POST", template, target, body: String(repeating: " ", count: AdminLimits.commandBytes + 1))
        try check(client, "POST", template, "/v1/services/nope/\(verb.rawValue)")
        api.sync { $0.diskFault = "full" }
        try check(client, "POST", template, target)
        try check(client, "POST", template, target)
    }

    @Test("What the feedback socket answers is as documented")
    func feedback() throws {
        let api = try RunningAPI(Example.backend())
        let client = AdminClient(path: api.feedbackSocket)
        let template = "/v1/services/{service}/feedback"
        let target = "/v1/services/income/feedback"
        try check(client, "POST", template, target, body: #"{"inference_id":"a","score":1}"#)
        try check(client, "POST", template, target, body: "{}")
        try check(client, "POST", template, "/v1/services/nope/feedback", body: "{}")
        api.sync { $0.feedbackRoom = 0 }
        try check(client, "POST", template, target, body: #"{"inference_id":"a","score":1}"#)
    }

    @Test("The enums of the document have the cases of the types")
    func vocabulary() {
        func compare<Value: CaseIterable & RawRepresentable>(_: Value.Type) where Value.RawValue == String {
            let schema = document.root["components"]?["schemas"]?["\(Value.self)"]
            #expect(document.strings(schema?["enum"]) == Value.allCases.map(\.rawValue), "\(Value.self)")
        }
        compare(Verdict.self)
        compare(MeasureUnit.self)
        compare(NoteKind.self)
        compare(ServicePhase.self)
        compare(HoldReason.self)
        compare(PauseCause.self)
        compare(CheckAction.self)
        compare(PersonAction.self)
        compare(RolloutResult.self)
        compare(EventKind.self)
        compare(FailureStage.self)
        compare(ServerCondition.self)
    }

    @Test("The check itself notices what is missing, undocumented or of another type")
    func checker() throws {
        let schema = try JSONReader.parse(Array(##"{"$ref":"#/components/schemas/Share"}"##.utf8))
        func faults(_ json: String) throws -> [String] {
            document.faults(try JSONReader.parse(Array(json.utf8)), schema)
        }
        #expect(try faults(#"{"percent":1,"basisPoints":100}"#).isEmpty)
        #expect(try faults(#"{"percent":1}"#) == ["$.basisPoints is missing"])
        #expect(try faults(#"{"percent":1,"basisPoints":1,"x":2}"#) == ["$.x is not documented"])
        #expect(try faults(#"{"percent":"1","basisPoints":1}"#) == ["$.percent: a string is not as documented"])
        #expect(try faults(#"{"percent":1,"basisPoints":1.5}"#) == ["$.basisPoints: no integer"])
    }
}
