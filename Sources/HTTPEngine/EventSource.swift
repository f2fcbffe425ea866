import CLinuxEngine
import Glibc

/// The events that epoll reports, and is asked for.
public struct ReadyEvents: OptionSet, Sendable {
    public let rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static var readable: ReadyEvents { ReadyEvents(rawValue: 0x001) }
    public static var writable: ReadyEvents { ReadyEvents(rawValue: 0x004) }
    /// An error of the socket. Always reported.
    public static var failed: ReadyEvents { ReadyEvents(rawValue: 0x008) }
    /// Both directions are closed. Always reported.
    public static var hungUp: ReadyEvents { ReadyEvents(rawValue: 0x010) }
    /// The peer sends nothing more.
    public static var peerClosed: ReadyEvents { ReadyEvents(rawValue: 0x2000) }
    /// Asked for alone: a failure or the end of both directions is reported once, and not at every turn.
    public static var changesOnly: ReadyEvents { ReadyEvents(rawValue: 0x8000_0000) }
}

/// Something with a descriptor that a loop watches.
open class EventSource {
    /// -1 while it is not registered.
    public internal(set) final var descriptor: Int32 = -1

    public init() {}

    open func ready(_ events: ReadyEvents) {}
}

/// The owner of a loop's records: connections that are kept in plain memory, so that an event costs no reference count.
open class RecordDriver {
    /// Monotonic; `overdue` is called at the first turn after it. `Int64.max`: never.
    public final var wakeAt: Int64 = .max

    public init() {}

    open func ready(_ data: UInt64, _ events: ReadyEvents) {}
    open func overdue(now: Int64) {}
    /// Called after the last event of a turn: what was freed in it can be used again.
    open func turnEnded() {}
}

/// A system call that failed where it hardly can.
public struct SystemError: Error, CustomStringConvertible, Sendable {
    public let code: Int32
    public let during: String

    public var description: String { "\(during): \(describeErrno(code))" }
}

/// The text of an error number, as strerror(3) has it; from any thread.
public func describeErrno(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
