import AdminClient
import AdminTypes
import Glibc
import HTTPEngine

func now() -> Int64 { EventLoop.clock() }

/// A canaryd process with its own files and port.
final class Agent {
    let folder: String
    let port: UInt16
    let process: Child
    private let service: (String) -> String

    /// - Parameters:
    ///   - candidate: the candidate's port; nil for no rollout.
    ///   - descriptors: the limit of open files; 0 for that of this process.
    init(_ settings: Settings, baseline: UInt16, candidate: UInt16? = nil, descriptors: Int = 0) throws {
        var template = Array("/tmp/canaryd-faults-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Problem("no folder below /tmp") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let port = try freePort()
        self.port = port
        for name in ["services", "policies"] { mkdir("\(folder)/\(name)", 0o700) }
        write(
            """
            state: state/
            services: services/
            policies: policies/
            admin: {socket: admin.sock}
            feedback: {socket: feedback.sock}
            loops: 2
            log: {format: plain}

            """, to: "\(folder)/canaryd.yaml")
        write(
            """
            policy: lenient
            threshold: {interval: 1s, window: 10s, minSamples: 50, failureLimit: 0}
            checks:
              - name: p50-latency
                latency: {quantile: p50, max: 50s}

            """, to: "\(folder)/policies/lenient.yaml")
        service = { extra in
            var text = """
                service: web
                listen: 127.0.0.1:\(port)
                versions:
                  old: {servers: ["http://127.0.0.1:\(baseline)"]}

                """
            if let candidate { text += "  new: {servers: [\"http://127.0.0.1:\(candidate)\"]}\n" }
            text += "baseline: old\n"
            if candidate != nil { text += "candidate: new\n" }
            text += "policies: [lenient]\nstrategy: {steps: [{weight: 50%, hold: 10h}]}\n"
            text += "analysis: {interval: 200ms, judge: threshold}\n"
            return text + extra
        }
        write(service(""), to: "\(folder)/services/web.yaml")
        let limit = descriptors > 0 ? "ulimit -n \(descriptors); " : ""
        process = try Child(
            ["/bin/sh", "-c", limit + "exec \"$0\" --config \"$1\"", settings.canaryd, "\(folder)/canaryd.yaml"],
            log: "\(folder)/log")
        guard wait(.seconds(60), until: { log.contains("NOTICE ready") || process.hasEnded != nil }),
            process.hasEnded == nil
        else { throw Problem("the agent does not start:\n\(log.suffix(2_000))") }
    }

    deinit {
        process.end(SIGKILL)
        remove(folder)
    }

    private func remove(_ folder: String) {
        for name in names(in: folder) where unlink("\(folder)/\(name)") != 0 { remove("\(folder)/\(name)") }
        rmdir(folder)
    }

    var log: String { contents(of: "\(folder)/log") }
    var admin: AdminClient { AdminClient(path: "\(folder)/admin.sock") }

    /// Writes the service's file.
    /// - Parameter extra: additional lines at its end.
    func rewrite(_ extra: String) { write(service(extra), to: "\(folder)/services/web.yaml") }

    /// Makes the agent reload its files.
    /// - Returns: the log lines about the reload; nil if there are none within ten seconds.
    func reload() -> String? {
        let before = log.utf8.count
        process.signal(SIGHUP)
        var news = ""
        let isOver = wait(.seconds(10)) {
            news = String(decoding: log.utf8.dropFirst(before), as: UTF8.self)
            return news.hasSuffix("\n") && news.contains("reloaded")
        }
        return isOver ? news : nil
    }

    /// The response time of the admin API in seconds; nil if it did not respond.
    func adminTime() -> Double? {
        let began = now()
        guard (try? admin.service("web")) != nil else { return nil }
        return Double(now() - began) / 1e9
    }
}

/// A free port of 127.0.0.1, below those that the kernel assigns to clients.
func freePort() throws -> UInt16 {
    for _ in 0..<1_000 {
        let port = UInt16.random(in: 20_000..<32_000)
        if let socket = try? ListenSocket.open(.tcp(host: "127.0.0.1", port: port)) {
            socket.close()
            return port
        }
    }
    throw Problem("no port is free")
}
