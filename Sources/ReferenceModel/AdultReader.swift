/// Reads the Adult files: comma-separated rows without quotes.
struct AdultReader {
    var numbers: [Int32] = []
    var codes: [UInt8] = []
    var labels: [UInt8] = []
    private var vocabulary: [[String: UInt8]] = Array(repeating: [:], count: AdultData.categoryColumns.count)
    /// The FNV-1a hash of all bytes read.
    private var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    /// The role of each field of a row.
    private let roles: [Role] = AdultData.header.map { name in
        if let index = AdultData.categoryColumns.firstIndex(of: name) { return .category(index) }
        return AdultData.numberColumns.contains(name) ? .number(AdultData.numberColumns.firstIndex(of: name)!) : .label
    }

    private enum Role {
        case number(Int)
        case category(Int)
        case label
    }

    mutating func read(path: String) throws(FileError) {
        let bytes = try FileBytes.read(path, limit: AdultData.fileLimit)
        var line = 0
        var start = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 10) ?? bytes.count
            line += 1
            let stop = end > start && bytes[end - 1] == 13 ? end - 1 : end
            let fields = bytes[start..<stop].split(separator: 44, omittingEmptySubsequences: false)
            start = end + 1
            if line == 1 {
                let names = fields.map { String(decoding: $0, as: UTF8.self) }
                guard names == AdultData.header else {
                    throw FileError(
                        path: path,
                        message: "line 1: the header has to be `\(AdultData.header.joined(separator: ","))`")
                }
            } else if fields.count > 1 || !fields[0].isEmpty {
                do throws(RowError) {
                    try append(fields)
                } catch {
                    throw FileError(path: path, message: "line \(line): \(error.message)")
                }
            }
        }
        guard line > 1 else { throw FileError(path: path, message: "has no rows") }
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    }

    private struct RowError: Error { var message: String }

    private mutating func append(_ fields: [ArraySlice<UInt8>]) throws(RowError) {
        guard fields.count == roles.count else {
            throw RowError(message: "has \(fields.count) fields, expected \(roles.count)")
        }
        let row = labels.count
        numbers.append(contentsOf: repeatElement(0, count: AdultData.numberColumns.count))
        codes.append(contentsOf: repeatElement(0, count: AdultData.categoryColumns.count))
        for (index, field) in fields.enumerated() {
            let text = String(decoding: field, as: UTF8.self)
            switch roles[index] {
            case .number(let column):
                guard let value = Int32(text) else {
                    throw RowError(message: "\(AdultData.header[index]): `\(text)` is not a whole number")
                }
                numbers[row * AdultData.numberColumns.count + column] = value
            case .category(let column):
                guard !text.isEmpty else { throw RowError(message: "\(AdultData.header[index]) is empty") }
                codes[row * AdultData.categoryColumns.count + column] = try code(of: text, column: column)
            case .label:
                guard text == "0" || text == "1" else {
                    throw RowError(message: "income: `\(text)` is neither 0 nor 1")
                }
                labels.append(text == "1" ? 1 : 0)
            }
        }
    }

    private mutating func code(of text: String, column: Int) throws(RowError) -> UInt8 {
        if let known = vocabulary[column][text] { return known }
        guard vocabulary[column].count < AdultData.categoryLimit else {
            throw RowError(
                message: "\(AdultData.categoryColumns[column]): more than \(AdultData.categoryLimit) categories")
        }
        let code = UInt8(vocabulary[column].count)
        vocabulary[column][text] = code
        return code
    }

    /// Returns the data with sorted categories, so that their order does not depend on that of the rows.
    func finish(trainingRows: Int) -> AdultData {
        var codes = codes
        var categories: [[String]] = []
        let width = AdultData.categoryColumns.count
        for column in 0..<width {
            let sorted = vocabulary[column].keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            var renamed = [UInt8](repeating: 0, count: sorted.count)
            for (place, name) in sorted.enumerated() { renamed[Int(vocabulary[column][name]!)] = UInt8(place) }
            for row in 0..<labels.count { codes[row * width + column] = renamed[Int(codes[row * width + column])] }
            categories.append(sorted)
        }
        return AdultData(
            numbers: numbers, codes: codes, labels: labels, categories: categories, trainingRows: trainingRows,
            fingerprint: hash)
    }
}
