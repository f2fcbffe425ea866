import PolicyModel

/// Ended requests by outcome.
public struct OutcomeCounts: Hashable, Codable, Sendable {
    public private(set) var success: UInt64 = 0
    public private(set) var clientError: UInt64 = 0
    public private(set) var serverError: UInt64 = 0
    public private(set) var connectFailure: UInt64 = 0
    public private(set) var timeout: UInt64 = 0
    public private(set) var truncated: UInt64 = 0
    public private(set) var clientClosed: UInt64 = 0
    public private(set) var clientTimeout: UInt64 = 0

    public init() {}

    /// An open request is no end and is not counted.
    public mutating func add(_ outcome: Outcome, _ n: UInt64 = 1) {
        switch outcome {
        case .success: success += n
        case .clientError: clientError += n
        case .serverError: serverError += n
        case .connectFailure: connectFailure += n
        case .timeout: timeout += n
        case .truncated: truncated += n
        case .clientClosed: clientClosed += n
        case .clientTimeout: clientTimeout += n
        case .open: break
        }
    }

    public mutating func add(_ other: OutcomeCounts) {
        for outcome in Outcome.allCases { add(outcome, other[outcome]) }
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
        case .open: 0
        }
    }

    /// 5xx, failed or timed-out connections, truncated replies.
    public var errors: UInt64 { serverError + connectFailure + timeout + truncated }
    /// What an error rate is a share of: successes and errors. 4xx and clients that left or were too slow are counted
    /// apart.
    public var judged: UInt64 { success + errors }
    public var all: UInt64 { judged + clientError + clientClosed + clientTimeout }
    /// Nil without a judged request.
    public var errorRate: Double? { judged == 0 ? nil : Double(errors) / Double(judged) }
}
