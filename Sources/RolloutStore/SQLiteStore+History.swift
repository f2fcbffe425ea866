import GRDB
import PolicyModel
import RolloutController
import RolloutEngine
import Vocabulary

extension SQLiteStore {
    public func history(service: String, limit: Int) throws -> [RolloutRecord] {
        guard limit > 0 else { return [] }
        return try reading { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT rollouts.*, evidence FROM rollouts LEFT JOIN evidence
                        ON evidence.service = rollouts.service AND rollouts.result = 'running'
                    WHERE rollouts.service = ? ORDER BY number DESC LIMIT ?
                    """, arguments: [service, min(limit, Self.maximumPage)])
            return rows.map(record)
        }
    }

    private func record(_ row: Row) -> RolloutRecord {
        var record = RolloutRecord(
            id: row["id"], service: row["service"],
            baseline: VersionIdentity(name: row["baseline"], revision: row["baseline_revision"]),
            candidate: VersionIdentity(name: row["candidate"], revision: row["candidate_revision"]),
            startedAt: row["started_at"], endedAt: row["ended_at"],
            result: RolloutResult(rawValue: row["result"]) ?? .reverted, reason: row["reason"],
            decision: row["decision"], candidateRequests: UInt64(bitPattern: row["candidate_requests"]))
        // A running rollout's count is in its evidence, which is written often; its row is not.
        if let text: String = row["evidence"], let evidence = try? json.value(Evidence.self, text) {
            record.candidateRequests = evidence.candidateRequests(of: record.id)
        }
        return record
    }

    /// Opens and closes rollouts in the history according to the events of a change.
    /// - Parameter ids: the journal ids of the events.
    func recordHistory(of change: StateChange, ids: [Int64], before: Kept, _ db: Database) throws {
        let after = change.state
        for (event, id) in zip(change.events, ids) {
            guard let rollout = event.rollout, let arms = Arms(rollout, event, before: before.state, after: after)
            else { continue }
            switch event.kind {
            case .rolloutStarted:
                if try running(rollout, of: after.service, db) == nil {
                    try open(rollout, of: after.service, arms, at: change.at, db)
                }
            case .promoted, .reverted, .ended:
                if try running(rollout, of: after.service, db) == nil {
                    // The rollout was ended by an edit of the file before it started, or started and ended in one
                    // change.
                    try open(rollout, of: after.service, arms, at: arms.createdAt ?? change.at, db)
                }
                let requests = [
                    event.evaluation?.candidate.requests, before.candidateRequests(of: rollout),
                    change.evidence?.candidateRequests(of: rollout),
                ].compactMap(\.self).max()
                let result: RolloutResult =
                    event.kind == .promoted ? .promoted : event.kind == .reverted ? .reverted : .ended
                try close(
                    rollout, of: after.service, result, reason: event.reason ?? event.message, decision: id,
                    requests: requests ?? 0, at: change.at, db)
            case .warmedUp, .stepStarted, .proving, .ready, .bakeStarted, .paused, .resumed, .frozen, .unfrozen,
                .retried, .deadlinePassed, .held, .holdCleared, .recovering, .recovered, .returned, .refused,
                .checkChanged, .configurationApplied, .alarm:
                break
            }
        }
        try closeLost(change, ids: ids, before: before, db)
    }

    /// Closes a rollout whose state was dropped without an end of the rollout, because its version is gone from the
    /// file. Otherwise it would stay `running` in the history.
    private func closeLost(_ change: StateChange, ids: [Int64], before: Kept, _ db: Database) throws {
        let now = change.state.rollout?.id
        guard let old = before.state?.rollout?.id, old != now else { return }
        guard try running(old, of: change.state.service, db) != nil else { return }
        let alarm = zip(change.events, ids).reversed().first { $0.0.kind == .alarm }
        try close(
            old, of: change.state.service, .ended,
            reason: alarm?.0.message ?? "ended, because its version is gone: \(change.state.serving) serves all",
            decision: alarm?.1,
            requests: before.candidateRequests(of: old) ?? 0, at: change.at, db)
    }

    /// The number of the row of a running rollout; nil if the history has none.
    private func running(_ id: String, of service: String, _ db: Database) throws -> Int64? {
        try Int64.fetchOne(
            db,
            sql: """
                SELECT number FROM rollouts WHERE service = ? AND id = ? AND result = 'running'
                ORDER BY number DESC LIMIT 1
                """, arguments: [service, id])
    }

    private func open(_ id: String, of service: String, _ arms: Arms, at: Int64, _ db: Database) throws {
        try db.execute(
            sql: """
                INSERT INTO rollouts (id, service, baseline, baseline_revision, candidate, candidate_revision,
                    started_at, result)
                VALUES (?, ?, ?, ?, ?, ?, ?, 'running')
                """,
            arguments: [
                id, service, arms.baseline.name, arms.baseline.revision, arms.candidate.name,
                arms.candidate.revision, at,
            ])
    }

    private func close(
        _ id: String, of service: String, _ result: RolloutResult, reason: String, decision: Int64?,
        requests: UInt64, at: Int64, _ db: Database
    ) throws {
        try db.execute(
            sql: """
                UPDATE rollouts SET result = ?, ended_at = ?, reason = ?, decision = ?, candidate_requests = ?
                WHERE number = ?
                """,
            arguments: [
                result.rawValue, at, reason, decision, Int64(bitPattern: requests),
                try running(id, of: service, db),
            ])
    }
}

/// The versions of a rollout.
private struct Arms {
    var baseline: VersionIdentity
    var candidate: VersionIdentity
    /// The time at which the rollout was created, in milliseconds since 1970; nil if unknown.
    var createdAt: Int64?

    /// Takes the versions from the state before or after the event, whichever has the rollout. If the rollout started
    /// and ended in one change, neither has it, and the versions are derived from the state after its end; nil if that
    /// is not possible.
    init?(_ id: String, _ event: Event, before: ServiceState?, after: ServiceState) {
        for state in [before, after] {
            if let state, let rollout = state.rollout, rollout.id == id {
                (baseline, candidate, createdAt) = (state.serving, rollout.candidate, rollout.startedAt)
                return
            }
        }
        if event.kind == .promoted, let previous = after.previous {
            (baseline, candidate) = (previous, after.serving)
        } else if event.kind == .reverted, let refused = after.refused {
            (baseline, candidate) = (after.serving, refused.identity)
        } else {
            return nil
        }
    }
}

extension Evidence {
    /// The number of judged requests that the candidate of a rollout got; 0 if the evidence is of another rollout.
    func candidateRequests(of id: String) -> UInt64 {
        let arm = Int(Arm.candidate.rawValue)
        return rollout == id && sinceStart.indices.contains(arm) ? sinceStart[arm].judged : 0
    }
}
