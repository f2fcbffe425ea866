import CLinuxEngine
import HTTPEngine

/// Generates request ids of 128 random bits each. The bits come from the kernel, for many ids at a time: ids must not
/// be guessable, because whoever knows one can post feedback for it.
struct RequestIDs {
    static let length = 32
    private static let stock = 4096

    private let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: RequestIDs.stock)
    private var used = RequestIDs.stock

    /// Assigns the id of a request: the client's own if it is kept and is a single valid value, otherwise a new one.
    @inline(__always) mutating func assign(_ request: RequestMessage, isKept: Bool, to id: inout InlineText) {
        let given = request.requestID
        if isKept, request.head.fields.requestIDs == 1, Self.isSane(given) {
            id.fill {
                $0.update(from: given.baseAddress.unsafelyUnwrapped, count: given.count)
                return given.count
            }
        } else {
            id.fill {
                next(into: $0)
                return Self.length
            }
        }
    }

    /// True for an id that can be put into a log line or a query as it is.
    private static func isSane(_ id: UnsafeBufferPointer<UInt8>) -> Bool {
        guard (1...InlineText.capacity).contains(id.count) else { return false }
        for byte in id where ce_class(byte) & UInt8(CE_ID) == 0 { return false }
        return true
    }

    /// Writes 32 hexadecimal digits.
    @inline(__always) mutating func next(into target: UnsafeMutablePointer<UInt8>) {
        if used == Self.stock { refill() }
        for i in 0..<16 {
            let byte = bytes[used + i]
            target[2 * i] = digit(byte >> 4)
            target[2 * i + 1] = digit(byte & 15)
        }
        used += 16
    }

    @inline(__always) private func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

    private mutating func refill() {
        ce_random(bytes, Self.stock)
        used = 0
    }

    func deallocate() { bytes.deallocate() }
}
