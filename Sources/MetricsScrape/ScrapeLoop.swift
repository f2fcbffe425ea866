import Analysis
import CCurl
import Glibc
import PolicyModel
import PrometheusText
import Threading

/// One thread that scrapes all targets, each at its own interval and offset, with at most one scrape of a target at a
/// time. It uses only plain HTTP to the named host: no redirects, proxies, cookies or credentials, whatever the
/// environment says.
public final class ScrapeLoop: Sendable {
    struct Shared {
        var targets: Set<ScrapeTarget> = []
        var targetsChanged = false
        var stopping = false
        var pending: [ScrapeTarget: [ScrapeResult]] = [:]
        var dropped: UInt64 = 0
        var thread: WorkerThread?
    }

    /// libcurl's multi handle. Any thread may call `curl_multi_wakeup` with it; all other calls belong to the loop's
    /// thread.
    struct Multi: @unchecked Sendable { let handle: UnsafeMutableRawPointer }

    let limits: ScrapeLimits
    let shared = Monitor(Shared())
    let multi: Multi

    /// libcurl is initialized once a process, before any thread uses it; without TLS, which no scrape may use.
    private static let initialized: Bool = curl_global_init(Int(CURL_GLOBAL_NOTHING)) == CURLE_OK

    /// Starts the thread, which waits for targets and lives until `stop`.
    public init(limits: ScrapeLimits = ScrapeLimits()) {
        self.limits = limits
        precondition(Self.initialized, "libcurl could not be initialized")
        guard let handle = curl_multi_init() else { preconditionFailure("libcurl has no memory for a multi handle") }
        multi = Multi(handle: handle)
        _ = ccurl_multi_set_long(handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, limits.connections)
        _ = ccurl_multi_set_long(handle, CURLMOPT_MAXCONNECTS, limits.connections)
        do {
            let thread = try WorkerThread(named: "scrapes") { [self] in run() }
            shared.withLock { $0.thread = thread }
        } catch {
            preconditionFailure("\(error)")
        }
    }

    /// Replaces the targets. Targets that remain keep their schedule; scrapes and results of removed targets are
    /// discarded.
    public func setTargets(_ targets: [ScrapeTarget]) {
        shared.withLock { shared in
            shared.targets = Set(targets)
            shared.targetsChanged = true
            shared.pending = shared.pending.filter { shared.targets.contains($0.key) }
        }
        curl_multi_wakeup(multi.handle)
    }

    /// Returns the results since the last call, oldest first.
    public func drain() -> [ScrapeResult] {
        let pending = shared.withLock { shared in
            let pending = shared.pending
            shared.pending = [:]
            return pending
        }
        return pending.values.flatMap(\.self).sorted { $0.startedAt < $1.startedAt }
    }

    /// The number of results that were dropped since the start because they were not drained in time.
    public var dropped: UInt64 { shared.withLock { $0.dropped } }

    /// Cancels all scrapes and ends the thread. Further calls do nothing.
    public func stop() {
        let thread = shared.withLock { shared in
            shared.stopping = true
            defer { shared.thread = nil }
            return shared.thread
        }
        guard let thread else { return }
        curl_multi_wakeup(multi.handle)
        thread.join()
    }

    deinit { curl_multi_cleanup(multi.handle) }

    private func run() {
        var worker = ScrapeWorker(loop: self)
        while true {
            let (stopping, targets) = shared.withLock { shared in
                defer { shared.targetsChanged = false }
                return (shared.stopping, shared.targetsChanged ? shared.targets : nil)
            }
            if stopping { break }
            if let targets { worker.setTargets(targets) }
            worker.turn()
        }
        worker.setTargets([])
    }

    func publish(_ result: ScrapeResult) {
        shared.withLock { shared in
            // The target may have been removed while the scrape was under way.
            guard shared.targets.contains(result.target) else { return }
            shared.pending[result.target, default: []].append(result)
            let excess = shared.pending[result.target]!.count - limits.pending
            guard excess > 0 else { return }
            shared.pending[result.target]!.removeFirst(excess)
            shared.dropped += UInt64(excess)
        }
    }
}

/// A target and its schedule. Confined to the loop's thread.
private final class Scheduled {
    let target: ScrapeTarget
    /// The time of the next scrape, in monotonic nanoseconds.
    var due: Int64
    /// The scrape under way, or one whose response is still to be read.
    var transfer: ScrapeTransfer?

    init(_ target: ScrapeTarget, due: Int64) { (self.target, self.due) = (target, due) }
}

/// Starts the scrapes that are due and reads their responses. Confined to the loop's thread. A turn does not examine
/// every target: with thousands of them, there are hundreds of turns a second.
private struct ScrapeWorker {
    unowned let loop: ScrapeLoop
    private var scheduled: [ScrapeTarget: Scheduled] = [:]
    /// The targets in descending order of `due`, so that the next one is the last element.
    private var queue: [Scheduled] = []
    /// The transfers under way, by libcurl's handle.
    private var running: [UnsafeMutableRawPointer: Scheduled] = [:]
    /// The targets whose transfers have ended and whose responses are still to be read.
    private var ended: [Scheduled] = []
    private var multi: UnsafeMutableRawPointer { loop.multi.handle }

    init(loop: ScrapeLoop) { self.loop = loop }

    mutating func setTargets(_ targets: Set<ScrapeTarget>) {
        for (easy, entry) in running where !targets.contains(entry.target) {
            curl_multi_remove_handle(multi, easy)
            running[easy] = nil
        }
        ended.removeAll { !targets.contains($0.target) }
        scheduled = scheduled.filter { targets.contains($0.key) }
        let now = Self.now()
        for target in targets where scheduled[target] == nil {
            scheduled[target] = Scheduled(target, due: target.due(after: now))
        }
        queue = scheduled.values.sorted { $0.due > $1.due }
    }

    /// Starts the scrapes that are due, transfers bytes, reads at most one response, and waits for the next event.
    mutating func turn() {
        start(Self.now())
        var running: Int32 = 0
        curl_multi_perform(multi, &running)
        collect()
        readOne()
        let wait = ended.isEmpty ? (queue.last?.due ?? .max) - Self.now() : 0
        // The wait is rounded up, since waking a moment early would only cost another turn.
        let milliseconds = wait <= 0 ? 0 : min(60_000, wait / 1_000_000 + 1)
        curl_multi_poll(multi, nil, 0, Int32(milliseconds), nil)
    }

    private mutating func start(_ now: Int64) {
        while let entry = queue.last, entry.due <= now {
            queue.removeLast()
            entry.due = entry.target.due(after: now)
            queue.insert(entry, at: index(of: entry.due))
            // The previous scrape is not finished, because its timeout is longer than the interval: skip this one.
            guard entry.transfer == nil else { continue }
            guard let transfer = ScrapeTransfer(target: entry.target, limits: loop.limits, startedAt: now) else {
                publish(entry.target, now, .failure("no memory for a scrape of \(entry.target.url)"))
                continue
            }
            entry.transfer = transfer
            running[transfer.easy] = entry
            curl_multi_add_handle(multi, transfer.easy)
        }
    }

    /// The index in the queue for a target that is due at this time: after all that are due later.
    private func index(of due: Int64) -> Int {
        var (low, high) = (0, queue.count)
        while low < high {
            let middle = (low + high) / 2
            if queue[middle].due > due { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Moves the transfers that have ended from `running` to `ended`.
    private mutating func collect() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
            let result = message.pointee.data.result
            guard let entry = running.removeValue(forKey: easy), let transfer = entry.transfer else { continue }
            curl_multi_remove_handle(multi, easy)
            transfer.end(result)
            ended.append(entry)
        }
    }

    /// Reads the smallest of the responses. However long the pages of some targets take to read, the small pages of
    /// others wait for at most one of them, and all transfers continue in between.
    private mutating func readOne() {
        guard
            let place = ended.indices.min(by: { ended[$0].transfer?.size ?? 0 < ended[$1].transfer?.size ?? 0 })
        else { return }
        let entry = ended.remove(at: place)
        guard let transfer = entry.transfer else { return }
        entry.transfer = nil
        publish(entry.target, transfer.startedAt, transfer.outcome())
    }

    private func publish(_ target: ScrapeTarget, _ startedAt: Int64, _ outcome: ScrapeOutcome) {
        loop.publish(
            ScrapeResult(
                target: target, startedAt: startedAt, duration: .nanoseconds(Self.now() - startedAt), outcome: outcome))
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
