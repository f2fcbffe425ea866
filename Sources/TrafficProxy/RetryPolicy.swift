import Analysis

/// Decides whether a request is sent again: to another server, over another connection, or to the baseline after the
/// candidate failed it. Pure.
struct RetryPolicy {
    /// The largest number of attempts of one request on one arm. Attempts after the first are made if nothing was sent
    /// or the connection was stale.
    static let maxAttempts: UInt8 = 4

    /// The condition under which the baseline gets a request that the candidate failed.
    enum Rescue: UInt8 {
        /// The baseline never gets the request.
        case none
        /// The baseline gets the request if nothing of it was sent.
        case unsent
        /// The baseline gets the request in any case, since it is declared safe to send twice.
        case replayable
        /// The baseline has the request already; the candidate's observation is written.
        case done
    }

    private(set) var attempts: UInt8 = 0
    private(set) var tried = TriedServers()
    /// True if a kept-alive connection was stale. As others may be as well, the next attempt uses a new connection.
    private(set) var wantsNewConnection = false
    var rescue = Rescue.none
    var isIdempotent = false

    /// Counts another attempt. Returns false if there have been `maxAttempts`.
    mutating func begin() -> Bool {
        guard attempts < Self.maxAttempts else { return false }
        attempts += 1
        return true
    }

    /// Excludes a server from this request's further attempts.
    mutating func avoid(_ server: UnsafeMutablePointer<Server>) { tried.add(server) }

    mutating func connectionWasStale() { wantsNewConnection = true }

    /// True if a request whose connection ended without a response may be sent again: the connection was stale, that
    /// is, it was reused and ended before any byte of a response, and nothing was sent or the request is idempotent
    /// (RFC 9110, 9.2.2).
    func maySendAgain(isReused: Bool, sent: Int64, received: Int64, _ kept: KeptRequest) -> Bool {
        isReused && received == 0 && kept.isHeld && (sent == 0 || isIdempotent)
    }

    /// True if the baseline gets the request. It does not if no server of the baseline is up, since the candidate's
    /// failure tells the client more than "no server".
    func mayRescue(_ outcome: Outcome, _ kept: KeptRequest) -> Bool {
        guard outcome.isError, kept.isHeld, kept.hasBaseline else { return false }
        // A stale connection may have taken part of the request before.
        let isUnsent = kept.isUnsent && !wantsNewConnection
        return switch rescue {
        case .none, .done: false
        case .unsent: isUnsent
        case .replayable: isUnsent || kept.isWhole
        }
    }

    /// Starts the attempts again, on the baseline.
    mutating func rescued() {
        let isIdempotent = isIdempotent
        self = RetryPolicy()
        self.isIdempotent = isIdempotent
        rescue = .done
    }
}

/// Whether a request could be sent again, and whether the baseline could take it.
struct KeptRequest {
    /// True if all received bytes of the request are held, from the first one.
    var isHeld = false
    /// True if nothing was sent in this attempt.
    var isUnsent = false
    /// True if the body is not larger than a rescue may send again.
    var isWhole = false
    /// True if a server of the baseline can be picked.
    var hasBaseline = false
}
