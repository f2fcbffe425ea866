import CLinuxEngine
import Glibc

/// Finds the end of a head over any number of reads, examining each byte once.
public struct HeadScanner: Sendable {
    @usableFromInline var scanned = 0

    public enum Verdict: Equatable, Sendable {
        case incomplete
        /// The head's length, including its empty line.
        case complete(Int)
        case failed(HeadError)
    }

    @inlinable public init() {}

    /// - Parameter bytes: the bytes from the head's first one on; each call has those of the last one and more.
    public mutating func scan(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Verdict {
        while scanned < count {
            guard let found = memchr(bytes + scanned, 10, count - scanned) else {
                scanned = count
                break
            }
            let feed = UnsafeRawPointer(bytes).distance(to: UnsafeRawPointer(found))
            guard feed > 0, bytes[feed - 1] == 13 else { return .failed(.lineEnding) }
            if feed >= 2, bytes[feed - 2] == 10 { return .complete(feed + 1) }
            guard feed >= 2 else { return .failed(.emptyLine) }
            scanned = feed + 1
        }
        return .incomplete
    }

    /// The length of the first line; nil if it is not complete.
    public static func firstLine(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int? {
        guard let found = memchr(bytes, 10, count) else { return nil }
        return UnsafeRawPointer(bytes).distance(to: UnsafeRawPointer(found)) + 1
    }
}
