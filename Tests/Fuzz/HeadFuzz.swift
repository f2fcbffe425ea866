// The head scanner and parser, for requests and responses. Compiled together with them by scripts/fuzz; no SwiftPM
// target.

/// The first byte chooses: bit 0 a response, bit 1 to HEAD; the rest says where a second read begins.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHead(_ input: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size > 1 else { return 0 }
    let choice = input[0]
    let count = size - 1
    // A block of exactly this size: a read beyond it is seen.
    let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
    defer { bytes.deallocate() }
    bytes.update(from: input + 1, count: count)

    let verdict = scan(bytes, count, from: count)
    let split = Int(choice >> 2) % (count + 1)
    guard scan(bytes, count, from: split) == verdict else { fatalError("two reads and one read differ") }
    if let line = HeadScanner.firstLine(bytes, count) { _ = parser.check(requestLine: bytes, line) }

    guard case .complete(let length) = verdict else { return 0 }
    guard length <= count else { fatalError("the head is longer than the input") }
    let head = UnsafeMutablePointer<UInt8>.allocate(capacity: length)
    defer { head.deallocate() }
    head.update(from: bytes, count: length)
    if choice & 1 == 0 { checkRequest(head, length) } else { checkResponse(head, length, toHead: choice & 2 != 0) }
    return 0
}

nonisolated(unsafe) private let parser = HeadParser()

private func scan(_ bytes: UnsafePointer<UInt8>, _ count: Int, from first: Int) -> HeadScanner.Verdict {
    var scanner = HeadScanner()
    let early = scanner.scan(bytes, first)
    return early == .incomplete ? scanner.scan(bytes, count) : early
}

private func checkRequest(_ p: UnsafePointer<UInt8>, _ count: Int) {
    var head = RequestHead()
    guard parser.parse(request: p, count, into: &head) == nil else { return }
    for range in [head.method, head.path, head.query, head.authority, head.host] { checkText(p, range, count) }
    checkFields(p, head.fields, count)
    guard let line = HeadScanner.firstLine(p, count), parser.check(requestLine: p, line) == nil else {
        fatalError("the first line by itself is refused")
    }
    _ = parser.parse(request: p, count, into: &head)

    // Written canonically it has to mean the same.
    var text = Array(head.method.bytes(in: p)) + [0x20]
    if head.kind == .connect {
        text += head.authority.bytes(in: p)
    } else {
        if head.path.isEmpty { text.append(0x2f) }
        text += head.path.bytes(in: p)
        text += head.query.bytes(in: p)
    }
    text += Array(" HTTP/1.\(head.minor)\r\n".utf8)
    appendFields(p, head.fields, to: &text)
    var again = RequestHead()
    guard parser.parse(request: text, text.count, into: &again) == nil else { fatalError("refused when written again") }
    guard again.framing == head.framing, again.fields.count == head.fields.count, again.kind == head.kind,
        again.keepsAlive == head.keepsAlive
    else { fatalError("it means something else when written again") }
    if case .length(let length) = head.framing, length <= 0 { fatalError("a length of \(length)") }
}

private func checkResponse(_ p: UnsafePointer<UInt8>, _ count: Int, toHead: Bool) {
    var head = ResponseHead()
    guard parser.parse(response: p, count, toHead: toHead, into: &head) == nil else { return }
    guard (100...599).contains(head.status) else { fatalError("status \(head.status)") }
    checkText(p, head.reason, count)
    checkFields(p, head.fields, count)
    if toHead, head.framing != .none { fatalError("a body after HEAD") }

    var text = Array("HTTP/1.\(head.minor) \(head.status) ".utf8)
    appendFields(p, head.fields, after: head.reason, to: &text)
    var again = ResponseHead()
    guard parser.parse(response: text, text.count, toHead: toHead, into: &again) == nil else {
        fatalError("refused when written again")
    }
    guard again.framing == head.framing, again.status == head.status, again.keepsAlive == head.keepsAlive else {
        fatalError("it means something else when written again")
    }
}

private func appendFields(
    _ p: UnsafePointer<UInt8>, _ fields: FieldSummary, after reason: HeadRange? = nil, to text: inout [UInt8]
) {
    if let reason {
        text += reason.bytes(in: p)
        text += [13, 10]
    }
    for index in 0..<fields.count {
        text += parser.fields[index].name.bytes(in: p)
        text += [0x3a, 0x20]
        text += parser.fields[index].value.bytes(in: p)
        text += [13, 10]
    }
    text += [13, 10]
}

private func checkFields(_ p: UnsafePointer<UInt8>, _ fields: FieldSummary, _ count: Int) {
    guard fields.count <= parser.maxFields else { fatalError("too many fields") }
    if fields.isChunked, fields.contentLength >= 0 { fatalError("two lengths") }
    for index in 0..<fields.count {
        if parser.fields[index].name.isEmpty { fatalError("an empty name") }
        checkText(p, parser.fields[index].name, count)
        checkText(p, parser.fields[index].value, count)
    }
}

/// Within the head, and nothing in it that could end a line.
private func checkText(_ p: UnsafePointer<UInt8>, _ range: HeadRange, _ count: Int) {
    guard range.end <= count else { fatalError("a range beyond the head") }
    for byte in range.bytes(in: p) where byte == 0 || byte == 10 || byte == 13 { fatalError("a line end in a value") }
}
