import Glibc
import HTTPEngine
import PolicyModel

// Heads are forwarded in canonical form: one space after the colon, no white space at the ends of values, and framing
// and the proxy's own fields rewritten. Consecutive fields that are canonical already are copied together.

/// Copies the fields that are forwarded, consecutive ones in one piece.
private struct FieldCopier {
    let p: UnsafePointer<UInt8>
    var runStart = 0
    var runEnd = 0

    init(_ p: UnsafePointer<UInt8>) { self.p = p }

    @inline(__always) mutating func pass(_ field: HeadField, _ output: inout ByteSlice) {
        let start = Int(field.name.start)
        let nameEnd = field.name.end
        let valueEnd = field.value.end
        if field.value.start == UInt32(nameEnd + 2), p[nameEnd + 1] == 0x20, p[valueEnd] == 13 {
            if runEnd != start {
                flush(&output)
                runStart = start
            }
            runEnd = valueEnd + 2
        } else {
            flush(&output)
            output.append(p + start, Int(field.name.length))
            output.append(": ")
            output.append(p + Int(field.value.start), Int(field.value.length))
            output.append("\r\n")
        }
    }

    @inline(__always) mutating func flush(_ output: inout ByteSlice) {
        if runEnd > runStart { output.append(p + runStart, runEnd - runStart) }
        runStart = 0
        runEnd = 0
    }
}

/// Decides which fields that describe the client are forwarded, by the service's rules and by whether the client is
/// trusted.
struct Forwarding {
    var isTrusted: Bool
    /// True if the fields that the client itself sent are passed on.
    var keeps: Bool
    /// True if the proxy adds `x-forwarded-for` and `x-forwarded-proto`.
    var adds: Bool
    /// True if the proxy adds `Forwarded` as well.
    var addsElement: Bool

    @inline(__always) init(_ rules: HeaderRules, isTrusted: Bool) {
        self.isTrusted = isTrusted
        keeps = rules.forwarded == .append || rules.forwarded == .auto && isTrusted
        adds = rules.forwarded != .off
        addsElement = adds && rules.rfc7239
    }
}

/// The kinds of forwarding fields that the client sent and that are kept.
private struct GivenForwarding {
    var addresses = false
    var elements = false
    var proto = false
}

extension ByteSlice {
    /// The largest number of bytes by which a forwarded head exceeds the received one.
    static let headSlack = 1024

    mutating func appendRequestHead(
        _ request: RequestMessage, address: InlineText, id: InlineText, forwarding: Forwarding, isUpgrade: Bool,
        closes: Bool
    ) {
        let head = request.head
        let fields = request.fields.first
        let p = request.base
        append(p + Int(head.method.start), Int(head.method.length))
        append(byte: 0x20)
        if head.path.isEmpty { append(byte: 0x2f) } else { append(p + Int(head.path.start), Int(head.path.length)) }
        append(p + Int(head.query.start), Int(head.query.length))
        append(" HTTP/1.1\r\nHost: ")
        if head.authority.isEmpty {
            append("localhost")
        } else {
            append(p + Int(head.authority.start), Int(head.authority.length))
        }
        append("\r\n")
        var copier = FieldCopier(p)
        var given = GivenForwarding()
        for i in 0..<head.fields.count {
            let field = fields[i]
            if field.isHopByHop { continue }
            switch field.kind {
            case .other, .date, .cookie, .proxyAuthenticate, .proxyAuthorization: copier.pass(field, &self)
            case .host, .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection, .te, .trailer,
                .upgrade, .xRequestID, .xCanaryVersion, .xCanaryError, .reservedAlias:
                break
            case .expect: if head.minor == 1 { copier.pass(field, &self) }
            case .xCanary: if forwarding.isTrusted { copier.pass(field, &self) }
            case .xForwarded, .xRealIP: if forwarding.keeps { copier.pass(field, &self) }
            case .xForwardedProto:
                guard forwarding.keeps else { continue }
                given.proto = true
                copier.pass(field, &self)
            case .xForwardedFor: given.addresses = forwarding.keeps
            case .forwarded: given.elements = forwarding.keeps
            }
        }
        copier.flush(&self)
        if forwarding.adds || given.addresses {
            appendForwardedFor(head, fields, p, forwarding.adds ? address : InlineText(), given.addresses)
        }
        if forwarding.adds, !given.proto { append("x-forwarded-proto: http\r\n") }
        if forwarding.addsElement || given.elements {
            appendForwarded(head, fields, p, address, given.elements, isAdding: forwarding.addsElement)
        }
        append("x-request-id: ")
        append(id)
        append("\r\n")
        if isUpgrade {
            append("connection: upgrade\r\nupgrade: websocket\r\n")
        } else if closes {
            append("connection: close\r\n")
        }
        appendFraming(head.framing, zeroLength: head.fields.contentLength == 0)
        append("\r\n")
    }

    /// Appends `x-forwarded-for`: the received addresses in their order, then the client's.
    private mutating func appendForwardedFor(
        _ head: RequestHead, _ fields: UnsafePointer<HeadField>, _ p: UnsafePointer<UInt8>,
        _ address: InlineText, _ hasSome: Bool
    ) {
        guard hasSome || !address.isEmpty else { return }
        append("x-forwarded-for: ")
        let isFirst = !hasSome || appendList(.xForwardedFor, head, fields, p)
        if !address.isEmpty {
            if !isFirst { append(", ") }
            append(address)
        }
        append("\r\n")
    }

    /// Appends `Forwarded` (RFC 7239). An IPv6 address is written in brackets and quotes, and `unknown` for a client
    /// without an address.
    private mutating func appendForwarded(
        _ head: RequestHead, _ fields: UnsafePointer<HeadField>, _ p: UnsafePointer<UInt8>,
        _ address: InlineText, _ hasSome: Bool, isAdding: Bool
    ) {
        append("forwarded: ")
        let isFirst = !hasSome || appendList(.forwarded, head, fields, p)
        if isAdding {
            if !isFirst { append(", ") }
            let isIPv6 = address.withBytes { $0.contains(0x3a) }
            append(isIPv6 ? "for=\"[" : "for=")
            if address.isEmpty { append("unknown") } else { append(address) }
            append(isIPv6 ? "]\";proto=http" : ";proto=http")
        }
        append("\r\n")
    }

    /// Appends the values of all fields of a kind, separated by commas. Returns true if there is none.
    private mutating func appendList(
        _ kind: FieldName, _ head: RequestHead, _ fields: UnsafePointer<HeadField>, _ p: UnsafePointer<UInt8>
    ) -> Bool {
        var isFirst = true
        for i in 0..<head.fields.count where fields[i].kind == kind && !fields[i].isHopByHop {
            if fields[i].value.isEmpty { continue }
            if !isFirst { append(", ") }
            isFirst = false
            append(p + Int(fields[i].value.start), Int(fields[i].value.length))
        }
        return isFirst
    }

    private mutating func appendFraming(_ framing: BodyFraming, zeroLength: Bool) {
        switch framing {
        case .length(let length):
            append("content-length: ")
            append(decimal: length)
            append("\r\n")
        case .chunked: append("transfer-encoding: chunked\r\n")
        case .none, .untilClose: if zeroLength { append("content-length: 0\r\n") }
        }
    }

    /// - Parameters:
    ///   - framing: the body's framing towards the client.
    ///   - statedLength: the content length that a response without a body states; negative for none.
    mutating func appendResponseHead(
        _ response: ResponseMessage, framing: BodyFraming, statedLength: Int64, versionLine: Bytes, id: InlineText,
        connection: ResponseHeadText.Connection
    ) {
        let head = response.head
        let fields = response.fields.first
        let p = response.base
        appendStatusLine(head, p)
        var copier = FieldCopier(p)
        for i in 0..<head.fields.count {
            let field = fields[i]
            if field.isHopByHop { continue }
            switch field.kind {
            case .other, .date, .cookie, .forwarded, .proxyAuthenticate, .proxyAuthorization, .host, .expect,
                .xForwardedFor, .xForwardedProto, .xForwarded, .xRealIP, .xCanary, .reservedAlias:
                copier.pass(field, &self)
            case .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection, .te, .trailer,
                .upgrade, .xRequestID, .xCanaryVersion, .xCanaryError:
                break
            }
        }
        copier.flush(&self)
        append(versionLine)
        append("x-request-id: ")
        append(id)
        append("\r\n")
        if statedLength >= 0 {
            append("content-length: ")
            append(decimal: statedLength)
            append("\r\n")
        } else {
            appendFraming(framing, zeroLength: false)
        }
        switch connection {
        case .kept: break
        case .keptForOldClient: append("connection: keep-alive\r\n")
        case .closes: append("connection: close\r\n")
        }
        append("\r\n")
    }

    /// Appends the head of a 101, after which the connection no longer carries HTTP.
    mutating func appendSwitchHead(_ response: ResponseMessage, versionLine: Bytes, id: InlineText) {
        appendResponseHead(
            response, framing: .none, statedLength: -1, versionLine: versionLine, id: id, connection: .kept)
        // The empty line that ends the head is removed, so that fields can follow.
        end -= 2
        append("connection: upgrade\r\nupgrade: websocket\r\n\r\n")
    }

    /// Appends the head of an interim response (1xx), without fields of the proxy's own.
    mutating func appendInterimHead(_ response: ResponseMessage) {
        let head = response.head
        let fields = response.fields.first
        let p = response.base
        appendStatusLine(head, p)
        var copier = FieldCopier(p)
        for i in 0..<head.fields.count where !fields[i].isHopByHop {
            switch fields[i].kind {
            case .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection, .te, .trailer,
                .upgrade, .xCanaryVersion, .xCanaryError:
                break
            default: copier.pass(fields[i], &self)
            }
        }
        copier.flush(&self)
        append("\r\n")
    }

    private mutating func appendStatusLine(_ head: ResponseHead, _ p: UnsafePointer<UInt8>) {
        append("HTTP/1.1 ")
        append(decimal: Int64(head.status))
        append(byte: 0x20)
        append(p + Int(head.reason.start), Int(head.reason.length))
        append("\r\n")
    }
}
