import CLinuxEngine

extension HeadParser {
    /// The largest method in bytes. Methods in use have at most 17 characters.
    private static var maxMethod: Int { 32 }

    /// Parses the request line and moves `at` behind it.
    func parseRequestLine(
        _ p: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int, _ head: inout RequestHead
    ) -> HeadError? {
        var i = 0
        while i < count, ce_class(p[i]) & UInt8(CE_TOKEN) != 0 { i += 1 }
        guard i > 0, i <= Self.maxMethod, i < count else { return .method }
        guard p[i] == 0x20 else { return p[i] == 13 || p[i] == 10 ? .requestLine : .method }
        head.method = HeadRange(0, i)
        head.kind = methodKind(p, i)
        let targetStart = i + 1
        i = targetStart
        while i < count, p[i] > 0x20, p[i] < 0x7f { i += 1 }
        guard i < count, p[i] == 0x20, i > targetStart else {
            return i < count && (p[i] == 13 || p[i] == 10 || p[i] == 0x20) ? .requestLine : .target
        }
        if i - targetStart > maxTarget { return .targetTooLong }
        let target = HeadRange(targetStart, i - targetStart)
        i += 1
        if let error = parseVersion(p, count, &i, &head.minor) { return error }
        guard i + 1 < count, p[i] == 13, p[i + 1] == 10 else { return i < count && p[i] == 13 ? .lineEnding : .version }
        at = i + 2
        return parseTarget(p, target, &head)
    }

    /// Parses `HTTP/` digit `.` digit. Only 1.0 and 1.1 are supported.
    private func parseVersion(
        _ p: UnsafePointer<UInt8>, _ count: Int, _ i: inout Int, _ minor: inout UInt8
    ) -> HeadError? {
        guard i + 8 <= count, p[i] == 0x48, p[i + 1] == 0x54, p[i + 2] == 0x54, p[i + 3] == 0x50, p[i + 4] == 0x2f,
            isDigit(p[i + 5]), p[i + 6] == 0x2e, isDigit(p[i + 7])
        else { return .version }
        let next = i + 8 < count ? p[i + 8] : 0
        guard p[i + 5] == 0x31, p[i + 7] <= 0x31 else {
            return next == 13 || next == 0x20 ? .unsupportedVersion : .version
        }
        minor = p[i + 7] - 0x30
        i += 8
        return nil
    }

    /// Parses `HTTP/1.x SP 3DIGIT [SP reason]`. RFC 9112 requires the second space even before an empty reason, but its
    /// absence is harmless.
    func parseStatusLine(
        _ p: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int, _ head: inout ResponseHead
    ) -> HeadError? {
        var i = 0
        if let error = parseVersion(p, count, &i, &head.minor) { return error }
        guard i + 5 < count, p[i] == 0x20, isDigit(p[i + 1]), isDigit(p[i + 2]), isDigit(p[i + 3]) else {
            return .statusLine
        }
        head.status = Int(p[i + 1] - 0x30) * 100 + Int(p[i + 2] - 0x30) * 10 + Int(p[i + 3] - 0x30)
        guard (100...599).contains(head.status) else { return .statusLine }
        i += 4
        if p[i] == 0x20 {
            i += 1
            let end = i + ce_field_end(p + i, count - i)
            head.reason = HeadRange(i, end - i)
            i = end
        }
        guard i + 1 < count, p[i] == 13 else { return .statusLine }
        guard p[i + 1] == 10 else { return .lineEnding }
        at = i + 2
        return nil
    }

    private func methodKind(_ p: UnsafePointer<UInt8>, _ n: Int) -> MethodKind {
        switch n {
        case 3: matches(p, "GET") ? .get : matches(p, "PUT") ? .put : .other
        case 4: matches(p, "POST") ? .post : matches(p, "HEAD") ? .head : .other
        case 5: matches(p, "PATCH") ? .patch : matches(p, "TRACE") ? .trace : .other
        case 6: matches(p, "DELETE") ? .delete : .other
        case 7: matches(p, "OPTIONS") ? .options : matches(p, "CONNECT") ? .connect : .other
        default: .other
        }
    }

    @inline(__always) private func matches(_ p: UnsafePointer<UInt8>, _ text: StaticString) -> Bool {
        for i in 0..<text.utf8CodeUnitCount where p[i] != text.utf8Start[i] { return false }
        return true
    }
}

extension HeadParser {
    /// Parses the target in one of the forms of RFC 9112, 3.2: origin, absolute, authority (CONNECT only), asterisk
    /// (OPTIONS only).
    private func parseTarget(_ p: UnsafePointer<UInt8>, _ target: HeadRange, _ head: inout RequestHead) -> HeadError? {
        let start = Int(target.start)
        let n = Int(target.length)
        if head.kind == .connect {
            guard parseAuthority(p, target, host: &head.host) else { return .target }
            head.authority = target
            head.path = HeadRange(start, 0)
            return nil
        }
        if p[start] == 0x2f { return parsePath(p, start, target.end, &head) }
        if p[start] == 0x2a {
            guard n == 1, head.kind == .options else { return .target }
            head.path = target
            return nil
        }
        return parseAbsolute(p, start, target.end, &head)
    }

    /// Parses `http://authority[/path][?query]`, or the same with `https`, which clients behind a TLS terminator send.
    /// Other schemes are refused.
    private func parseAbsolute(
        _ p: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ head: inout RequestHead
    ) -> HeadError? {
        guard end - start > 7, asciiLowercase(p[start]) == 0x68, asciiLowercase(p[start + 1]) == 0x74,
            asciiLowercase(p[start + 2]) == 0x74, asciiLowercase(p[start + 3]) == 0x70
        else { return .target }
        let colon = start + (asciiLowercase(p[start + 4]) == 0x73 ? 5 : 4)
        guard p[colon] == 0x3a, p[colon + 1] == 0x2f, p[colon + 2] == 0x2f else { return .target }
        let authorityStart = colon + 3
        var i = authorityStart
        while i < end, p[i] != 0x2f, p[i] != 0x3f { i += 1 }
        let authority = HeadRange(authorityStart, i - authorityStart)
        guard parseAuthority(p, authority, host: &head.host) else { return .target }
        head.authority = authority
        return parsePath(p, i, end, &head)
    }

    private func parsePath(_ p: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ head: inout RequestHead) -> HeadError?
    {
        var i = start
        while i < end, p[i] != 0x3f {
            guard ce_class(p[i]) & UInt8(CE_TARGET) != 0, isWellEscaped(p, i, end) else { return .target }
            i += 1
        }
        head.path = HeadRange(start, i - start)
        head.query = HeadRange(i, end - i)
        while i < end {
            guard ce_class(p[i]) & UInt8(CE_TARGET) != 0 else { return .target }
            i += 1
        }
        return nil
    }

    /// True if two hexadecimal digits follow the percent sign at an index.
    @inline(__always) private func isWellEscaped(_ p: UnsafePointer<UInt8>, _ i: Int, _ end: Int) -> Bool {
        guard p[i] == 0x25 else { return true }
        return i + 2 < end && isHex(p[i + 1]) && isHex(p[i + 2])
    }

    /// Parses `host[:port]`, where host is a name, an IPv4 address or a bracketed IPv6 address. The grammar allows a
    /// comma in a name, but it is more likely the trace of two joined fields, so it is refused; so is userinfo.
    func parseAuthority(_ p: UnsafePointer<UInt8>, _ range: HeadRange, host: inout HeadRange) -> Bool {
        let start = Int(range.start)
        let end = range.end
        guard start < end else { return false }
        var i = start
        if p[i] == 0x5b {
            while i < end, p[i] != 0x5d { i += 1 }
            guard i < end, isIPv6(p, start + 1, i) else { return false }
            i += 1
        } else {
            while i < end, p[i] != 0x3a {
                guard ce_class(p[i]) & UInt8(CE_HOST) != 0, isWellEscaped(p, i, end) else { return false }
                i += 1
            }
            guard i > start else { return false }
        }
        host = HeadRange(start, i - start)
        guard i < end else { return true }
        guard p[i] == 0x3a else { return false }
        i += 1
        var port = 0
        while i < end {
            guard isDigit(p[i]) else { return false }
            port = port * 10 + Int(p[i] - 0x30)
            guard port <= 65_535 else { return false }
            i += 1
        }
        return true
    }

    /// True for an IPv6 address (RFC 3986, 3.2.2): eight groups of up to four hexadecimal digits, of which the last two
    /// may be written as an IPv4 address, and one run may be left out. Zones are refused, since they only have a
    /// meaning on the client's machine.
    private func isIPv6(_ p: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Bool {
        var i = start
        var groups = 0
        var isShortened = false
        if i + 1 < end, p[i] == 0x3a, p[i + 1] == 0x3a {
            isShortened = true
            i += 2
        }
        while i < end {
            let group = i
            while i < end, isHex(p[i]) { i += 1 }
            if i < end, p[i] == 0x2e {
                groups += 2
                guard isIPv4(p, group, end) else { return false }
                break
            }
            guard (1...4).contains(i - group) else { return false }
            groups += 1
            if i == end { break }
            guard p[i] == 0x3a, i + 1 < end else { return false }
            i += 1
            if p[i] == 0x3a {
                if isShortened { return false }
                isShortened = true
                i += 1
            }
        }
        return isShortened ? groups < 8 : groups == 8
    }

    /// True for an IPv4 address: four numbers up to 255 without leading zeros.
    private func isIPv4(_ p: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Bool {
        var i = start
        for part in 0..<4 {
            if part > 0 {
                guard i < end, p[i] == 0x2e else { return false }
                i += 1
            }
            let first = i
            var value = 0
            while i < end, i - first < 3, isDigit(p[i]) {
                value = value * 10 + Int(p[i] - 0x30)
                i += 1
            }
            guard i > first, value <= 255, i - first == 1 || p[first] != 0x30 else { return false }
        }
        return i == end
    }

    @inline(__always) func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }
    @inline(__always) func isHex(_ byte: UInt8) -> Bool { ce_class(byte) & UInt8(CE_HEX) != 0 }
}
