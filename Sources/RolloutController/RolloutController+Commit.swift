import Analysis
import PolicyModel
import RolloutEngine

/// The result of committing a transition.
enum CommitResult {
    case durable
    /// The transition is in force, but not on disk yet; it is written as soon as that is possible.
    case notYetDurable
    /// The transition is not in force, since it must be on disk first and could not be written, for the given reason.
    case notWritten(String)
}

/// A transition that a service is to make.
struct Move {
    let runtime: ServiceRuntime
    let transition: Transition

    init(_ transition: Transition, _ runtime: ServiceRuntime) {
        self.runtime = runtime
        self.transition = transition
    }
}

extension RolloutController {
    /// Commits transitions and puts them in force, in the order that the direction of each requires: a transition that
    /// gives the candidate more traffic, or lets a stopped rollout move, is written first; one that gives it less never
    /// waits for the disk. All moves together, at most one for each service, cost one wait for the disk and at most two
    /// published plans.
    /// - Returns: a result for each move.
    func commit(_ moves: [Move], now: Moment) -> [CommitResult] {
        var results = [CommitResult](repeating: .durable, count: moves.count)
        var writes: [(index: Int, change: StateChange, isRaise: Bool)] = []
        for (index, move) in moves.enumerated() {
            let (runtime, new) = (move.runtime, move.transition.state)
            if new == runtime.state, move.transition.events.isEmpty { continue }
            if move.transition.events.isEmpty, new.generation == runtime.state.generation {
                // Only time has passed, a failure has changed, or the plan of a waiting rollout was replaced: `flush`
                // writes it.
                putInForce(new, runtime)
                runtime.ledger.recordChange()
                continue
            }
            let isRaise = isRaise(from: runtime.state, to: new)
            if !isRaise { putInForce(new, runtime) }
            writes.append((index, runtime.change(to: new, move.transition.events, now: now), isRaise))
        }
        publishIfNeeded()
        let failures = write(writes.map { (moves[$0.index].runtime, $0.change) }, now: now)
        for (write, failure) in zip(writes, failures) where write.isRaise && failure == nil {
            let runtime = moves[write.index].runtime
            if putInForce(write.change.state, runtime) {
                // The judge that was written is not the one that judges now. The next flush writes it: that of this
                // tick, or of the next one if the commit is for a command or a reload.
                runtime.ledger.recordChange()
                runtime.ledger.requireWrite()
            }
        }
        publishIfNeeded()
        for (write, failure) in zip(writes, failures) {
            let (runtime, events) = (moves[write.index].runtime, moves[write.index].transition.events)
            if let failure {
                results[write.index] = write.isRaise ? .notWritten("\(failure)") : .notYetDurable
                if !write.isRaise {
                    runtime.ledger.deferWrite(of: events)
                    mark(runtime)
                }
                reportFailure(failure, runtime)
            }
            if failure == nil || !write.isRaise { emit(events, runtime, now: now, isDurable: failure == nil) }
        }
        return results
    }

    /// True if a transition must be on disk before it is in force.
    private func isRaise(from old: ServiceState, to new: ServiceState) -> Bool {
        // A manual return to an earlier version is a revert and waits for nothing.
        if new.serving != old.serving { return new.serving == old.rollout?.candidate }
        if new.rollout != nil, new.rollout?.id != old.rollout?.id { return true }
        if new.split.candidate > old.split.candidate { return true }
        let wasStopped = old.freeze != nil || old.rollout?.pause != nil
        let isStopped = new.freeze != nil || new.rollout?.pause != nil
        return wasStopped && !isStopped && new.rollout != nil
    }

    /// Puts a state in force, except for its publication.
    /// - Returns: true if the state starts a new judge.
    @discardableResult
    func putInForce(_ new: ServiceState, _ runtime: ServiceRuntime) -> Bool {
        if new.generation != runtime.state.generation { needsPublication = true }
        // The time is read again: during a commit, which may take a while, requests were assigned by the old split.
        return runtime.follow(new, now: clock.now.monotonic) { newSlot(for: new.service) }
    }

    // MARK: - Writing

    /// Writes the changes in one transaction, or, if that fails, each in its own.
    /// - Returns: the error for each change that could not be written.
    private func write(_ changes: [(runtime: ServiceRuntime, change: StateChange)], now: Moment) -> [(any Error)?] {
        do {
            try writeTogether(changes, now: now)
            return [(any Error)?](repeating: nil, count: changes.count)
        } catch {
            guard changes.count > 1 else { return [error] }
            // A change of one service that cannot be written must not keep those of others from the disk.
            var common = store.concernsEveryCommit(error) ? error : nil
            return changes.map { change in
                if let common { return common }
                do { try writeTogether([change], now: now) } catch {
                    if store.concernsEveryCommit(error) { common = error }
                    return error
                }
                return nil
            }
        }
    }

    private func writeTogether(_ changes: [(runtime: ServiceRuntime, change: StateChange)], now: Moment) throws {
        guard !changes.isEmpty else { return }
        do {
            try markRunning()
            try store.commit(changes.map(\.change))
        } catch {
            counters.failedWrites += 1
            throw error
        }
        counters.writes += 1
        for (runtime, change) in changes {
            let hadDeferredEvents = !runtime.ledger.deferredEvents.isEmpty
            if runtime.recordCommit(of: change, now: now) { marker.clear(service: change.state.service) }
            if hadDeferredEvents { listener.deferredEventsWritten() }
        }
    }

    /// Marks the agent as running in the store. Without this mark the next crash would look like a clean stop, so
    /// nothing else is written before it.
    func markRunning() throws {
        if isMarkedRunning { return }
        try store.markRunning()
        isMarkedRunning = true
    }

    /// Writes changes without an event, and changes that could not be written before, if they are due. All services are
    /// written in one transaction, so that a thousand services cost one wait for the disk; if it fails, each is written
    /// in its own.
    func flush(_ runtimes: [ServiceRuntime], now: Moment) {
        let due = runtimes.filter { $0.ledger.isStateDue(now: now.monotonic) }
        guard !due.isEmpty else { return }
        let failures = write(due.map { ($0, $0.change(to: $0.state, [], now: now)) }, now: now)
        for (runtime, failure) in zip(due, failures) {
            guard let failure else { continue }
            runtime.ledger.postponeWrite(now: now.monotonic)
            if !runtime.ledger.survivesCrash { mark(runtime) }
            reportFailure(failure, runtime)
        }
    }

    /// Tries to keep the state of a service in the runtime directory, because the store cannot be written.
    private func mark(_ runtime: ServiceRuntime) { runtime.ledger.recordMarker(isKept: marker.mark(runtime.state)) }

    /// Raises an alarm for a failed write, unless it was reported already.
    private func reportFailure(_ error: any Error, _ runtime: ServiceRuntime) {
        guard runtime.ledger.recordFailure("\(error)") else { return }
        raiseAlarm(
            "the state cannot be written: \(error)\(runtime.ledger.isUnmarked ? Self.unmarkedHint : "")", runtime)
    }

    static let unmarkedHint =
        "; nor could it be marked in the runtime directory: a crash now would undo what is in force"

    // MARK: - Events

    /// Counts events and passes them to the listener.
    func emit(_ events: [Event], _ runtime: ServiceRuntime, now: Moment, isDurable: Bool) {
        for event in events {
            runtime.count(event)
            listener.happened(event, service: runtime.state.service, at: now.wall, isDurable: isDurable)
        }
    }

    /// Emits an alarm: an event that a person should look at, and that changes nothing.
    func raiseAlarm(_ message: String, _ runtime: ServiceRuntime) {
        let alarm = Event(
            .alarm, rollout: runtime.state.rollout?.id, message: message, by: "agent",
            generation: runtime.state.generation, weight: runtime.state.split.candidate)
        emit([alarm], runtime, now: clock.now, isDurable: false)
    }
}
