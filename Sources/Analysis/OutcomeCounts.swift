import PolicyModel

/// Counts of ended requests by outcome.
public struct OutcomeCounts: Hashable, Codable, Sendable {
    public private(set) var success: UInt64 = 0
    public private(set) var clientError: UInt64 = 0
    public private(set) var serverError: UInt64 = 0
    public private(set) var connectFailure: UInt64 = 0
    public private(set) var timeout: UInt64 = 0
    public private(set) var truncated: UInt64 = 0
    public private(set) var clientClosed: UInt64 = 0
    public private(set) var clientTimeout: UInt64 = 0
    public private(set) var rejected: UInt64 = 0
    /// Judged requests that did not succeed, by status.
    public private(set) var responses = ResponseCounts()

    public init() {}

    public mutating func add(_ o: Observation) { add(o.outcome, status: o.status) }

    /// Counts requests by outcome. Open requests are ignored.
    public mutating func add(_ outcome: Outcome, status: UInt16 = 0, _ n: UInt64 = 1) {
        count(outcome, n)
        responses.add(outcome.code(status: status), n)
    }

    private mutating func count(_ outcome: Outcome, _ n: UInt64) {
        switch outcome {
        case .success: success += n
        case .clientError: clientError += n
        case .serverError: serverError += n
        case .connectFailure: connectFailure += n
        case .timeout: timeout += n
        case .truncated: truncated += n
        case .clientClosed: clientClosed += n
        case .clientTimeout: clientTimeout += n
        case .rejected: rejected += n
        case .open: break
        }
    }

    public mutating func add(_ other: OutcomeCounts) {
        for outcome in Outcome.allCases { count(outcome, other[outcome]) }
        responses.add(other.responses)
    }

    public subscript(outcome: Outcome) -> UInt64 {
        switch outcome {
        case .success: success
        case .clientError: clientError
        case .serverError: serverError
        case .connectFailure: connectFailure
        case .timeout: timeout
        case .truncated: truncated
        case .clientClosed: clientClosed
        case .clientTimeout: clientTimeout
        case .rejected: rejected
        case .open: 0
        }
    }

    /// Requests that count as errors of the arm: 5xx, connection failures, timeouts, truncated responses.
    public var errors: UInt64 { serverError + connectFailure + timeout + truncated }
    /// The denominator of all rates: the requests that the server was responsible for responding to. Clients that left
    /// or were too slow, and requests that the proxy refused, are not among them.
    public var judged: UInt64 { success + clientError + errors }
    public var all: UInt64 { judged + clientClosed + clientTimeout + rejected }
    /// The share of errors and that of 4xx among judged requests, 0 ... 1; nil without a judged request.
    public var errorRate: Double? { judged == 0 ? nil : Double(errors) / Double(judged) }
    public var clientErrorRate: Double? { judged == 0 ? nil : Double(clientError) / Double(judged) }

    /// The number of judged requests whose response code is in a set.
    public func count(_ set: ResponseSet) -> UInt64 { responses.count(set) }
}
