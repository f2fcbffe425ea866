/// The header field `traceparent`, by which tracing systems recognize a request (W3C Trace Context,
/// https://www.w3.org/TR/trace-context/): version, trace id, parent id and flags in lower-case hexadecimal digits, such
/// as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. The proxy relays it as it is.
enum TraceParent {
    /// The number of bytes of a value of version 00.
    static let length = 55
    private static let name: StaticString = "traceparent"
    /// The places of the hyphens.
    private static let hyphens = [2, 35, 52]

    /// The value of a request's field; nil if there is none, or if it is not one of version 00.
    static func value(of request: RequestMessage) -> UnsafePointer<UInt8>? {
        let name = Bytes(start: name.utf8Start, count: name.utf8CodeUnitCount)
        guard let value = request.fields.value(named: name), isValid(value) else { return nil }
        return value.baseAddress
    }

    /// True for a value of version 00 with a trace id and a parent id that are not 0.
    static func isValid(_ value: UnsafeBufferPointer<UInt8>) -> Bool {
        guard value.count == length, value[0] == 0x30, value[1] == 0x30 else { return false }
        for (place, byte) in value.enumerated() {
            let isDigit = (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
            guard hyphens.contains(place) ? byte == 0x2d : isDigit else { return false }
        }
        return value[3..<35].contains { $0 != 0x30 } && value[36..<52].contains { $0 != 0x30 }
    }
}
