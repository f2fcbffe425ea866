import CYAML

/// A copy of one event of libyaml.
struct Event {
    enum Kind {
        case streamStart, streamEnd, documentStart, documentEnd
        case alias
        case scalar(String, quoted: Bool)
        case listStart, listEnd, mappingStart, mappingEnd
    }

    var kind: Kind
    var mark: Mark
    var anchor: String?
    var tag: String?
}

/// A syntax error that libyaml found.
struct SyntaxError: Error {
    var mark: Mark
    var message: String
}

/// Parses text into events with libyaml.
final class EventReader {
    // The parser contains its own address, so it may not move.
    private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    private let bytes: UnsafeMutableBufferPointer<UInt8>

    init(text: String) {
        let utf8 = Array(text.utf8)
        bytes = .allocate(capacity: max(1, utf8.count))
        _ = bytes.initialize(from: utf8)
        precondition(yaml_parser_initialize(parser) == 1, "no memory for a YAML parser")
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, utf8.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        bytes.deallocate()
    }

    func next() throws(SyntaxError) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxError() }
        defer { yaml_event_delete(&event) }
        let mark = Mark(event.start_mark)
        switch event.type {
        case YAML_STREAM_START_EVENT: return Event(kind: .streamStart, mark: mark)
        case YAML_STREAM_END_EVENT: return Event(kind: .streamEnd, mark: mark)
        case YAML_DOCUMENT_START_EVENT: return Event(kind: .documentStart, mark: mark)
        case YAML_DOCUMENT_END_EVENT: return Event(kind: .documentEnd, mark: mark)
        case YAML_ALIAS_EVENT:
            return Event(kind: .alias, mark: mark, anchor: string(event.data.alias.anchor))
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            return Event(
                kind: .scalar(text, quoted: scalar.style != YAML_PLAIN_SCALAR_STYLE), mark: mark,
                anchor: string(scalar.anchor), tag: string(scalar.tag))
        case YAML_SEQUENCE_START_EVENT:
            let start = event.data.sequence_start
            return Event(kind: .listStart, mark: mark, anchor: string(start.anchor), tag: string(start.tag))
        case YAML_MAPPING_START_EVENT:
            let start = event.data.mapping_start
            return Event(kind: .mappingStart, mark: mark, anchor: string(start.anchor), tag: string(start.tag))
        case YAML_SEQUENCE_END_EVENT: return Event(kind: .listEnd, mark: mark)
        case YAML_MAPPING_END_EVENT: return Event(kind: .mappingEnd, mark: mark)
        default: return Event(kind: .streamEnd, mark: mark)
        }
    }

    private func string(_ text: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        text.map { String(cString: UnsafePointer<UInt8>($0)) }
    }

    private func syntaxError() -> SyntaxError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "cannot be read"
        if parser.pointee.error == YAML_READER_ERROR {
            return SyntaxError(mark: mark(ofByte: parser.pointee.problem_offset), message: "no YAML: \(problem)")
        }
        var mark = Mark(parser.pointee.problem_mark)
        var message = "no YAML: \(problem)"
        if let context = parser.pointee.context.map({ String(cString: $0) }) {
            let start = Mark(parser.pointee.context_mark)
            message += " \(context)"
            if isBlank(line: mark.line) {
                // At the end of the file, the place where the unfinished part starts helps more.
                mark = start
            } else if start.line != mark.line {
                message += " (begun at line \(start.line))"
            }
        }
        if let hint = Self.hints.first(where: { problem.contains($0.problem) })?.hint { message += "; \(hint)" }
        return SyntaxError(mark: mark, message: message)
    }

    private func isBlank(line: Int) -> Bool {
        let lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false)
        return line > lines.count || lines[line - 1].allSatisfy { $0 <= 0x20 }
    }

    private func mark(ofByte offset: Int) -> Mark {
        let before = bytes.prefix(offset)
        let line = before.lazy.filter { $0 == 0x0a }.count + 1
        let start = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        let column = String(decoding: bytes[start..<min(offset, bytes.count)], as: UTF8.self).unicodeScalars.count
        return Mark(line: line, column: column + 1)
    }

    /// The most likely fixes for errors of the parser, by part of its message.
    private static let hints: [(problem: String, hint: String)] = [
        (
            "cannot start any token",
            "indent with spaces, not tabs, and put quotes around a value that starts with % @ or `"
        ),
        ("mapping values are not allowed", "put quotes around a value with ': ' in it, and check the indentation"),
        ("did not find expected key", "check the indentation: keys that belong together start in the same column"),
        ("could not find expected ':'", "write 'key: value', with a space after the colon"),
        ("',' or '}'", "close it with '}', and put quotes around values that hold any of { } [ ] ,"),
        ("',' or ']'", "close it with ']', and put quotes around values that hold any of { } [ ] ,"),
        ("'-' indicator", "start each entry of the list with '- ' in the same column"),
        ("block sequence entries", "start the list on a line of its own"),
        ("unexpected ':'", "put quotes around a value that ends with a colon"),
        ("expected node content", "put quotes around a value that starts with : ? or -"),
        ("end of stream", "close the quotation mark"),
        ("undefined tag", "tags are not read: remove it"),
        ("control characters", "remove the character"),
        ("escape character", "use single quotes, in which a backslash is a backslash"),
    ]
}

extension Mark {
    init(_ mark: yaml_mark_t) { self.init(line: mark.line + 1, column: mark.column + 1) }
}
