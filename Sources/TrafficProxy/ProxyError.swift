/// Why the proxy answers by itself.
enum ProxyError: UInt8 {
    case noService
    case noServer
    case connectFailed
    case connectTimeout
    case upstreamClosed
    case upstreamGarbage
    case responseTimeout
    case bodyTimeout
    case badBody
    case requestTimeout
    case connectRefused
    case expectation
    case headerSpace
    case tooManyConnections
    case tooManyRequests
    case tooMuchBuffered

    var status: Int {
        switch self {
        case .noService: 404
        case .noServer, .connectFailed, .tooManyConnections, .tooManyRequests, .tooMuchBuffered: 503
        case .connectTimeout, .responseTimeout: 504
        case .upstreamClosed, .upstreamGarbage: 502
        case .bodyTimeout, .requestTimeout: 408
        case .badBody: 400
        case .connectRefused: 501
        case .expectation: 417
        case .headerSpace: 431
        }
    }

    var code: StaticString {
        switch self {
        case .noService: "no_service"
        case .noServer: "no_server"
        case .connectFailed: "connect_failed"
        case .connectTimeout: "connect_timeout"
        case .upstreamClosed: "upstream_closed"
        case .upstreamGarbage: "upstream_garbage"
        case .responseTimeout: "response_timeout"
        case .bodyTimeout: "body_timeout"
        case .badBody: "bad_body"
        case .requestTimeout: "request_timeout"
        case .connectRefused: "connect_refused"
        case .expectation: "unknown_expectation"
        case .headerSpace: "head_too_large"
        case .tooManyConnections: "too_many_connections"
        case .tooManyRequests: "too_many_requests"
        case .tooMuchBuffered: "too_much_buffered"
        }
    }

    var message: StaticString {
        switch self {
        case .noService: "no service is routed here for this host and path"
        case .noServer: "no server of this version can be reached"
        case .connectFailed: "the servers of this version refuse connections"
        case .connectTimeout: "the server did not take the connection in time"
        case .upstreamClosed: "the server closed the connection before it answered"
        case .upstreamGarbage: "the server's answer is no HTTP/1.1"
        case .responseTimeout: "the server did not answer in time"
        case .bodyTimeout: "the request's body came too slowly"
        case .badBody: "the request's chunked coding is broken"
        case .requestTimeout: "the request did not come in time"
        case .connectRefused: "CONNECT is not served here"
        case .expectation: "only Expect: 100-continue is known"
        case .headerSpace: "the head is too large"
        case .tooManyConnections: "the service has as many connections as it may have"
        case .tooManyRequests: "the service has as many requests under way as it may have"
        case .tooMuchBuffered: "the service holds as many bytes as it may hold"
        }
    }
}
