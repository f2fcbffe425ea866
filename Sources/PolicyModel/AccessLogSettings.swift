/// A line for each request that is drawn; off where the agent's settings hold none.
public struct AccessLogSettings: Hashable, Codable, Sendable {
    public var destination: Destination
    /// Share of the requests that are logged, 0 ... 1.
    public var sample: Double
    /// Failed requests are logged whether they were drawn or not.
    public var errors: Bool
    /// True if the query is logged after the path. It may contain data that should not be logged.
    public var query: Bool

    public enum Destination: Hashable, Codable, Sendable {
        case stderr
        /// A file that is appended to, and opened again at a reload.
        case file(String)
    }

    public init(destination: Destination, sample: Double = 1, errors: Bool = true, query: Bool = false) {
        self.destination = destination
        self.sample = sample
        self.errors = errors
        self.query = query
    }
}
