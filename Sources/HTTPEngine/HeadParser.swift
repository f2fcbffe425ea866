import CLinuxEngine

/// Parses heads in place, strictly by RFC 9110 and 9112: ambiguous heads are refused and never repaired. In responses
/// two faults are repaired as the RFCs describe: white space before a colon, and a repeated equal length. There is one
/// parser for each loop; its table of fields is overwritten by the next head.
public final class HeadParser {
    /// The fields of the last head; the first `FieldSummary.count` are valid.
    public let fields: UnsafeMutablePointer<HeadField>
    public let maxFields: Int
    public let maxTarget: Int

    /// - Parameters:
    ///   - maxFields: the largest number of fields, beyond which a request gets a 431. 128 is more than clients send.
    ///   - maxTarget: the largest target in bytes, beyond which a request gets a 414. RFC 9112 requires at least 8,000.
    public init(maxFields: Int = 128, maxTarget: Int = 8192) {
        self.maxFields = maxFields
        self.maxTarget = maxTarget
        fields = .allocate(capacity: maxFields)
    }

    deinit { fields.deallocate() }

    /// Parses a request's head.
    /// - Parameters:
    ///   - bytes: a complete head as found by `HeadScanner`.
    ///   - count: its length, including the empty line.
    /// - Returns: the reason why the head is refused; nil if it is not.
    public func parse(
        request bytes: UnsafePointer<UInt8>, _ count: Int, into head: inout RequestHead
    ) -> HeadError? {
        head = RequestHead()
        var at = 0
        if let error = parseRequestLine(bytes, count, &at, &head) { return error }
        if let error = parseFields(bytes, count, at, isResponse: false, &head.fields) { return error }
        if let error = frameRequest(&head) { return error }
        return parseHost(bytes, &head)
    }

    /// Parses a response's head.
    /// - Parameter toHead: true if the request's method was HEAD.
    /// - Returns: the reason why the head is refused; nil if it is not.
    public func parse(
        response bytes: UnsafePointer<UInt8>, _ count: Int, toHead: Bool, into head: inout ResponseHead
    ) -> HeadError? {
        head = ResponseHead()
        var at = 0
        if let error = parseStatusLine(bytes, count, &at, &head) { return error }
        if let error = parseFields(bytes, count, at, isResponse: true, &head.fields) { return error }
        return frameResponse(&head, toHead: toHead)
    }

    /// Checks the first line of a head that is not complete yet, so that input other than HTTP/1.1 is refused at once.
    /// - Returns: the reason why the line is refused; nil if it is not.
    public func check(requestLine bytes: UnsafePointer<UInt8>, _ count: Int) -> HeadError? {
        var head = RequestHead()
        var at = 0
        return parseRequestLine(bytes, count, &at, &head)
    }
}

extension HeadParser {
    private func frameRequest(_ head: inout RequestHead) -> HeadError? {
        if head.fields.isChunked {
            if head.fields.contentLength >= 0 { return .bothLengths }
            if head.minor == 0 { return .transferCodingInOldVersion }
            head.framing = .chunked
        } else if head.fields.contentLength > 0 {
            head.framing = .length(head.fields.contentLength)
        }
        return nil
    }

    private func frameResponse(_ head: inout ResponseHead, toHead: Bool) -> HeadError? {
        if head.fields.isChunked {
            if head.fields.contentLength >= 0 { return .bothLengths }
            if head.minor == 0 { return .transferCodingInOldVersion }
        }
        // RFC 9112, 6.3: these responses have no body, whatever the fields say.
        if toHead || head.status < 200 || head.status == 204 || head.status == 304 {
            head.framing = .none
        } else if head.fields.isChunked {
            head.framing = .chunked
        } else if head.fields.contentLength >= 0 {
            head.framing = head.fields.contentLength == 0 ? .none : .length(head.fields.contentLength)
        } else {
            head.framing = .untilClose
        }
        return nil
    }

    private func parseHost(_ bytes: UnsafePointer<UInt8>, _ head: inout RequestHead) -> HeadError? {
        if head.fields.hosts > 1 { return .repeatedHost }
        if head.fields.hosts == 0 {
            if head.minor == 1 { return .missingHost }
            if head.authority.isEmpty { return nil }
        } else {
            var name = HeadRange()
            guard parseAuthority(bytes, head.fields.host, host: &name) else { return .badHost }
            if head.authority.isEmpty {
                head.authority = head.fields.host
                head.host = name
            }
        }
        return nil
    }
}
