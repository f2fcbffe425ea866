import PrometheusText

/// Names a series by its labels, for dictionaries: visible ASCII of bounded length, so that comparing and hashing cost
/// the same whatever a server writes.
enum SeriesKey {
    /// The maximum length in bytes; a longer key is cut there and ends with a digest of the whole.
    static let longest = 256

    /// The key of a series, such as `model="m",version="1"`.
    /// - Parameters:
    ///   - name: the metric's name, for dictionaries with series of several names.
    ///   - labels: sorted by name.
    static func text(of name: String = "", _ labels: [Label]) -> String {
        var writer = Writer()
        writer.append(name)
        for label in labels {
            if !writer.isEmpty { writer.put(",") }
            writer.append(label.name)
            writer.put("=\"")
            writer.append(label.value)
            writer.put("\"")
        }
        return writer.text
    }

    private struct Writer {
        private var bytes: [UInt8] = []
        private var digest: UInt64 = 0xCBF2_9CE4_8422_2325
        private static let hexadecimal = Array("0123456789abcdef".utf8)

        var isEmpty: Bool { bytes.isEmpty }

        mutating func put(_ separator: StaticString) {
            for byte in UnsafeBufferPointer(start: separator.utf8Start, count: separator.utf8CodeUnitCount) {
                put(byte)
            }
        }

        /// Appends a text; quotes, separators and what is not visible ASCII become `%xx`.
        mutating func append(_ text: String) {
            var text = text
            text.withUTF8 { utf8 in
                for byte in utf8 {
                    switch byte {
                    case UInt8(ascii: "\""), UInt8(ascii: ","), UInt8(ascii: "="), UInt8(ascii: "%"), ...0x20, 0x7F...:
                        put(UInt8(ascii: "%"))
                        put(Self.hexadecimal[Int(byte >> 4)])
                        put(Self.hexadecimal[Int(byte & 15)])
                    default: put(byte)
                    }
                }
            }
        }

        /// Appends a byte, which the digest (FNV-1a) takes in as well.
        private mutating func put(_ byte: UInt8) {
            digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3
            if bytes.count <= SeriesKey.longest { bytes.append(byte) }
        }

        var text: String {
            guard bytes.count > SeriesKey.longest else { return String(decoding: bytes, as: UTF8.self) }
            return String(decoding: bytes.prefix(SeriesKey.longest), as: UTF8.self) + "#" + String(digest, radix: 16)
        }
    }
}
