import Analysis

/// Decides whether a request goes out once more: to another server, over another connection, or to the baseline where
/// the candidate failed it. Pure.
struct RetryPolicy {
    /// The number of attempts of one request on one arm: the first, and others while nothing was sent or the connection
    /// was stale.
    static let maxAttempts: UInt8 = 4

    /// The condition under which the baseline gets a request that the candidate failed.
    enum Rescue: UInt8 {
        /// The baseline never gets the request.
        case none
        /// Nothing of the request was sent.
        case unsent
        /// None: the request is declared safe to send twice.
        case replayable
        /// The baseline has the request already; the candidate's observation is written.
        case done
    }

    private(set) var attempts: UInt8 = 0
    private(set) var tried = TriedServers()
    /// A kept-alive connection was stale: others may be as well, so the next one is new.
    private(set) var wantsNewConnection = false
    var rescue = Rescue.none
    var isIdempotent = false

    /// Counts another attempt. Returns false where there have been as many as there may be.
    mutating func begin() -> Bool {
        guard attempts < Self.maxAttempts else { return false }
        attempts += 1
        return true
    }

    /// Leaves a server out of this request's further attempts.
    mutating func avoid(_ server: UnsafeMutablePointer<Server>) { tried.add(server) }

    mutating func connectionWasStale() { wantsNewConnection = true }

    /// Says whether a request whose connection ended without a response goes out again. What is not idempotent goes out
    /// once (RFC 9110, 9.2.2). A stale connection shows by ending before any byte of a response.
    func maySendAgain(isReused: Bool, sent: Int64, received: Int64, _ kept: KeptRequest) -> Bool {
        isReused && received == 0 && kept.isHeld && (sent == 0 || isIdempotent)
    }

    /// Says whether the baseline gets the request. A baseline that is down is no refuge: the candidate's own failure
    /// says more than "no server".
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

    /// Begins anew, on the baseline.
    mutating func rescued() {
        let isIdempotent = isIdempotent
        self = RetryPolicy()
        self.isIdempotent = isIdempotent
        rescue = .done
    }
}

/// The part of a request that is held and could be sent again, and whether the baseline could take it.
struct KeptRequest {
    /// Everything that came of the request is held, from its first byte.
    var isHeld = false
    /// Nothing of it was sent on this attempt.
    var isUnsent = false
    /// All of its body, as far as it is announced, is within what a rescue may send again.
    var isWhole = false
    /// A server of the baseline could be picked.
    var hasBaseline = false
}
