/// The outcome of one scrape of one server.
public enum ScrapeOutcome: Sendable {
    case sample(ScrapeSample)
    /// The reason for which there is no sample, in one line: what happened, and where it helps, what to do.
    case failure(String)
}
