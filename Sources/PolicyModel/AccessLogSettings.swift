/// A line for each request that is drawn; off where the agent's settings hold none.
public struct AccessLogSettings: Hashable, Codable, Sendable {
    public var destination: Destination
    /// Share of the requests that are logged, 0 ... 1.
    public var sample: Double
    /// Failed requests are logged whether they were drawn or not.
    public var errors: Bool
    /// The query stands behind the path: it may hold what nobody wants in a log.
    public var query: Bool

    public enum Destination: Hashable, Codable, Sendable {
        case stderr
        /// Appended to, and opened anew at a reload.
        case file(String)
    }

    public init(destination: Destination, sample: Double = 1, errors: Bool = true, query: Bool = false) {
        self.destination = destination
        self.sample = sample
        self.errors = errors
        self.query = query
    }
}
