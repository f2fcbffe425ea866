import Analysis
import HTTPEngine
import PolicyModel
import Vocabulary

/// The reason why the proxy responded in a server's place, or truncated a response. The token goes into the
/// `x-canary-error` field, the access log, `status` and the agent's log; the message into the body.
enum ProxyError: Hashable, Sendable {
    /// The request's head was refused.
    case request(HeadError)
    /// The server's response head was refused.
    case response(HeadError)
    case noService
    case noServer
    case connectFailed
    case connectTimeout
    case upstreamClosed
    case unexpectedSwitch
    case tooManyInterim
    /// The response's chunked coding is malformed.
    case responseCoding
    /// The response ended before its framing says so.
    case responseCut
    case responseTimeout
    case bodyTimeout
    case badBody
    case requestTimeout
    case connectMethod
    case expectation
    case tooManyConnections
    case tooManyRequests
    case tooMuchBuffered

    var status: Int {
        switch self {
        case .request(let error): error.status
        case .noService: 404
        case .noServer, .connectFailed, .tooManyConnections, .tooManyRequests, .tooMuchBuffered: 503
        case .connectTimeout, .responseTimeout: 504
        case .upstreamClosed, .response, .unexpectedSwitch, .tooManyInterim, .responseCoding, .responseCut: 502
        case .bodyTimeout, .requestTimeout: 408
        case .badBody: 400
        case .connectMethod: 501
        case .expectation: 417
        }
    }

    var stage: FailureStage {
        switch self {
        case .request, .noService, .bodyTimeout, .badBody, .requestTimeout, .connectMethod, .expectation: .request
        case .noServer, .connectFailed, .connectTimeout, .upstreamClosed: .server
        case .response, .unexpectedSwitch, .tooManyInterim, .responseCoding, .responseCut, .responseTimeout: .response
        case .tooManyConnections, .tooManyRequests, .tooMuchBuffered: .limit
        }
    }

    /// The `code` in the JSON body of the error response.
    var code: StaticString {
        switch self {
        case .request: "bad_request"
        case .noService: "no_service"
        case .noServer: "no_server"
        case .connectFailed: "connect_failed"
        case .connectTimeout: "connect_timeout"
        case .upstreamClosed: "upstream_closed"
        case .response, .unexpectedSwitch, .tooManyInterim, .responseCoding, .responseCut: "upstream_garbage"
        case .responseTimeout: "response_timeout"
        case .bodyTimeout: "body_timeout"
        case .badBody: "bad_body"
        case .requestTimeout: "request_timeout"
        case .connectMethod: "connect_refused"
        case .expectation: "unknown_expectation"
        case .tooManyConnections: "too_many_connections"
        case .tooManyRequests: "too_many_requests"
        case .tooMuchBuffered: "too_much_buffered"
        }
    }

    /// The token of an error: its name, after the prefix `request-` or `response-` if a head was refused.
    struct Token: CustomStringConvertible {
        var prefix: StaticString = ""
        var name: StaticString

        var description: String { "\(prefix)\(name)" }
    }

    var token: Token {
        switch self {
        case .request(let error): Token(prefix: "request-", name: error.token)
        case .response(let error): Token(prefix: "response-", name: error.token)
        case .noService: Token(name: "no-service")
        case .noServer: Token(name: "no-server")
        case .connectFailed: Token(name: "connect-failed")
        case .connectTimeout: Token(name: "connect-timeout")
        case .upstreamClosed: Token(name: "upstream-closed")
        case .unexpectedSwitch: Token(name: "response-unexpected-101")
        case .tooManyInterim: Token(name: "response-too-many-interim")
        case .responseCoding: Token(name: "response-broken-chunks")
        case .responseCut: Token(name: "response-incomplete")
        case .responseTimeout: Token(name: "response-timeout")
        case .bodyTimeout: Token(name: "request-body-timeout")
        case .badBody: Token(name: "request-broken-chunks")
        case .requestTimeout: Token(name: "request-timeout")
        case .connectMethod: Token(name: "request-connect")
        case .expectation: Token(name: "request-unknown-expectation")
        case .tooManyConnections: Token(name: "too-many-connections")
        case .tooManyRequests: Token(name: "too-many-requests")
        case .tooMuchBuffered: Token(name: "too-much-buffered")
        }
    }

    /// The tokens of the errors that count as failures of a version's servers, sorted.
    static let tokensOfServers: [String] = {
        let errors: [ProxyError] =
            [
                .noServer, .connectFailed, .connectTimeout, .upstreamClosed, .unexpectedSwitch, .tooManyInterim,
                .responseCoding, .responseCut, .responseTimeout,
            ] + HeadError.allCases.filter(\.isOfResponses).map(ProxyError.response)
        return errors.map { "\($0.token)" }.sorted()
    }()

    var message: String {
        switch self {
        case .request(let error): error.message
        case .response(let error): "the server's response is refused: \(error.message)"
        case .noService: "no service is routed here for this host and path"
        case .noServer: "no server of this version can be reached"
        case .connectFailed: "the servers of this version refuse connections"
        case .connectTimeout: "the server did not take the connection in time"
        case .upstreamClosed: "the server closed the connection before it answered"
        case .unexpectedSwitch: "the server switched to a protocol that was not asked for"
        case .tooManyInterim: "the server sent too many interim responses within a second"
        case .responseCoding: "the chunked coding of the server's response is broken"
        case .responseCut: "the server's response ended before it was complete"
        case .responseTimeout: "the server did not answer in time"
        case .bodyTimeout: "the request's body came too slowly"
        case .badBody: "the request's chunked coding is broken"
        case .requestTimeout: "the request did not come in time"
        case .connectMethod: "CONNECT is not served here"
        case .expectation: "only Expect: 100-continue is known"
        case .tooManyConnections: "the service has as many connections as it may have"
        case .tooManyRequests: "the service has as many requests under way as it may have"
        case .tooMuchBuffered: "the service holds as many bytes as it may hold"
        }
    }
}

/// An arm of a service's rollout.
struct ArmKey: Hashable, Sendable {
    var slot: UInt32
    var arm: Arm
}

/// The key by which failed requests are counted.
struct FailureKey: Hashable, Sendable {
    var slot: UInt32
    var arm: Arm
    var error: ProxyError
}
