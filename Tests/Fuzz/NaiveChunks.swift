// The chunked coding read a second time, in another way: whole lines, split into parts and looked at as text. Slow and
// plain, it shares nothing with the decoder, which is held to it. Compiled by scripts/fuzz; no SwiftPM target.

struct Reading {
    enum Verdict {
        /// The body ends behind so many bytes.
        case whole(Int)
        /// A complete line, or the end of a chunk, that the grammar does not know.
        case bad
        /// The input ends within a line or a chunk; whether what is there of the line may stand is not asked.
        case unfinished
    }

    var content: [UInt8] = []
    var verdict = Verdict.unfinished
}

/// RFC 9112, 7.1, with the decoder's bounds: 15 digits a size, 8192 bytes of extensions and trailers.
func read(_ bytes: [UInt8]) -> Reading {
    var reading = Reading()
    var at = 0
    var spent = 0
    while true {
        guard let line = Line(bytes, at) else { return reading }
        guard line.endsWell, let size = chunkSize(line.bytes, &spent) else { return bad(reading) }
        at = line.next
        guard size > 0 else { break }
        let held = Int(min(size, UInt64(bytes.count - at)))
        reading.content += bytes[at..<at + held]
        at += held
        let end = Array(bytes[at..<min(at + 2, bytes.count)])
        if UInt64(held) < size || end.isEmpty { return reading }
        if end == [13] { return reading }
        guard end == [13, 10] else { return bad(reading) }
        at += 2
    }
    while true {
        guard let line = Line(bytes, at) else { return reading }
        guard line.endsWell else { return bad(reading) }
        at = line.next
        if line.bytes.isEmpty { break }
        spent += line.bytes.count + 1
        let parts = line.bytes.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard spent <= 8192, parts.count == 2, isToken(parts[0]), parts[1].allSatisfy(isText) else {
            return bad(reading)
        }
    }
    reading.verdict = .whole(at)
    return reading
}

private func bad(_ reading: Reading) -> Reading {
    var reading = reading
    reading.verdict = .bad
    return reading
}

/// Up to the first CR or LF. Nil: neither came, or only a CR and nothing behind it.
private struct Line {
    var bytes: [UInt8]
    var next: Int
    var endsWell: Bool

    init?(_ all: [UInt8], _ start: Int) {
        guard let end = all[start...].firstIndex(where: { $0 == 13 || $0 == 10 }) else { return nil }
        if all[end] == 13, end + 1 == all.count { return nil }
        bytes = Array(all[start..<end])
        next = end + 2
        endsWell = all[end] == 13 && all[end + 1] == 10
    }
}

/// Nil: it is none.
private func chunkSize(_ line: [UInt8], _ spent: inout Int) -> UInt64? {
    let digits = line.prefix { Character(UnicodeScalar($0)).isHexDigit }
    guard (1...15).contains(digits.count), let size = UInt64(String(decoding: digits, as: UTF8.self), radix: 16) else {
        return nil
    }
    guard digits.count < line.count else { return size }
    spent += line.count - digits.count + 1
    return spent <= 8192 && areExtensions(Array(line[digits.count...])) ? size : nil
}

/// `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`; one has to be there, and white space may follow
/// neither a size nor a value without another one.
private func areExtensions(_ text: [UInt8]) -> Bool {
    var parts: [[UInt8]] = [[]]
    var isQuoted = false
    var isEscaped = false
    for byte in text {
        if byte == UInt8(ascii: ";"), !isQuoted {
            parts.append([])
            continue
        }
        parts[parts.count - 1].append(byte)
        if isEscaped {
            isEscaped = false
        } else if byte == UInt8(ascii: "\\"), isQuoted {
            isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
            isQuoted.toggle()
        }
    }
    guard !isQuoted, parts.count > 1, parts[0].allSatisfy(isSpace) else { return false }
    for (index, part) in parts.enumerated().dropFirst() {
        let isLast = index == parts.count - 1
        if isLast, let end = part.last, isSpace(end) { return false }
        let halves = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
        guard isToken(trimmed(halves[0])) else { return false }
        guard halves.count == 2 else { continue }
        let value = trimmed(halves[1])
        guard isToken(value) || isQuotedString(Array(value)) else { return false }
    }
    return true
}

private func isQuotedString(_ text: [UInt8]) -> Bool {
    guard text.count >= 2, text.first == UInt8(ascii: "\""), text.last == UInt8(ascii: "\"") else { return false }
    var isEscaped = false
    for byte in text.dropFirst().dropLast() {
        guard isText(byte) else { return false }
        if isEscaped {
            isEscaped = false
        } else if byte == UInt8(ascii: "\"") {
            return false
        } else if byte == UInt8(ascii: "\\") {
            isEscaped = true
        }
    }
    return !isEscaped
}

private func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var text = text
    while let first = text.first, isSpace(first) { text.removeFirst() }
    while let last = text.last, isSpace(last) { text.removeLast() }
    return text
}

private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 9 }

private func isText(_ byte: UInt8) -> Bool { byte == 9 || byte >= 0x20 && byte != 0x7f }

private func isToken(_ text: ArraySlice<UInt8>) -> Bool {
    !text.isEmpty
        && text.allSatisfy { byte in
            let letter = byte | 0x20
            return (0x61...0x7a).contains(letter) || (0x30...0x39).contains(byte) || marks.contains(byte)
        }
}

private let marks = Set("!#$%&'*+-.^_`|~".utf8)
