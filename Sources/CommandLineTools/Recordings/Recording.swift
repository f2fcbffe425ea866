import AdminClient
import AdminTypes
import Analysis
import Vocabulary

/// The recorded input of a service's judge, fetched from the agent.
struct Recording {
    /// The largest recording that is accepted, in bytes. The agent keeps less than this for a service.
    static let maximumBytes = 64 << 20

    /// The judge in its state before the first item; nil between rollouts, or if it is not kept.
    var head: Judge?
    var items: [JudgedItem] = []
    /// False if items at the beginning or in the middle are missing.
    var isWhole = true
    /// The times at which the first and the last item were written.
    var begin: Timestamp?
    var end: Timestamp?

    /// - Parameter rollout: the id of the rollout; empty for the recording made between rollouts.
    /// - Throws: `Failure` if the recording cannot be read; `AdminClientError` (404 `unknown_recording`) if there is none.
    init(of service: String, rollout: String, _ client: AdminClient) throws {
        var bytes = 0
        var problem: String?
        var name: String { rollout.isEmpty ? "\(service) between rollouts" : rollout }
        try client.recording(service, rollout: rollout) { page in
            bytes += page.items.count
            guard bytes <= Self.maximumBytes else {
                problem = "it is larger than any that the agent keeps"
                return false
            }
            do { try add(page) } catch {
                problem = "\(error)"
                return false
            }
            return true
        }
        if let problem {
            throw Failure(
                ExitStatus.failed,
                "the recording of \(name) cannot be read: \(problem); the state directory is damaged, or canaryctl is of "
                    + "another version than the agent (canaryctl doctor)")
        }
    }

    /// The reason why a page cannot be read.
    private struct Unreadable: Error, CustomStringConvertible { var description: String }

    private mutating func add(_ page: RecordingPage) throws {
        if let text = page.head {
            do { head = try JSONCoding.decodeStored(Judge.self, from: Array(text.utf8)) } catch {
                throw Unreadable(description: "its first judge is not as this version writes it")
            }
        }
        let read: [JudgedItem]
        do { read = try ItemCoding.decode(page.items) } catch {
            throw Unreadable(description: "\(error) after item \(page.first)")
        }
        guard read.count == page.count else {
            throw Unreadable(
                description: "\(page.count) items were written after item \(page.first), \(read.count) are there")
        }
        // The agent pruned the recording between two pages.
        if !items.isEmpty, page.first != items.count { isWhole = false }
        isWhole = isWhole && page.whole
        items += read
        begin = begin ?? page.begin
        end = page.end ?? end
    }
}
