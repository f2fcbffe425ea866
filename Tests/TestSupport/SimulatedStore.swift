import Analysis
import FoundationEssentials
import PolicyModel
import RolloutController
import RolloutEngine
import Vocabulary

/// The error of every operation that fails on a simulated disk, whatever the reason.
public struct DiskFull: Error, CustomStringConvertible {
    public init() {}
    public var description: String { "no space left on device" }
}

/// The content of a disk, and the ways in which it fails. It outlives the controllers and stores that use it.
public final class SimulatedDisk {
    public var services: [String: StoredService] = [:]
    /// The recordings by service and rollout.
    public var recordings: [String: [String: StoredPage]] = [:]
    public var journal: [JournalEntry] = []
    public var stoppedCleanly = true
    /// The number of writes that succeed before all others fail; nil if every write succeeds.
    public var writesLeft: Int?
    public var isUnreadable = false
    /// The reasons why states cannot be read, by service, as `load` reports them.
    public var unreadable: [String: String] = [:]
    /// Called while a change is written, for example to let time pass as on a slow disk.
    public var onCommit: (StateChange) -> Void = { _ in }
    /// True if another program holds a lock, so that no commit succeeds.
    public var isLocked = false
    /// Services whose changes cannot be written, whatever else can.
    public var refused: Set<String> = []
    /// The number of commits that were tried.
    public var transactions = 0

    public init() {}

    /// True if all writes fail from now on.
    public var isFull: Bool {
        get { writesLeft == 0 }
        set { writesLeft = newValue ? 0 : nil }
    }

    fileprivate func write() throws {
        guard let left = writesLeft else { return }
        guard left > 0 else { throw DiskFull() }
        writesLeft = left - 1
    }
}

/// A store in memory, on a disk that fails on demand.
public final class SimulatedStore: StateStore {
    public let disk: SimulatedDisk
    public let log: ActionLog

    public init(disk: SimulatedDisk = SimulatedDisk(), log: ActionLog = ActionLog()) {
        self.disk = disk
        self.log = log
    }

    public func load() throws -> StoredAgent {
        if disk.isUnreadable { throw DiskFull() }
        return StoredAgent(
            services: disk.services.values.sorted { $0.state.service < $1.state.service },
            stoppedCleanly: disk.stoppedCleanly, unreadable: disk.unreadable)
    }

    public func concernsEveryCommit(_ error: any Error) -> Bool { disk.isLocked }

    public func commit(_ changes: [StateChange]) throws {
        disk.transactions += 1
        if disk.isLocked { throw DiskFull() }
        if changes.contains(where: { disk.refused.contains($0.state.service) }) { throw DiskFull() }
        // All changes are stored, or none.
        let (services, recordings, journal) = (disk.services, disk.recordings, disk.journal)
        do { for change in changes { try commit(one: change) } } catch {
            (disk.services, disk.recordings, disk.journal) = (services, recordings, journal)
            throw error
        }
    }

    private func commit(one change: StateChange) throws {
        let (service, split) = (change.state.service, change.state.split)
        do { try disk.write() } catch {
            log.add(.failedCommit(service: service, weight: split.candidate, generation: split.generation))
            throw error
        }
        disk.onCommit(change)
        let before = disk.services[service]
        disk.services[service] = StoredService(
            state: change.state, evidence: change.evidence ?? before?.evidence,
            tail: change.evidence == nil ? before?.tail ?? [] : [])
        for part in change.recording {
            let rollout = part.rollout ?? ""
            var recording = disk.recordings[service]?[rollout] ?? StoredPage()
            if let head = part.head {
                recording = StoredPage()
                recording.head = String(decoding: try JSONEncoder().encode(head), as: UTF8.self)
            }
            recording.items += ItemCoding.encode(part.items)
            recording.count += part.items.count
            if part.hasGap { recording.isWhole = false }
            disk.recordings[service, default: [:]][rollout] = recording
            if change.evidence == nil, rollout == change.state.rollout?.id {
                disk.services[service]?.tail += part.items
            }
        }
        for event in change.events {
            let id = Int64(disk.journal.count + 1)
            disk.journal.append(JournalEntry(id: id, service: service, at: change.at, event: event))
        }
        log.add(.committed(service: service, weight: split.candidate, generation: split.generation))
    }

    /// Returns the whole recording in one page.
    public func recordingPage(service: String, rollout: String, after: Int64, limit: Int) throws -> StoredPage? {
        disk.recordings[service]?[rollout]
    }

    public func markRunning() throws {
        try disk.write()
        disk.stoppedCleanly = false
        log.add(.markedRunning)
    }

    public func markStopped() throws {
        try disk.write()
        disk.stoppedCleanly = true
        log.add(.markedStopped)
    }

    public func events(service: String?, after: Int64, limit: Int) throws -> [JournalEntry] {
        Array(matching(service).filter { $0.id > after }.prefix(limit))
    }

    public func latestEvents(service: String?, limit: Int) throws -> [JournalEntry] {
        Array(matching(service).suffix(limit))
    }

    public func entry(id: Int64) throws -> JournalEntry? { disk.journal.first { $0.id == id } }

    /// Returns a record for each rollout that the journal mentions.
    public func history(service: String, limit: Int) throws -> [RolloutRecord] {
        var records: [String: RolloutRecord] = [:]
        for entry in matching(service) {
            guard let id = entry.event.rollout, let state = disk.services[service]?.state else { continue }
            var record =
                records[id]
                ?? RolloutRecord(
                    id: id, service: service, baseline: state.serving,
                    candidate: state.rollout?.candidate ?? state.refused?.identity ?? state.serving,
                    startedAt: entry.at)
            if entry.event.kind == .promoted || entry.event.kind == .reverted {
                record.result = entry.event.kind == .promoted ? .promoted : .reverted
                record.reason = entry.event.message
                record.endedAt = entry.at
                record.decision = entry.id
            }
            records[id] = record
        }
        return Array(records.values.sorted { $0.startedAt > $1.startedAt }.prefix(limit))
    }

    private func matching(_ service: String?) -> [JournalEntry] {
        disk.journal.filter { service == nil || $0.service == service }
    }
}

/// The runtime directory, which outlives the controllers but not a reboot.
public final class SimulatedMarker: LoweringMarker {
    public var states: [String: ServiceState] = [:]
    /// The reasons why marks cannot be read, by service.
    public var unreadable: [String: String] = [:]
    public var isBroken = false
    public let log: ActionLog

    public init(log: ActionLog = ActionLog()) { self.log = log }

    public func mark(_ state: ServiceState) -> Bool {
        if isBroken { return false }
        states[state.service] = state
        log.add(.marked(service: state.service, weight: state.split.candidate))
        return true
    }

    public func clear(service: String) {
        let isMarked = states.removeValue(forKey: service) != nil
        if unreadable.removeValue(forKey: service) != nil || isMarked { log.add(.cleared(service: service)) }
    }

    public func read() -> LoweringMarks {
        let readable = states.filter { unreadable[$0.key] == nil }
        return LoweringMarks(states: readable, unreadable: unreadable)
    }
}

/// Keeps the events that it receives.
public final class RecordingListener: EventListener {
    public struct EmittedEvent: Equatable {
        public var event: Event
        public var service: String
        public var isDurable: Bool
    }
    public var emitted: [EmittedEvent] = []
    /// The number of calls of `deferredEventsWritten`.
    public private(set) var deferredWrites = 0

    public init() {}

    public func deferredEventsWritten() { deferredWrites += 1 }

    public func happened(_ event: Event, service: String, at wall: Int64, isDurable: Bool) {
        emitted.append(EmittedEvent(event: event, service: service, isDurable: isDurable))
    }

    public var kinds: [EventKind] { emitted.map(\.event.kind) }
    public func messages(of kind: EventKind) -> [String] {
        emitted.filter { $0.event.kind == kind }.map(\.event.message)
    }
}
