/// The outcome of one scrape of one server.
public enum ScrapeOutcome: Sendable {
    case sample(ScrapeSample)
    /// The scrape failed. The reason is one line: what happened and, if it helps, what to do.
    case failure(String)
}
