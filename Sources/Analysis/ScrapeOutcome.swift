/// The outcome of one scrape of one server.
public enum ScrapeOutcome: Sendable {
    case sample(ScrapeSample)
    /// The reason for which there is no sample, as text.
    case failure(String)
}
