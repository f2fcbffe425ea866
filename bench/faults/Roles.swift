import CProcess
import Glibc

// The roles of this binary as a child of itself: processes that are measured or killed, apart from the load.

enum Role {
    /// The role `measure NUMBER CANARYD SCALE`: measures one fault once. Prints its line and exits with 0 if every limit is
    /// met.
    static func measure(_ words: [String], own: String) -> Never {
        _ = cp_die_with_parent(SIGKILL)
        guard words.count == 3, let number = Int(words[0]), let scale = Double(words[2]),
            let fault = faults.first(where: { $0.number == number })
        else { exit(64) }
        do {
            let figures = try fault.run(Settings(canaryd: words[1], own: own, scale: scale))
            let broken = figures.broken
            let verdict = broken.isEmpty ? "ok" : "FAILED (\(broken.joined(separator: "; ")))"
            say(figures.text.joined(separator: "; ") + ": \(verdict)")
            exit(broken.isEmpty ? 0 : 1)
        } catch {
            say("\(error): FAILED (it cannot be measured)")
            exit(1)
        }
    }

    /// The role `relay BASELINE CANDIDATE WEIGHT RESPONSE-SECONDS`: runs the data plane. Prints its port.
    static func relay(_ words: [String]) throws -> Never {
        _ = cp_die_with_parent(SIGKILL)
        guard words.count == 4, let old = UInt16(words[0]), let new = UInt16(words[1]), let weight = Int(words[2]),
            let response = Int(words[3])
        else { throw Problem("usage: relay BASELINE-PORT CANDIDATE-PORT BASIS-POINTS RESPONSE-SECONDS") }
        let plane = try Plane(baseline: old, candidate: new, weight: weight, response: .seconds(response))
        say("\(plane.port)")
        while true {
            // The interval of the agent's ticks.
            usleep(500_000)
            _ = plane.proxy.drain()
        }
    }

    static let pieces = 8
    static let pieceSize = 4_096

    /// The role `candidate PORT`: runs a server, to be killed, that sends each response in pieces over 40 ms. Prints the id
    /// of each request when it arrives.
    static func candidate(_ words: [String]) throws -> Never {
        _ = cp_die_with_parent(SIGKILL)
        guard words.count == 1, let port = UInt16(words[0]) else { throw Problem("usage: candidate PORT") }
        let lane = try Lane("candidate")
        var number = 0
        let origin = try Origin(lane, port: port) { wire, request in
            if !request.id.isEmpty { say("\(request.method) \(request.id)") }
            number += 1
            let isChunked = number % 2 == 0
            let total = pieces * pieceSize
            var head = "HTTP/1.1 200 OK\r\nx-length: \(total)\r\n"
            head += isChunked ? "transfer-encoding: chunked\r\n\r\n" : "content-length: \(total)\r\n\r\n"
            wire.write(Array(head.utf8))
            let piece = [UInt8](repeating: 0x61, count: pieceSize)
            var sent = 0
            lane.every(.milliseconds(5)) {
                guard wire.isOpen else { return false }
                sent += 1
                wire.write(isChunked ? Array("1000\r\n".utf8) + piece + [13, 10] : piece)
                if sent == pieces, isChunked { wire.write(Array("0\r\n\r\n".utf8)) }
                return sent < pieces
            }
            return true
        }
        say("ready")
        while true { pause(.seconds(withExtendedLifetime(origin) { 60 })) }
    }
}

/// Writes a line to standard output, unbuffered and in one piece.
func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = Glibc.write(STDOUT_FILENO, bytes, bytes.count)
}

/// A process that runs the data plane.
final class Relay {
    let process: Child
    let port: UInt16

    init(_ settings: Settings, baseline: UInt16, candidate: UInt16, weight: Int, response: Int) throws {
        process = try Child(
            [settings.own, "relay", "\(baseline)", "\(candidate)", "\(weight)", "\(response)"])
        guard let line = process.line(), let port = UInt16(line) else { throw Problem("the relay does not start") }
        self.port = port
    }
}
