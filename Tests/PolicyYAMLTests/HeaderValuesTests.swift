import Glibc
import PolicyModel
import Testing

@testable import PolicyYAML

@Suite("Headers and trust", .timeLimit(.minutes(15)))
struct HeaderValuesTests {
    @Test("What servers are told of clients arrives in the model, and who is believed in a match")
    func service() throws {
        let loaded = ConfigurationLoader.load(serviceFile: "\(Fixtures.folder)/headers.good.yaml")
        let traffic = try #require(loaded.value).traffic
        #expect(traffic.headers == HeaderRules(forwarded: .append, rfc7239: true, requestID: .trusted))
        #expect(traffic.match.map(\.trusted) == [true, false, false, true])
    }

    /// The settings of an agent's file with this line.
    private func agent(_ line: String) throws -> (AgentSettings, hasErrors: Bool) {
        var template = Array("/tmp/canaryd-trust-XXXXXX".utf8CString)
        let folder = String(cString: try #require(mkdtemp(&template)))
        let path = "\(folder)/canaryd.yaml"
        let file = try #require(fopen(path, "w"))
        fputs(line + "\n", file)
        fclose(file)
        defer {
            unlink(path)
            rmdir(folder)
        }
        let (root, report) = Document.read(path)
        return (AgentReader.read(try #require(root), base: folder, report: report).settings, report.hasErrors)
    }

    @Test("The access log is off until it is written, relative to the agent's file, and whole until it says otherwise")
    func accessLog() throws {
        #expect(try agent("loops: auto").0.accessLog == nil)
        let plain = try agent("accessLog: {path: stderr}").0.accessLog
        #expect(plain == AccessLogSettings(destination: .stderr, sample: 1, errors: true, query: false))
        let full = try agent("accessLog: {path: /a/b.log, sample: 1%, errors: false, query: true}").0.accessLog
        #expect(full == AccessLogSettings(destination: .file("/a/b.log"), sample: 0.01, errors: false, query: true))
        let relative = try #require(try agent("accessLog: {path: b.log}").0.accessLog)
        guard case .file(let path) = relative.destination else { throw InvalidValue("no file") }
        #expect(path.hasPrefix("/tmp/") && path.hasSuffix("/b.log"))
        #expect(try agent("accessLog: {sample: 2, path: a}").hasErrors && agent("accessLog: {sample: 1%}").hasErrors)
    }

    @Test("An agent trusts its own host, unless it names others, or nobody")
    func trust() throws {
        #expect(try agent("loops: auto").0.trusted == .host)
        let host = try agent("trustedNetworks: [loopback, unix]")
        #expect(host.0.trusted == .host && !host.hasErrors)
        let nobody = try agent("trustedNetworks: []")
        #expect(nobody.0.trusted == TrustedNetworks() && !nobody.hasErrors)
        let networks = try agent("trustedNetworks: [10.0.0.0/8, fd00::/8, 192.0.2.7, 0.0.0.0/0]")
        #expect(
            networks.0.trusted
                == TrustedNetworks(networks: [
                    .init(high: 0, low: 0xffff_0a00_0000, prefix: 104), .init(high: 0xfd00 << 48, low: 0, prefix: 8),
                    .init(high: 0, low: 0xffff_c000_0207, prefix: 128),
                    .init(high: 0, low: 0xffff_0000_0000, prefix: 96),
                ]))
    }

    @Test("A match that nobody is trusted enough for is warned of", arguments: [true, false])
    func nobody(trusts: Bool) throws {
        var template = Array("/tmp/canaryd-trust-XXXXXX".utf8CString)
        let folder = String(cString: try #require(mkdtemp(&template)))
        let path = "\(folder)/canaryd.yaml"
        let file = try #require(fopen(path, "w"))
        fputs("services: \(Fixtures.folder)/headers.good.yaml\npolicies: []\n", file)
        if !trusts { fputs("trustedNetworks: []\n", file) }
        fclose(file)
        defer {
            unlink(path)
            rmdir(folder)
        }
        let loaded = ConfigurationLoader.load(agentFile: path)
        #expect(!loaded.hasErrors && loaded.diagnostics.count == (trusts ? 0 : 1))
        let said = loaded.diagnostics.first.map(\.description) ?? ""
        #expect(said.contains("headers.good.yaml:6:1: warning: a match on x-canary needs a trusted client") != trusts)
    }

    @Test(
        "If the agent trusts nobody, a match on a client's address and a reserved sticky key are warned of with a way out"
    )
    func nobodyForwards() throws {
        var template = Array("/tmp/canaryd-trust-XXXXXX".utf8CString)
        let folder = String(cString: try #require(mkdtemp(&template)))
        let texts = [
            ("canaryd.yaml", "services: \(folder)/s.yaml\npolicies: []\ntrustedNetworks: []\n"),
            (
                "s.yaml",
                """
                service: s
                listen: 127.0.0.1:8080
                versions:
                  a: {servers: http://127.0.0.1:9001}
                baseline: a
                traffic:
                  sticky: {header: X-Real-IP}
                  match:
                    - {header: X-Real-IP, equals: 10.0.0.1, to: candidate}

                """
            ),
        ]
        defer {
            for (name, _) in texts { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
        for (name, text) in texts {
            let file = try #require(fopen("\(folder)/\(name)", "w"))
            fputs(text, file)
            fclose(file)
        }
        let said = ConfigurationLoader.load(agentFile: "\(folder)/canaryd.yaml").diagnostics.map(\.description)
        #expect(said.count == 2, "\(said)")
        #expect(
            said.contains { $0.contains("a match on x-real-ip needs a trusted") && $0.contains("match another header") }
        )
        #expect(said.contains { $0.contains("the sticky key x-real-ip needs a trusted client") })
    }
}
