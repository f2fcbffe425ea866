import Glibc

// proxy-faults [--canaryd PATH] [--scale FACTOR] [NUMBER ...]
// Injects faults around the data plane and measures what they cost, with one line of output per fault. scripts/test --faults
// builds and runs this.

signal(SIGPIPE, SIG_IGN)
var words = Array(CommandLine.arguments.dropFirst())
func ownPath() -> String {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes {
        readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    return String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
}

func fail(_ reason: String) -> Never {
    let line = Array("proxy-faults: \(reason)\n".utf8)
    _ = Glibc.write(STDERR_FILENO, line, line.count)
    exit(64)
}

let own = ownPath()
do {
    if words.first == "relay" { try Role.relay(Array(words.dropFirst())) }
    if words.first == "candidate" { try Role.candidate(Array(words.dropFirst())) }
    if words.first == "measure" { Role.measure(Array(words.dropFirst()), own: own) }
} catch {
    fail("\(error)")
}

var settings = Settings(canaryd: own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/canaryd", own: own)
var chosen: [Int] = []
while !words.isEmpty {
    let word = words.removeFirst()
    switch word {
    case "--canaryd" where !words.isEmpty: settings.canaryd = words.removeFirst()
    case "--scale" where !words.isEmpty:
        guard let scale = Double(words.removeFirst()), scale > 0, scale <= 1 else {
            fail("--scale is above 0, at most 1")
        }
        settings.scale = scale
    default:
        guard let number = Int(word), faults.contains(where: { $0.number == number }) else {
            fail("no fault '\(word)': 1 to \(faults.count), --canaryd PATH or --scale FACTOR")
        }
        chosen.append(number)
    }
}
guard access(settings.canaryd, X_OK) == 0 else { fail("no agent at \(settings.canaryd): name it with --canaryd") }
if settings.scale < 1 {
    say("shortened to \(settings.scale.digits(2)) of the times and counts that the bars are for")
}

var isSound = true
for fault in faults where chosen.isEmpty || chosen.contains(fault.number) {
    var isMet = false
    for attempt in 1...fault.attempts where !isMet {
        let which = fault.attempts > 1 && attempt > 1 ? ", attempt \(attempt) of \(fault.attempts)" : ""
        // Each fault has its own process, so that descriptors and threads of one do not affect the next.
        let child = try Child([own, "measure", "\(fault.number)", settings.canaryd, "\(settings.scale)"])
        let line = child.line() ?? "it cannot be measured: FAILED"
        say("\(fault.number) \(fault.name)\(which): \(line)")
        while child.line() != nil {}
        child.end(0)
        isMet = child.hasEnded == 0
    }
    if !isMet { isSound = false }
}
exit(isSound ? 0 : 1)
