import Glibc
import Testing

/// Waits for what another thread or process brings about, and records an issue at the caller where it does not come
/// within the limit: a test that waits in vain then says for what, and ends.
/// - Parameters:
///   - limit: far above what the slowest machine needs, so that it never decides a test that would pass.
///   - what: words for the issue.
/// - Returns: whether it came.
@discardableResult
public func eventually(
    within limit: Duration = .seconds(30), _ what: @autoclosure () -> String = "the condition holds",
    at location: SourceLocation = #_sourceLocation, _ condition: () throws -> Bool
) rethrows -> Bool {
    let clock = ContinuousClock()
    let end = clock.now + limit
    while true {
        if try condition() { return true }
        guard clock.now < end else {
            Issue.record("not within \(limit): \(what())", sourceLocation: location)
            return false
        }
        usleep(500)
    }
}
