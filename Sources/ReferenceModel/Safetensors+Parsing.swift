import JSON
import PlainText

extension Safetensors {
    private struct Entry {
        var name: String
        var type: ElementType
        var shape: [Int]
        var range: Range<Int>
    }

    init(parsing bytes: [UInt8]) throws(JSONError) {
        guard bytes.count >= 8 else { throw Self.flaw("truncated: \(bytes.count) bytes, not even the header's length") }
        var length: UInt64 = 0
        for index in 0..<8 { length |= UInt64(bytes[index]) << UInt64(8 * index) }
        guard length <= UInt64(Self.headerLimit) else {
            throw Self.flaw("a header of \(length) bytes, more than the limit of \(Self.headerLimit)")
        }
        let start = 8 + Int(length)
        guard start <= bytes.count else {
            throw Self.flaw("truncated: the header needs \(length) bytes, \(bytes.count - 8) are there")
        }
        let entries = try bytes.reading { (raw) throws(JSONError) in
            try Self.header(UnsafeRawBufferPointer(rebasing: raw[8..<start]), metadata: &metadata)
        }
        try Self.checkLayout(entries, dataCount: bytes.count - start)
        for entry in entries {
            let slice = Array(bytes[(start + entry.range.lowerBound)..<(start + entry.range.upperBound)])
            tensors[entry.name] = Tensor(type: entry.type, shape: entry.shape, bytes: slice)
        }
    }

    private static func flaw(_ message: String) -> JSONError { JSONError(offset: 0, message: message) }

    private static func header(
        _ raw: UnsafeRawBufferPointer, metadata: inout [String: String]
    ) throws(JSONError) -> [Entry] {
        var reader = JSONReader(raw)
        var entries: [Entry] = []
        var names: Set<String> = []
        try reader.object { (reader, key) throws(JSONError) in
            let name = try shortName(key)
            guard names.insert(name).inserted else { throw flaw("`\(name)` comes twice in the header") }
            guard names.count <= tensorLimit + 1 else { throw flaw("more than \(tensorLimit) tensors") }
            if name == "__metadata__" {
                try reader.object { (reader, key) throws(JSONError) in
                    guard metadata.updateValue(try reader.string(), forKey: try shortName(key)) == nil else {
                        throw flaw("`\(key.excerpt)` comes twice in the metadata")
                    }
                }
            } else {
                entries.append(try entry(name, &reader))
            }
        }
        try reader.finish()
        return entries
    }

    /// A name of at most 256 bytes. Names become keys of a dictionary, and hashing a long text may take quadratic time:
    /// see `JSONKey`.
    private static func shortName(_ key: JSONKey) throws(JSONError) -> String {
        guard key.text.utf8.count <= 256 else { throw flaw("`\(key.excerpt)` has more than 256 bytes") }
        return key.text
    }

    private static func entry(_ name: String, _ reader: inout JSONReader) throws(JSONError) -> Entry {
        var type: ElementType?
        var shape: [Int]?
        var offsets: [Int]?
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "dtype":
                let text = try reader.string()
                guard text.utf8.count <= 8, let known = ElementType(rawValue: text) else {
                    throw flaw("tensor `\(name)` has the type \(text.excerpt); only F32 and I8 are read")
                }
                type = known
            case "shape": shape = try extents(name, &reader)
            case "data_offsets": offsets = try extents(name, &reader)
            default: throw flaw("tensor `\(name)` has an unknown key `\(key.excerpt)`")
            }
        }
        guard let type, let shape, let offsets, offsets.count == 2, offsets[0] <= offsets[1] else {
            throw flaw("tensor `\(name)` needs dtype, shape and two data_offsets, the first not after the second")
        }
        var size = type.size
        for extent in shape {
            let (product, overflow) = size.multipliedReportingOverflow(by: extent)
            guard !overflow else { throw flaw("tensor `\(name)` has a shape too large to count") }
            size = product
        }
        guard size == offsets[1] - offsets[0] else {
            throw flaw("tensor `\(name)` has \(offsets[1] - offsets[0]) bytes where its type and shape need \(size)")
        }
        return Entry(name: name, type: type, shape: shape, range: offsets[0]..<offsets[1])
    }

    private static func extents(_ name: String, _ reader: inout JSONReader) throws(JSONError) -> [Int] {
        var values: [Int] = []
        try reader.array { (reader) throws(JSONError) in
            let value = try reader.integer()
            guard value >= 0 else { throw flaw("tensor `\(name)` has a negative shape or offset") }
            guard values.count < 8 else { throw flaw("tensor `\(name)` has more than 8 dimensions") }
            values.append(Int(value))
        }
        return values
    }

    /// Checks that the tensors cover the data exactly, without a gap or an overlap.
    private static func checkLayout(_ entries: [Entry], dataCount: Int) throws(JSONError) {
        var end = 0
        let sorted = entries.sorted {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        for entry in sorted {
            guard entry.range.lowerBound >= end else { throw flaw("tensor `\(entry.name)` overlaps another one") }
            guard entry.range.lowerBound == end else { throw flaw("a gap before tensor `\(entry.name)`") }
            end = entry.range.upperBound
        }
        guard end <= dataCount else { throw flaw("truncated: the tensors need \(end) bytes, \(dataCount) are there") }
        guard end == dataCount else { throw flaw("\(dataCount - end) bytes after the last tensor") }
    }
}
