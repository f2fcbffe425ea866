/// Why a head was refused. Requests are answered with `status`, responses make a 502.
public enum HeadError: UInt8, Error, CaseIterable, Sendable {
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

    public var message: String {
        switch self {
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
        case .unknownTransferCoding: "only the transfer coding chunked is known"
        case .bothLengths: "there are both Content-Length and Transfer-Encoding"
        case .transferCodingInOldVersion: "HTTP/1.0 has no Transfer-Encoding"
        case .aliasedFraming: "a field is named like Content-Length or Transfer-Encoding with an underscore"
        }
    }
}
