import Glibc

// Generates load that wrk cannot generate, and counts the allocations of the data plane. bench/proxy/run calls it.

let usage = """
    usage: proxy-bench load PORT CONNECTIONS REQUESTS-PER-SECOND SECONDS
           proxy-bench events PORT PORT EVENTS-PER-SECOND
           proxy-bench streams PORT STREAMS SECONDS
           proxy-bench count PORT BASELINE-PORT CANDIDATE-PORT REQUESTS [STICKY-HEADER]
    """

func complain(_ reason: String) {
    let line = "proxy-bench: \(reason)\n"
    _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
}

func fail(_ reason: String) -> Never {
    complain(reason)
    exit(64)
}

/// The arguments after the subcommand.
struct Words {
    let all = Array(CommandLine.arguments.dropFirst(2))

    func number(_ index: Int, _ range: ClosedRange<Int>) -> Int {
        guard all.indices.contains(index) else { fail(usage) }
        guard let value = Int(all[index]), range.contains(value) else {
            fail("\(all[index]) is no number from \(range.lowerBound) to \(range.upperBound)\n\(usage)")
        }
        return value
    }

    func port(_ index: Int) -> UInt16 { UInt16(number(index, 1...65_535)) }

    func text(_ index: Int) -> String? { all.indices.contains(index) ? all[index] : nil }
}

let words = Words()
do {
    switch CommandLine.arguments.dropFirst().first {
    case "load":
        var connections = try Load(port: words.port(0), connections: words.number(1, 1...1000), key: nil).open()
        connections.run(rate: Double(words.number(2, 1...1_000_000)), seconds: words.number(3, 1...3600)).show()
    case "events": try serveEvents(ports: [words.port(0), words.port(1)], rate: words.number(2, 1...1000))
    case "streams":
        try readStreams(port: words.port(0), count: words.number(1, 1...10_000), seconds: words.number(2, 1...3600))
    case "count":
        try count(
            port: words.port(0), baseline: words.port(1), candidate: words.port(2),
            requests: words.number(3, 1...100_000_000), sticky: words.text(4))
    default: fail(usage)
    }
} catch {
    fail("\(error)")
}
