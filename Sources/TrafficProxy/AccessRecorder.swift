import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel
import Statistics

/// The parts of a request's head that its log line needs, copied because the head is overwritten. Their text follows
/// the note in memory. The recorder owns the notes and lends them to exchanges.
struct AccessNote {
    /// True if the request was drawn for the sample, so that it is logged however it ends.
    var isDrawn: Bool
    var methodCount: UInt8
    var targetCount: UInt16
    /// The length of the whole target, of which only a part may be kept.
    var fullCount: UInt16
    /// True if the request has a valid `traceparent`, which stands behind the target.
    var isTraced: Bool

    /// The number of bytes of a target that are kept, which bounds the memory of each open request.
    static let maxTarget = 1024
    static let maxMethod = 32
    static let size = MemoryLayout<AccessNote>.stride + maxMethod + maxTarget + TraceParent.length
}

extension UnsafeMutablePointer<AccessNote> {
    @inline(__always) var text: UnsafeMutablePointer<UInt8> {
        UnsafeMutableRawPointer(self + 1).assumingMemoryBound(to: UInt8.self)
    }
}

/// A loop's part of the access log: the notes of open requests, and the buffer in which a line is built. It allocates
/// only when more requests are open than ever before.
final class AccessRecorder {
    private let log: AccessLog
    private let ring: LineRing
    private let draws: UInt64
    private var free: [UnsafeMutablePointer<AccessNote>] = []
    private var line = ByteSlice()

    /// The size of the line buffer. Escaping may turn each byte of a line's texts into six.
    private static let lineSize = 6 * (AccessNote.size + 4 * InlineText.capacity) + 1024

    init(_ log: AccessLog, loop: Int) {
        self.log = log
        ring = log.rings[loop]
        let share = log.settings.sample
        draws = share >= 1 ? .max : UInt64(max(share, 0) * 0x1p64)
        line.base = .allocate(capacity: Self.lineSize)
    }

    deinit {
        for note in free { note.deallocate() }
        line.base?.deallocate()
    }

    /// Takes a note of a request. Returns nil if the request is not logged, however it ends.
    func note(_ request: RequestMessage, _ random: inout SplitMix64) -> UnsafeMutablePointer<AccessNote>? {
        let isDrawn = isDrawn(&random)
        guard isDrawn || log.settings.errors else { return nil }
        let (head, p) = (request.head, request.base)
        let note = free.popLast() ?? Self.allocate()
        let method = min(Int(head.method.length), AccessNote.maxMethod)
        let full = Int(head.path.length) + (log.settings.query ? Int(head.query.length) : 0)
        let kept = min(full, AccessNote.maxTarget)
        memcpy(note.text, p + Int(head.method.start), method)
        // The query directly follows the path.
        memcpy(note.text + method, p + Int(head.path.start), kept)
        let trace = TraceParent.value(of: request)
        if let trace { memcpy(note.text + method + kept, trace, TraceParent.length) }
        note.initialize(
            to: AccessNote(
                isDrawn: isDrawn, methodCount: UInt8(method), targetCount: UInt16(kept), fullCount: UInt16(full),
                isTraced: trace != nil))
        return note
    }

    private static func allocate() -> UnsafeMutablePointer<AccessNote> {
        UnsafeMutableRawPointer.allocate(byteCount: AccessNote.size, alignment: 16)
            .bindMemory(to: AccessNote.self, capacity: 1)
    }

    private func isDrawn(_ random: inout SplitMix64) -> Bool { draws == .max || random.next() < draws }

    /// Writes the line of a request that ended, and takes its note back.
    func end(_ x: Exchange, _ note: UnsafeMutablePointer<AccessNote>, client: InlineText, moment: Int64) {
        free.append(note)
        // A rescued request failed as well, though its client did not see it.
        let isFailed = x.status >= 500 || x.isRescued || x.service != nil && x.outcome.isError
        guard note.pointee.isDrawn || log.settings.errors && isFailed else { return }
        let duration = max(moment - x.startedAt, 0)
        begin(endedAfter: duration)
        if let service = x.service {
            line.append(",\"service\":\"")
            line.append(json: service.pointee.name)
            line.append("\",\"version\":\"")
            line.append(json: x.arm == .candidate ? service.pointee.candidate.name : service.pointee.baseline.name)
            line.append(byte: 0x22)
        }
        line.append(",\"method\":\"")
        line.append(json: Bytes(start: note.text, count: Int(note.pointee.methodCount)))
        line.append("\",\"path\":\"")
        line.append(
            json: Bytes(start: note.text + Int(note.pointee.methodCount), count: Int(note.pointee.targetCount)))
        line.append(byte: 0x22)
        if note.pointee.fullCount > note.pointee.targetCount {
            line.append(",\"pathLength\":")
            line.append(decimal: Int64(note.pointee.fullCount))
        }
        status(x.status)
        line.append(",\"outcome\":\"")
        outcome(x.service == nil ? nil : x.outcome)
        line.append("\",\"bytesIn\":")
        line.append(decimal: x.requestBytes)
        line.append(",\"bytesOut\":")
        line.append(decimal: x.responseBytes)
        line.append(",\"duration\":")
        line.append(seconds: duration)
        if x.firstByteAt > 0 {
            line.append(",\"ttfb\":")
            line.append(seconds: max(x.firstByteAt - x.startedAt, 0))
        }
        text(",\"client\":\"", client)
        text(",\"requestId\":\"", x.id)
        if note.pointee.isTraced {
            line.append(",\"traceparent\":\"")
            let place = Int(note.pointee.methodCount) + Int(note.pointee.targetCount)
            line.append(json: Bytes(start: note.text + place, count: TraceParent.length))
            line.append(byte: 0x22)
        }
        if x.service != nil, let server = x.server { text(",\"server\":\"", server.pointee.name) }
        line.append(",\"attempts\":")
        line.append(decimal: Int64(x.retry.attempts))
        if let error = x.error { reason(error) }
        if x.isRescued { line.append(",\"rescued\":true") }
        finish()
    }

    /// Writes the line of a head that was refused. Nothing in such a head is reliable, so none of it is logged.
    func refused(_ error: ProxyError, client: InlineText, bytes: Int, _ random: inout SplitMix64) {
        guard isDrawn(&random) else { return }
        begin(endedAfter: 0)
        status(UInt16(error.status))
        line.append(",\"outcome\":\"refused\",\"bytesIn\":")
        line.append(decimal: Int64(bytes))
        text(",\"client\":\"", client)
        reason(error)
        finish()
    }

    /// Appends the reason why a server gave no response, or an incomplete one.
    private func reason(_ error: ProxyError) {
        line.append(",\"error\":\"")
        let token = error.token
        line.append(token.prefix)
        line.append(token.name)
        line.append(byte: 0x22)
    }

    private func begin(endedAfter duration: Int64) {
        line.end = 0
        line.append("{\"time\":\"")
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        line.append(time: (Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec) - duration) / 1_000_000)
        line.append(byte: 0x22)
    }

    private func finish() {
        line.append("}\n")
        if ring.append(line.first, line.count) { log.arrived(in: ring) }
    }

    /// Appends the status that the client got; null if it got none.
    private func status(_ code: UInt16) {
        line.append(",\"status\":")
        if code == 0 { line.append("null") } else { line.append(decimal: Int64(code)) }
    }

    private func text(_ key: StaticString, _ value: InlineText) {
        guard !value.isEmpty else { return }
        line.append(key)
        value.withBytes {
            line.append(json: Bytes(start: $0.baseAddress!.assumingMemoryBound(to: UInt8.self), count: $0.count))
        }
        line.append(byte: 0x22)
    }

    /// Appends the outcome, with its name in the metrics' label.
    /// - Parameter outcome: nil if no service matched the request.
    private func outcome(_ outcome: Outcome?) {
        switch outcome {
        case nil: line.append("refused")
        case .success: line.append("success")
        case .clientError: line.append("client_error")
        case .serverError: line.append("server_error")
        case .connectFailure: line.append("connect_failure")
        case .timeout: line.append("timeout")
        case .truncated: line.append("truncated")
        case .clientClosed: line.append("client_closed")
        case .clientTimeout: line.append("client_timeout")
        case .open: line.append("open")
        case .rejected: line.append("rejected")
        }
    }
}
