import CLinuxEngine
import Glibc
import Synchronization
import Threading

/// An event loop: one thread and one epoll. Everything that belongs to a loop is used on its thread only.
public final class EventLoop: @unchecked Sendable {
    public let name: String
    /// The monotonic time in nanoseconds, read once per turn.
    public private(set) var now: Int64
    /// The owner of records registered with `register(record:)`; set before the loop starts.
    public var driver: RecordDriver? {
        didSet { borrowed = driver.map { Unmanaged.passUnretained($0) } }
    }

    private let epoll: Int32
    private let wake: Int32
    private let inbox = Mutex(Inbox())
    private let events: UnsafeMutableRawPointer
    private var timers = TimerQueue()
    private var departed: [Unmanaged<EventSource>] = []
    /// The identity of the loop's thread; 0 while there is none.
    private let threadIdentity = Atomic<UInt>(0)
    private var thread: WorkerThread?
    /// The driver, unretained, so that calls to it change no reference count. `driver` keeps it alive.
    private var borrowed: Unmanaged<RecordDriver>?
    /// True if the inbox has to be checked. A turn without a wake-up takes no lock.
    private var isWoken = false

    /// The largest number of events that are taken from the kernel in one call. A larger one would delay timers and
    /// posted jobs.
    private static let eventsPerTurn = 256

    private struct Inbox {
        var jobs: [@Sendable () -> Void] = []
        var stopping = false
    }

    /// - Throws: `SystemError` if the process has no descriptors left.
    public init(name: String) throws {
        self.name = name
        epoll = ce_epoll_create()
        guard epoll >= 0 else { throw SystemError(code: -epoll, during: "epoll_create1") }
        wake = ce_eventfd()
        guard wake >= 0 else {
            close(epoll)
            throw SystemError(code: -wake, during: "eventfd")
        }
        events = .allocate(byteCount: Self.eventsPerTurn * Int(CE_EVENT_SIZE), alignment: 16)
        now = ce_monotonic()
        _ = ce_epoll_add(epoll, wake, UInt32(CE_READABLE), 0)
    }

    deinit {
        close(epoll)
        close(wake)
        events.deallocate()
    }

    /// Starts the thread.
    public func start() {
        precondition(thread == nil, "a loop starts once")
        do {
            let thread = try WorkerThread(named: name) { self.run() }
            self.thread = thread
            // The identity is stored here as well as by the new thread itself. Until the new thread runs, the calling
            // thread would otherwise count as the loop's.
            threadIdentity.store(thread.identity, ordering: .relaxed)
        } catch {
            preconditionFailure("\(error)")
        }
    }

    /// Posts a job from any thread; jobs run on the loop, in order. A job that is posted after the loop has ended is
    /// dropped.
    public func post(_ job: @escaping @Sendable () -> Void) {
        let first = inbox.withLock { inbox in
            inbox.jobs.append(job)
            return inbox.jobs.count == 1
        }
        if first { ce_eventfd_signal(wake) }
    }

    /// Runs a function on the loop and waits for its result. On the loop's own thread it runs at once.
    public func sync<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
        if isCurrent { return try body() }
        let outcome = Monitor<Result<Value, any Error>?>(nil)
        post {
            let result = Result(catching: body)
            outcome.update { $0 = result }
        }
        return try outcome.wait { $0.map { .done($0) } ?? .wait(until: .max) }.get()
    }

    /// Ends the thread after the jobs that are already posted.
    public func stop() {
        inbox.withLock { $0.stopping = true }
        ce_eventfd_signal(wake)
    }

    /// Waits for the thread to end.
    public func join() {
        guard let thread else { return }
        thread.join()
        threadIdentity.store(0, ordering: .relaxed)
        self.thread = nil
    }

    /// Schedules a job; called on the loop's thread, or before it starts.
    @discardableResult
    public func schedule(after delay: Duration, _ job: @escaping () -> Void) -> Timer {
        assertCurrent()
        let (seconds, attoseconds) = delay.components
        let nanoseconds = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let wait = nanoseconds.overflow ? Int64.max / 4 : nanoseconds.partialValue + attoseconds / 1_000_000_000
        let timer = Timer(deadline: ce_monotonic() &+ min(max(wait, 0), .max / 4), job: job)
        timers.insert(timer)
        return timer
    }

    public func cancel(_ timer: Timer) {
        assertCurrent()
        timers.remove(timer)
    }

    public var isCurrent: Bool {
        let owner = threadIdentity.load(ordering: .relaxed)
        return owner == 0 || owner == WorkerThread.current
    }

    public func assertCurrent() { assert(isCurrent, "loop \(name) is used from another thread") }

    /// Reads the clock, for uses for which `now` is too coarse.
    @inline(__always) public static func clock() -> Int64 { ce_monotonic() }
}

extension EventLoop {
    private func run() {
        threadIdentity.store(WorkerThread.current, ordering: .relaxed)
        while true {
            now = ce_monotonic()
            if isWoken, runJobs() { return }
            while let job = timers.next(upTo: now) { job() }
            borrowed?._withUnsafeGuaranteedRef { if $0.wakeAt <= now { $0.overdue(now: now) } }
            let count = ce_wait(epoll, events, Int32(Self.eventsPerTurn), timeout())
            now = ce_monotonic()
            if count > 0 { dispatch(Int(count)) }
            if !departed.isEmpty { releaseDeparted() }
            borrowed?._withUnsafeGuaranteedRef { $0.turnEnded() }
        }
    }

    private func releaseDeparted() {
        for source in departed { source.release() }
        departed.removeAll(keepingCapacity: true)
    }

    /// Runs the posted jobs. Returns true if the loop has to stop now.
    private func runJobs() -> Bool {
        // Jobs posted by jobs run in the next turn, which follows at once because of their wake-up.
        let (jobs, stopping) = inbox.withLock { inbox in
            let jobs = inbox.jobs
            inbox.jobs = []
            return (jobs, inbox.stopping)
        }
        isWoken = stopping
        for job in jobs { job() }
        return stopping && jobs.isEmpty
    }

    private func timeout() -> Int32 {
        if isWoken { return 0 }
        var next = timers.nextDeadline
        if let borrowed { next = min(next, borrowed._withUnsafeGuaranteedRef { $0.wakeAt }) }
        if next == .max { return -1 }
        let wait = next - now
        if wait <= 0 { return 0 }
        return Int32(clamping: (wait + 999_999) / 1_000_000)
    }

    private func dispatch(_ count: Int) {
        for i in 0..<count {
            let data = ce_event_data(events, Int32(i))
            let ready = ReadyEvents(rawValue: ce_event_flags(events, Int32(i)))
            if data == 0 {
                ce_eventfd_clear(wake)
                isWoken = true
            } else if data & EventLoop.recordTag == 0 {
                let source = Unmanaged<EventSource>.fromOpaque(UnsafeRawPointer(bitPattern: UInt(data))!)
                source._withUnsafeGuaranteedRef { if $0.descriptor >= 0 { $0.ready(ready) } }
            } else {
                borrowed.unsafelyUnwrapped._withUnsafeGuaranteedRef { $0.ready(data & ~EventLoop.recordTag, ready) }
            }
        }
    }
}

extension EventLoop {
    /// The bit that marks the epoll data of a record. It is free, because sources and records are aligned.
    private static let recordTag: UInt64 = 1

    /// Watches a source, level-triggered. The source is retained until it is deregistered.
    public func register(_ source: EventSource, descriptor: Int32, interest: ReadyEvents) throws {
        assertCurrent()
        precondition(source.descriptor < 0, "registered twice")
        let unmanaged = Unmanaged.passRetained(source)
        let status = ce_epoll_add(epoll, descriptor, interest.rawValue, UInt64(UInt(bitPattern: unmanaged.toOpaque())))
        guard status >= 0 else {
            unmanaged.release()
            throw SystemError(code: -status, during: "epoll_ctl")
        }
        source.descriptor = descriptor
    }

    public func modify(_ source: EventSource, interest: ReadyEvents) {
        assertCurrent()
        let data = UInt64(UInt(bitPattern: Unmanaged.passUnretained(source).toOpaque()))
        _ = ce_epoll_modify(epoll, source.descriptor, interest.rawValue, data)
    }

    /// Stops watching a source, whose descriptor is not closed. Its events that are left in this turn are skipped.
    public func deregister(_ source: EventSource) {
        assertCurrent()
        guard source.descriptor >= 0 else { return }
        _ = ce_epoll_remove(epoll, source.descriptor)
        source.descriptor = -1
        departed.append(Unmanaged.passUnretained(source))
    }

    /// Registers something that is no object: `data` comes back to the driver. Its lowest bit has to be clear.
    @discardableResult
    public func register(record data: UInt64, descriptor: Int32, interest: ReadyEvents) -> Bool {
        ce_epoll_add(epoll, descriptor, interest.rawValue, data | Self.recordTag) >= 0
    }

    public func modify(record data: UInt64, descriptor: Int32, interest: ReadyEvents) {
        _ = ce_epoll_modify(epoll, descriptor, interest.rawValue, data | Self.recordTag)
    }

    /// Watches a descriptor that other loops watch as well; an event wakes only one of them up.
    @discardableResult
    public func register(sharedRecord data: UInt64, descriptor: Int32) -> Bool {
        ce_epoll_add_exclusive(epoll, descriptor, data | Self.recordTag) >= 0
    }

    /// Stops watching a descriptor. It is only needed if the descriptor stays open, since closing it does the same.
    public func deregister(record descriptor: Int32) { _ = ce_epoll_remove(epoll, descriptor) }
}
