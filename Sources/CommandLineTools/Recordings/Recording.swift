import AdminClient
import AdminTypes
import Analysis
import Vocabulary

/// What a service's judge took in, fetched from the agent.
struct Recording {
    /// More than the agent keeps of a service; what sends more is not the agent.
    static let maximumBytes = 64 << 20

    /// The judge before the first item; nil between rollouts.
    var head: Judge?
    var items: [JudgedItem] = []
    /// False: something at its begin or in the middle is gone.
    var isWhole = true
    /// When its first and its last items were written.
    var begin: Timestamp?
    var end: Timestamp?

    /// - Parameter rollout: empty: of the version that serves between rollouts.
    /// - Throws: `Failure` where it cannot be read; `AdminClientError`, a 404 `unknown_recording` where there is none.
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

    /// Why a page cannot be read.
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
        // Pruned while it was read.
        if !items.isEmpty, page.first != items.count { isWhole = false }
        isWhole = isWhole && page.whole
        items += read
        begin = begin ?? page.begin
        end = page.end ?? end
    }
}
