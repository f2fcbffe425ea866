import Analysis
import PolicyModel
import RolloutEngine
import Vocabulary

/// Counts the requests of a service that failed in the data plane, by version and reason, for `status` and the metrics,
/// and decides when the log reports them.
struct FailureTally {
    struct Key: Hashable, Comparable {
        var version: String
        var reason: String

        static func < (a: Key, b: Key) -> Bool { (a.version, a.reason) < (b.version, b.reason) }
    }

    private struct Entry {
        var stage: FailureStage
        var message: String
        var count: UInt64 = 0
        /// The time of the last failure, in milliseconds since 1970.
        var lastAt: Int64 = 0
        /// The number of requests since the last report.
        var unreported: UInt64 = 0
        /// The instant of the last report, in monotonic nanoseconds; nil before the first one.
        var reportedAt: Int64?
    }

    /// The interval at which failures that continue for the same reason are reported.
    static let reportInterval: Duration = .seconds(60)
    /// The time after which a reason that has not occurred again is no longer shown.
    static let shownFor: Duration = .seconds(3600)
    /// The maximum number of entries; those that failed longest ago are forgotten first.
    private static let capacity = 256

    private var entries: [Key: Entry] = [:]

    /// Counts failures of a version for one reason.
    /// - Returns: the report to log now; nil if this reason was reported less than `reportInterval` ago.
    mutating func record(_ failures: FailureCount, version: String, now: Moment) -> FailureReport? {
        let key = Key(version: version, reason: failures.reason)
        var entry = entries[key] ?? Entry(stage: failures.stage, message: failures.message)
        entry.count &+= failures.count
        entry.unreported &+= failures.count
        entry.lastAt = now.wall
        defer { entries[key] = entry }
        if entries[key] == nil, entries.count >= Self.capacity {
            if let oldest = entries.min(by: { $0.value.lastAt < $1.value.lastAt }) { entries[oldest.key] = nil }
        }
        if let reportedAt = entry.reportedAt, now.monotonic - reportedAt < Self.reportInterval.nanoseconds {
            return nil
        }
        defer { entry.unreported = 0 }
        entry.reportedAt = now.monotonic
        return FailureReport(
            stage: failures.stage, version: version, reason: failures.reason, message: failures.message,
            count: entry.unreported)
    }

    /// The reasons of a version's recent failures, the newest first.
    func recent(of version: String, now: Moment) -> [FailureView] {
        entries.filter {
            $0.key.version == version && now.wall - $0.value.lastAt < Self.shownFor.nanoseconds / 1_000_000
        }
        .sorted { ($1.value.lastAt, $0.key) < ($0.value.lastAt, $1.key) }
        .map {
            FailureView(
                stage: $0.value.stage, reason: $0.key.reason, message: $0.value.message, count: $0.value.count,
                lastAt: $0.value.lastAt)
        }
    }

    /// The requests that failed since the agent started, for the metrics, sorted.
    /// - Parameters:
    ///   - versions: the versions of which every reason is listed, also one that did not occur.
    ///   - reasons: these reasons.
    func failedRequests(versions: [String], reasons: [String]) -> [(key: Key, count: UInt64)] {
        var counts: [Key: UInt64] = [:]
        for version in versions { for reason in reasons { counts[Key(version: version, reason: reason)] = 0 } }
        for (key, entry) in entries where entry.stage != .afterResponse { counts[key] = entry.count }
        return counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The connections that were closed because of surplus bytes since the agent started, for the metrics, sorted.
    /// - Parameter versions: the versions that are listed in any case.
    func surplusConnections(versions: [String]) -> [(version: String, count: UInt64)] {
        var counts = Dictionary(versions.map { ($0, UInt64(0)) }, uniquingKeysWith: { first, _ in first })
        for (key, entry) in entries where entry.stage == .afterResponse {
            counts[key.version, default: 0] &+= entry.count
        }
        return counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}

/// Requests of a version that failed for one reason since the last report of it.
public struct FailureReport: Hashable, Sendable {
    public var stage: FailureStage
    public var version: String
    /// The token of the `x-canary-error` field.
    public var reason: String
    /// The reason as a sentence.
    public var message: String
    public var count: UInt64
}
