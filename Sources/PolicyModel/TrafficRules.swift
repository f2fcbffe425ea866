/// How requests find their arm, beyond the weight.
public struct TrafficRules: Hashable, Codable, Sendable {
    public var sticky: StickyKey
    /// The first that matches wins; a matched request is relayed and never judged.
    public var match: [HeaderMatch]
    public var mirror: Mirror?
    /// Replay a candidate's failed request on the baseline.
    public var rescue: Bool
    public var timeouts: Timeouts

    public init(
        sticky: StickyKey = .none, match: [HeaderMatch] = [], mirror: Mirror? = nil, rescue: Bool = false,
        timeouts: Timeouts = Timeouts()
    ) {
        self.sticky = sticky
        self.match = match
        self.mirror = mirror
        self.rescue = rescue
        self.timeouts = timeouts
    }
}

/// What keeps a client on its arm. A request without the key is dealt at random, and counted.
public enum StickyKey: Hashable, Codable, Sendable {
    case none
    /// Lower-case header name.
    case header(String)
    /// Cookie name, case-sensitive.
    case cookie(String)
}

public struct HeaderMatch: Hashable, Codable, Sendable {
    /// Lower case.
    public var header: String
    public var equals: String
    public var to: Arm

    public init(header: String, equals: String, to: Arm) {
        self.header = header
        self.equals = equals
        self.to = to
    }
}

public struct Mirror: Hashable, Codable, Sendable {
    public var to: Arm
    public var share: Weight

    public init(to: Arm, share: Weight) {
        self.to = to
        self.share = share
    }
}

public struct Timeouts: Hashable, Codable, Sendable {
    /// To an upstream server.
    public var connect: Duration
    /// From the request's last byte sent to the response's head, and between two reads of its body.
    public var response: Duration
    /// Of a kept-alive connection with nothing in flight.
    public var idle: Duration

    public init(connect: Duration = .seconds(1), response: Duration = .seconds(60), idle: Duration = .seconds(300)) {
        self.connect = connect
        self.response = response
        self.idle = idle
    }
}
