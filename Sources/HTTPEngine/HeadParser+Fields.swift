import CLinuxEngine

extension HeadParser {
    /// Parses the field lines up to the empty line that ends the head.
    /// - Parameter isResponse: true if the faults are repaired that RFC 9110 and 9112 let a proxy repair in responses.
    func parseFields(
        _ p: UnsafePointer<UInt8>, _ count: Int, _ start: Int, isResponse: Bool, _ summary: inout FieldSummary
    ) -> HeadError? {
        var i = start
        var number = 0
        while p[i] != 13 {
            if p[i] == 0x20 || p[i] == 9 { return .folding }
            guard number < maxFields else { return .tooManyFields }
            let nameStart = i
            while ce_class(p[i]) & UInt8(CE_TOKEN) != 0 { i += 1 }
            let name = HeadRange(nameStart, i - nameStart)
            // RFC 9112, 5.1: white space before the colon is removed from a response; a request with it is refused.
            if isResponse { while p[i] == 0x20 || p[i] == 9 { i += 1 } }
            guard p[i] == 0x3a, !name.isEmpty else { return .fieldName }
            i += 1
            while p[i] == 0x20 || p[i] == 9 { i += 1 }
            let valueStart = i
            i += ce_field_end(p + i, count - i)
            guard p[i] == 13 else { return p[i] == 10 ? .lineEnding : .fieldValue }
            guard i + 1 < count, p[i + 1] == 10 else { return .lineEnding }
            var valueEnd = i
            while valueEnd > valueStart, p[valueEnd - 1] == 0x20 || p[valueEnd - 1] == 9 { valueEnd -= 1 }
            i += 2
            let value = HeadRange(valueStart, valueEnd - valueStart)
            let kind = fieldName(p + nameStart, Int(name.length))
            fields[number] = HeadField(name: name, value: value, kind: kind, isHopByHop: false)
            number += 1
            if kind != .other, let error = note(p, kind, name, value, isResponse: isResponse, &summary) { return error }
        }
        guard i + 2 == count, p[i + 1] == 10 else { return .lineEnding }
        summary.count = number
        if summary.namesHopByHop { markHopByHop(p, summary) }
        return nil
    }

    private func note(
        _ p: UnsafePointer<UInt8>, _ kind: FieldName, _ name: HeadRange, _ value: HeadRange, isResponse: Bool,
        _ summary: inout FieldSummary
    ) -> HeadError? {
        switch kind {
        case .host:
            summary.hosts = summary.hosts == .max ? .max : summary.hosts + 1
            summary.host = value
        case .contentLength:
            if isResponse { return noteLengths(p, value, &summary) }
            if summary.contentLength >= 0 { return .repeatedContentLength }
            guard let length = decimal(p, value) else { return .badContentLength }
            summary.contentLength = length
        case .transferEncoding:
            guard equals(p, value, "chunked") else {
                let error = transferCodingError(p, value)
                // No coding, known or unknown, may follow chunked.
                return summary.isChunked && error == .unknownTransferCoding ? .badTransferCoding : error
            }
            if summary.isChunked { return .repeatedTransferCoding }
            summary.isChunked = true
        case .connection:
            return noteConnection(p, value, &summary)
        case .upgrade:
            summary.upgrades = summary.upgrades == .max ? .max : summary.upgrades + 1
            summary.upgrade = value
        case .expect:
            if equals(p, value, "100-continue") { summary.expectsContinue = true } else { summary.expectsOther = true }
        case .xRequestID:
            summary.requestIDs = summary.requestIDs == .max ? .max : summary.requestIDs + 1
            summary.requestID = value
        case .reservedAlias:
            // Aliases of framing fields, which do not begin with an x, are refused, since both relaying and dropping
            // them would be dangerous.
            if asciiLowercase(p[Int(name.start)]) != 0x78 { return .aliasedFraming }
        case .other, .keepAlive, .proxyConnection, .te, .trailer, .date, .proxyAuthenticate, .proxyAuthorization,
            .cookie, .forwarded, .xForwardedFor, .xForwardedProto, .xForwarded, .xRealIP, .xCanaryVersion,
            .xCanaryError,
            .xCanary:
            break
        }
        return nil
    }

    /// Parses Content-Length fields. In a response, RFC 9110, 8.6 allows the same length to be repeated, in one field
    /// or in several: every reader finds the same end of such a message, so nothing can be smuggled in it.
    private func noteLengths(
        _ p: UnsafePointer<UInt8>, _ value: HeadRange, _ summary: inout FieldSummary
    ) -> HeadError? {
        var error: HeadError? = value.isEmpty || p[value.end - 1] == 0x2c ? .badContentLength : nil
        forEachElement(p, value) { element in
            guard let length = decimal(p, element) else { return error = error ?? .badContentLength }
            if summary.contentLength >= 0, summary.contentLength != length { error = error ?? .repeatedContentLength }
            summary.contentLength = length
        }
        return summary.contentLength < 0 ? error ?? .badContentLength : error
    }

    /// The reason why a Transfer-Encoding other than `chunked` is refused: a single well-formed coding that is unknown
    /// here is distinguished from lists and malformed values.
    private func transferCodingError(_ p: UnsafePointer<UInt8>, _ value: HeadRange) -> HeadError {
        var elements = 0
        var chunked = 0
        var identity = 0
        forEachElement(p, value) { element in
            elements += 1
            if equals(p, element, "chunked") { chunked += 1 }
            if equals(p, element, "identity") { identity += 1 }
        }
        if endsWithChunked(p, value) { return .unknownTransferCoding }
        if chunked > 1, chunked == elements { return .repeatedTransferCoding }
        if identity > 0 { return .identityTransferCoding }
        return isToken(p, value) ? .unknownTransferCoding : .badTransferCoding
    }

    /// Parses a Connection field, a list of tokens. RFC 9110, 5.6.1 allows empty elements.
    private func noteConnection(
        _ p: UnsafePointer<UInt8>, _ value: HeadRange, _ summary: inout FieldSummary
    ) -> HeadError? {
        var bad = false
        forEachElement(p, value) { element in
            if equals(p, element, "close") {
                summary.connectionClose = true
            } else if equals(p, element, "keep-alive") {
                summary.connectionKeepAlive = true
            } else if equals(p, element, "upgrade") {
                summary.connectionUpgrade = true
            } else if isToken(p, element) {
                summary.namesHopByHop = true
            } else {
                bad = true
            }
        }
        return bad ? .fieldValue : nil
    }

    /// Marks the fields that Connection names as hop-by-hop, except those that the message needs.
    private func markHopByHop(_ p: UnsafePointer<UInt8>, _ summary: FieldSummary) {
        for c in 0..<summary.count where fields[c].kind == .connection {
            forEachElement(p, fields[c].value) { element in
                for i in 0..<summary.count where fields[i].kind != .connection {
                    let name = fields[i].name
                    guard name.length == element.length, equalsIgnoringCase(p, name, p, element) else { continue }
                    switch fields[i].kind {
                    case .host, .contentLength, .transferEncoding: break
                    default: fields[i].isHopByHop = true
                    }
                }
            }
        }
    }
}

extension HeadParser {
    @inline(__always)
    private func forEachElement(_ p: UnsafePointer<UInt8>, _ value: HeadRange, _ body: (HeadRange) -> Void) {
        var i = Int(value.start)
        let end = value.end
        while i < end {
            while i < end, p[i] == 0x2c || p[i] == 0x20 || p[i] == 9 { i += 1 }
            let start = i
            while i < end, p[i] != 0x2c { i += 1 }
            var stop = i
            while stop > start, p[stop - 1] == 0x20 || p[stop - 1] == 9 { stop -= 1 }
            if stop > start { body(HeadRange(start, stop - start)) }
        }
    }

    /// The value of a decimal number; nil if it has other characters than digits or does not fit into an Int64.
    private func decimal(_ p: UnsafePointer<UInt8>, _ value: HeadRange) -> Int64? {
        guard !value.isEmpty else { return nil }
        var result: Int64 = 0
        for i in Int(value.start)..<value.end {
            guard isDigit(p[i]) else { return nil }
            let (times, overflow) = result.multipliedReportingOverflow(by: 10)
            let (sum, carry) = times.addingReportingOverflow(Int64(p[i] - 0x30))
            if overflow || carry { return nil }
            result = sum
        }
        return result
    }

    private func isToken(_ p: UnsafePointer<UInt8>, _ range: HeadRange) -> Bool {
        for i in Int(range.start)..<range.end where ce_class(p[i]) & UInt8(CE_TOKEN) == 0 { return false }
        return !range.isEmpty
    }

    /// True for another coding followed by chunked, such as `gzip, chunked`.
    private func endsWithChunked(_ p: UnsafePointer<UInt8>, _ value: HeadRange) -> Bool {
        var elements = 0
        var chunked = 0
        var lastIsChunked = false
        var tokens = true
        forEachElement(p, value) { element in
            elements += 1
            lastIsChunked = equals(p, element, "chunked")
            if lastIsChunked { chunked += 1 }
            if !isToken(p, element) { tokens = false }
        }
        return elements > 1 && chunked == 1 && lastIsChunked && tokens && p[Int(value.start)] != 0x2c
    }

    /// True if a range is equal to a text, ignoring case.
    @inline(__always)
    public func equals(_ p: UnsafePointer<UInt8>, _ range: HeadRange, _ lowercase: StaticString) -> Bool {
        Int(range.length) == lowercase.utf8CodeUnitCount && hasPrefix(p + Int(range.start), lowercase)
    }

    /// Compares texts of the same length, ignoring case.
    func equalsIgnoringCase(
        _ p: UnsafePointer<UInt8>, _ a: HeadRange, _ q: UnsafePointer<UInt8>, _ b: HeadRange
    ) -> Bool {
        for i in 0..<Int(a.length)
        where asciiLowercase(p[Int(a.start) + i]) != asciiLowercase(q[Int(b.start) + i]) { return false }
        return true
    }
}

/// The lower-case letter of an ASCII letter; other bytes are unchanged.
@inlinable @inline(__always) public func asciiLowercase(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
}

@inline(__always) private func hasPrefix(_ p: UnsafePointer<UInt8>, _ lowercase: StaticString) -> Bool {
    for i in 0..<lowercase.utf8CodeUnitCount where asciiLowercase(p[i]) != lowercase.utf8Start[i] { return false }
    return true
}

/// Classifies a field name. Its length and first letter are checked first, which excludes nearly every name without a
/// comparison.
private func fieldName(_ p: UnsafePointer<UInt8>, _ n: Int) -> FieldName {
    switch (n, asciiLowercase(p[0])) {
    case (2, 0x74): hasPrefix(p, "te") ? .te : .other
    case (4, 0x68): hasPrefix(p, "host") ? .host : .other
    case (4, 0x64): hasPrefix(p, "date") ? .date : .other
    case (6, 0x65): hasPrefix(p, "expect") ? .expect : .other
    case (6, 0x63): hasPrefix(p, "cookie") ? .cookie : .other
    case (7, 0x75): hasPrefix(p, "upgrade") ? .upgrade : .other
    case (7, 0x74): hasPrefix(p, "trailer") ? .trailer : .other
    case (9, 0x66): hasPrefix(p, "forwarded") ? .forwarded : .other
    case (10, 0x63): hasPrefix(p, "connection") ? .connection : .other
    case (10, 0x6b): hasPrefix(p, "keep-alive") ? .keepAlive : .other
    case (14, 0x63):
        hasPrefix(p, "content-length") ? .contentLength : hasPrefix(p, "content_length") ? .reservedAlias : .other
    case (8..., 0x78): extensionName(p, n)
    case (16, 0x70): hasPrefix(p, "proxy-connection") ? .proxyConnection : .other
    case (17, 0x74):
        hasPrefix(p, "transfer-encoding")
            ? .transferEncoding : hasPrefix(p, "transfer_encoding") ? .reservedAlias : .other
    case (18, 0x70): hasPrefix(p, "proxy-authenticate") ? .proxyAuthenticate : .other
    case (19, 0x70): hasPrefix(p, "proxy-authorization") ? .proxyAuthorization : .other
    default: .other
    }
}

/// Classifies a field name that begins with an x.
private func extensionName(_ p: UnsafePointer<UInt8>, _ n: Int) -> FieldName {
    let name: FieldName
    switch asciiLowercase(p[2]) {
    case 0x66 where hasAliasedPrefix(p, "x-forwarded"):
        let isFor = n == 15 && hasAliasedPrefix(p, "x-forwarded-for")
        name =
            isFor
            ? .xForwardedFor : n == 17 && hasAliasedPrefix(p, "x-forwarded-proto") ? .xForwardedProto : .xForwarded
    case 0x63 where hasAliasedPrefix(p, "x-canary"):
        if n == 16, hasAliasedPrefix(p, "x-canary-version") {
            name = .xCanaryVersion
        } else {
            name = n == 14 && hasAliasedPrefix(p, "x-canary-error") ? .xCanaryError : .xCanary
        }
    case 0x72 where n == 12 && hasAliasedPrefix(p, "x-request-id"): name = .xRequestID
    case 0x72 where n == 9 && hasAliasedPrefix(p, "x-real-ip"): name = .xRealIP
    default: return .other
    }
    for i in 0..<n where p[i] == 0x5f { return .reservedAlias }
    return name
}

/// True if a name begins with a prefix, in which underscores may replace hyphens.
private func hasAliasedPrefix(_ p: UnsafePointer<UInt8>, _ lowercase: StaticString) -> Bool {
    for i in 0..<lowercase.utf8CodeUnitCount {
        let byte = p[i] == 0x5f ? 0x2d : asciiLowercase(p[i])
        if byte != lowercase.utf8Start[i] { return false }
    }
    return true
}
