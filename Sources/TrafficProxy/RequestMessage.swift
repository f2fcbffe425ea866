import HTTPEngine

/// The fields of a message, in their order. Valid until the next read of the connection.
struct FieldList {
    let first: UnsafePointer<HeadField>
    let count: Int
    /// The bytes that the fields' ranges refer to.
    let base: UnsafePointer<UInt8>

    @inline(__always) func value(_ place: Int) -> UnsafeBufferPointer<UInt8> { first[place].value.bytes(in: base) }

    /// The value of the first field with a name; nil if there is none.
    /// - Parameter name: the name in lower case.
    func value(named name: Bytes) -> UnsafeBufferPointer<UInt8>? {
        fields: for place in 0..<count where Int(first[place].name.length) == name.count {
            let start = base + Int(first[place].name.start)
            for at in 0..<name.count where asciiLowercase(start[at]) != name.start[at] { continue fields }
            return value(place)
        }
        return nil
    }

    /// The value of the first cookie with a name.
    func cookie(named name: Bytes) -> UnsafeBufferPointer<UInt8>? {
        for place in 0..<count where first[place].kind == .cookie {
            if let found = findCookie(named: name, in: value(place)) { return found }
        }
        return nil
    }
}

/// A request's head as routing needs it, independent of the syntax of a protocol version. Valid until the next read of
/// the connection.
struct RequestMessage {
    let head: RequestHead
    let fields: FieldList

    @inline(__always) var base: UnsafePointer<UInt8> { fields.base }
    @inline(__always) var method: UnsafeBufferPointer<UInt8> { head.method.bytes(in: base) }
    @inline(__always) var path: UnsafeBufferPointer<UInt8> { head.path.bytes(in: base) }
    @inline(__always) var host: UnsafeBufferPointer<UInt8> { head.host.bytes(in: base) }
    @inline(__always) var requestID: UnsafeBufferPointer<UInt8> { head.fields.requestID.bytes(in: base) }

    /// True if the request asks to switch to WebSocket and to nothing else. Requests for other protocols are ignored,
    /// as RFC 9110, 7.8 allows: `h2c` would carry requests past all checks, and other protocols are not known.
    var asksForWebSocket: Bool {
        head.fields.connectionUpgrade && head.kind == .get && head.minor == 1 && head.framing == .none
            && namesWebSocket(head.fields, base)
    }
}

/// A response's head as the proxy needs it. Valid until the next read of the connection.
struct ResponseMessage {
    let head: ResponseHead
    let fields: FieldList

    @inline(__always) var base: UnsafePointer<UInt8> { fields.base }

    /// True for a 101 that switches to WebSocket.
    var switchesToWebSocket: Bool {
        head.minor == 1 && head.fields.connectionUpgrade && namesWebSocket(head.fields, base)
    }
}

private func namesWebSocket(_ fields: FieldSummary, _ base: UnsafePointer<UInt8>) -> Bool {
    guard fields.upgrades == 1 else { return false }
    let name: StaticString = "websocket"
    let value = fields.upgrade.bytes(in: base)
    return value.count == name.utf8CodeUnitCount
        && value.indices.allSatisfy { asciiLowercase(value[$0]) == name.utf8Start[$0] }
}

/// Finds the value of a cookie among `name=value` pairs separated by semicolons (RFC 6265, 4.2.1), without quotes
/// around it.
func findCookie(named name: Bytes, in value: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8>? {
    guard let p = value.baseAddress else { return nil }
    var i = 0
    while i < value.count {
        while i < value.count, p[i] == 0x20 || p[i] == 9 || p[i] == 0x3b { i += 1 }
        let start = i
        while i < value.count, p[i] != 0x3b { i += 1 }
        var end = i
        while end > start, p[end - 1] == 0x20 || p[end - 1] == 9 { end -= 1 }
        guard end - start > name.count, p[start + name.count] == 0x3d, name.equals(p + start, name.count) else {
            continue
        }
        var from = start + name.count + 1
        if end - from >= 2, p[from] == 0x22, p[end - 1] == 0x22 {
            from += 1
            end -= 1
        }
        return UnsafeBufferPointer(start: p + from, count: end - from)
    }
    return nil
}
