/// The reason why a head was refused. The response to such a request has `status`; a server's response is replaced by a
/// 502.
public enum HeadError: UInt8, Error, CaseIterable, Sendable {
    case emptyLine
    case requestLine
    case method
    case target
    case targetTooLong
    case version
    case unsupportedVersion
    case statusLine
    case lineEnding
    case folding
    case fieldName
    case fieldValue
    case tooManyFields
    case headTooLarge
    case missingHost
    case repeatedHost
    case badHost
    case badContentLength
    case repeatedContentLength
    case badTransferCoding
    case repeatedTransferCoding
    case identityTransferCoding
    case unknownTransferCoding
    case bothLengths
    case transferCodingInOldVersion
    case aliasedFraming

    public var status: Int {
        switch self {
        case .targetTooLong: 414
        case .headTooLarge, .tooManyFields: 431
        case .unsupportedVersion: 505
        case .unknownTransferCoding: 501
        default: 400
        }
    }

    /// True if the head of a response can be refused for this reason; the others concern requests only.
    public var isOfResponses: Bool {
        switch self {
        case .requestLine, .method, .target, .targetTooLong, .missingHost, .repeatedHost, .badHost: false
        case .emptyLine, .version, .unsupportedVersion, .statusLine, .lineEnding, .folding, .fieldName, .fieldValue,
            .tooManyFields, .headTooLarge, .badContentLength, .repeatedContentLength, .badTransferCoding,
            .repeatedTransferCoding, .identityTransferCoding, .unknownTransferCoding, .bothLengths,
            .transferCodingInOldVersion, .aliasedFraming:
            true
        }
    }

    public var message: String {
        switch self {
        case .emptyLine: "the head begins with an empty line"
        case .requestLine: "the request line is not METHOD SP TARGET SP HTTP/1.1 CRLF"
        case .method: "the method is no token of at most 32 characters"
        case .target: "the request target is no valid origin, absolute or asterisk form"
        case .targetTooLong: "the request target is too long"
        case .version: "the version is not of the form HTTP/1.1"
        case .unsupportedVersion: "only HTTP/1.1 and HTTP/1.0 are spoken here"
        case .statusLine: "the status line is not HTTP/1.1 SP CODE SP REASON CRLF"
        case .lineEnding: "a line does not end with CRLF, or holds a bare CR"
        case .folding: "a field is folded over several lines"
        case .fieldName: "a field name is empty, no token, or followed by white space"
        case .fieldValue: "a field value holds a control character"
        case .tooManyFields: "there are too many fields"
        case .headTooLarge: "the head is too large"
        case .missingHost: "the Host field is missing"
        case .repeatedHost: "there is more than one Host field"
        case .badHost: "the Host field is no host with an optional port"
        case .badContentLength: "Content-Length is no decimal number that fits"
        case .repeatedContentLength: "there is more than one Content-Length"
        case .badTransferCoding: "Transfer-Encoding is not exactly one chunked"
        case .repeatedTransferCoding: "Transfer-Encoding says chunked more than once"
        case .identityTransferCoding: "Transfer-Encoding says identity, which HTTP/1.1 no longer has"
        case .unknownTransferCoding: "only the transfer coding chunked is known"
        case .bothLengths: "there are both Content-Length and Transfer-Encoding"
        case .transferCodingInOldVersion: "HTTP/1.0 has no Transfer-Encoding"
        case .aliasedFraming: "a field is named like Content-Length or Transfer-Encoding with an underscore"
        }
    }
    /// A short name for headers and logs, where it follows `request-` or `response-`.
    public var token: StaticString {
        switch self {
        case .emptyLine: "empty-line"
        case .requestLine: "malformed-line"
        case .method: "invalid-method"
        case .target: "invalid-target"
        case .targetTooLong: "target-too-long"
        case .version: "malformed-version"
        case .unsupportedVersion: "unsupported-version"
        case .statusLine: "malformed-status-line"
        case .lineEnding: "line-without-crlf"
        case .folding: "folded-field"
        case .fieldName: "invalid-field-name"
        case .fieldValue: "invalid-field-value"
        case .tooManyFields: "too-many-fields"
        case .headTooLarge: "head-too-large"
        case .missingHost: "no-host"
        case .repeatedHost: "two-hosts"
        case .badHost: "invalid-host"
        case .badContentLength: "invalid-content-length"
        case .repeatedContentLength: "two-content-lengths"
        case .badTransferCoding: "invalid-transfer-encoding"
        case .repeatedTransferCoding: "chunked-twice"
        case .identityTransferCoding: "identity-transfer-encoding"
        case .unknownTransferCoding: "unknown-transfer-encoding"
        case .bothLengths: "length-and-chunked"
        case .transferCodingInOldVersion: "transfer-encoding-in-http-1.0"
        case .aliasedFraming: "framing-with-underscore"
        }
    }
}
