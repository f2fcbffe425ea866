import CLinuxEngine
import Glibc

/// The events that epoll reports, and those that it is asked to report.
public struct ReadyEvents: OptionSet, Sendable {
    public let rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static var readable: ReadyEvents { ReadyEvents(rawValue: 0x001) }
    public static var writable: ReadyEvents { ReadyEvents(rawValue: 0x004) }
    /// The socket has an error. Always reported.
    public static var failed: ReadyEvents { ReadyEvents(rawValue: 0x008) }
    /// Both directions are closed. Always reported.
    public static var hungUp: ReadyEvents { ReadyEvents(rawValue: 0x010) }
    /// The peer has ended its output.
    public static var peerClosed: ReadyEvents { ReadyEvents(rawValue: 0x2000) }
    /// Edge-triggered. Without other events, a failure or the end of both directions is reported once instead of at
    /// every turn.
    public static var changesOnly: ReadyEvents { ReadyEvents(rawValue: 0x8000_0000) }
}

/// An object with a descriptor that a loop watches.
open class EventSource {
    /// The watched descriptor; -1 while the source is not registered.
    public internal(set) final var descriptor: Int32 = -1

    public init() {}

    open func ready(_ events: ReadyEvents) {}
}

/// The owner of a loop's records: connections in plain memory, so that handling an event changes no reference count.
open class RecordDriver {
    /// The monotonic time in nanoseconds after which `overdue` is called; `Int64.max` for never.
    public final var wakeAt: Int64 = .max

    public init() {}

    open func ready(_ data: UInt64, _ events: ReadyEvents) {}
    open func overdue(now: Int64) {}
    /// Called after the last event of a turn, when records that were freed in it can be reused.
    open func turnEnded() {}
}

/// The failure of a system call that is not expected to fail.
public struct SystemError: Error, CustomStringConvertible, Sendable {
    public let code: Int32
    public let during: String

    public var description: String { "\(during): \(describeErrno(code))" }
}

/// The text of an error number, as given by strerror(3). Thread-safe.
public func describeErrno(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
