import JSON
import PlainText

/// A request that cannot be answered: the status, and what the client has to correct.
struct RequestError: Error, Hashable, Sendable {
    var status: Int
    var message: String

    static func bad(_ message: String) -> RequestError { RequestError(status: 400, message: message) }
}

/// An inference request of the Open Inference Protocol, as JSON or with the binary tensor extension.
struct InferenceRequest: Hashable, Sendable {
    enum Values: Hashable, Sendable {
        /// Every number and integer type; 64-bit integers beyond 2^53 lose their last bits.
        case numbers([Double])
        case strings([String])

        var count: Int {
            switch self {
            case .numbers(let values): values.count
            case .strings(let values): values.count
            }
        }
    }

    struct Tensor: Hashable, Sendable {
        var name: String
        var datatype: Datatype
        var shape: [Int]
        /// Row-major; as many as the shape says.
        var values: Values
    }

    struct Output: Hashable, Sendable {
        var name: String
        var binary: Bool
    }

    static let tensorLimit = 256
    static let dimensionLimit = 8
    /// The most bytes of one tensor; more rows than `FeatureEncoding.rowLimit` are refused anyway, only later and with
    /// more memory.
    static let valueLimit = 1 << 20
    static let outputLimit = 16
    /// Bytes of the name of an input or output.
    static let nameLimit = 256
    /// Bytes of an id: it comes back in the reply.
    static let idLimit = 256

    var id: String?
    var inputs: [Tensor] = []
    /// Empty: all, in the form of `binaryOutput`.
    var outputs: [Output] = []
    var binaryOutput = false

    /// - Parameter headerLength: `Inference-Header-Content-Length`: bytes of JSON, before the binary tensors.
    init(parsing body: [UInt8], headerLength: Int?) throws(RequestError) {
        let length = headerLength ?? body.count
        guard (0...body.count).contains(length) else {
            throw .bad("Inference-Header-Content-Length is \(length), the body has \(body.count) bytes")
        }
        var pending: [PendingTensor] = []
        do throws(JSONError) {
            try body.reading { (raw) throws(JSONError) in
                var reader = JSONReader(UnsafeRawBufferPointer(rebasing: raw[0..<length]))
                pending = try parse(&reader)
                try reader.finish()
            }
        } catch {
            throw .bad("the request is not valid JSON of the protocol: \(error.message) (at byte \(error.offset))")
        }
        guard !pending.isEmpty else { throw .bad("the request has no `inputs`") }
        var offset = length
        for tensor in pending { inputs.append(try tensor.completed(body, &offset)) }
        guard offset == body.count else { throw .bad("\(body.count - offset) bytes after the last binary tensor") }
    }
}

extension InferenceRequest {
    private mutating func parse(_ reader: inout JSONReader) throws(JSONError) -> [PendingTensor] {
        var pending: [PendingTensor] = []
        var asked: [(name: String, binary: Bool?)] = []
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "id":
                let text = try reader.string()
                guard text.utf8.count <= Self.idLimit else {
                    throw reader.error("an id of more than \(Self.idLimit) bytes")
                }
                id = text
            case "inputs":
                guard pending.isEmpty else { throw reader.error("`inputs` come twice") }
                try reader.array { (reader) throws(JSONError) in
                    guard pending.count < Self.tensorLimit else {
                        throw reader.error("more than \(Self.tensorLimit) inputs")
                    }
                    pending.append(try PendingTensor(&reader))
                }
            case "outputs":
                try reader.array { (reader) throws(JSONError) in
                    guard asked.count < Self.outputLimit else {
                        throw reader.error("more than \(Self.outputLimit) outputs")
                    }
                    asked.append(try Self.output(&reader))
                }
            case "parameters":
                try reader.object { (reader, key) throws(JSONError) in
                    if key == "binary_data_output" { binaryOutput = try reader.boolean() } else { try reader.skip() }
                }
            default: try reader.skip()
            }
        }
        outputs = asked.map { Output(name: $0.name, binary: $0.binary ?? binaryOutput) }
        return pending
    }

    fileprivate static func name(_ reader: inout JSONReader) throws(JSONError) -> String {
        let name = try reader.string()
        guard name.utf8.count <= nameLimit else { throw reader.error("a name of more than \(nameLimit) bytes") }
        return name
    }

    private static func output(_ reader: inout JSONReader) throws(JSONError) -> (name: String, binary: Bool?) {
        var name: String?
        var binary: Bool?
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "name": name = try InferenceRequest.name(&reader)
            case "parameters":
                try reader.object { (reader, key) throws(JSONError) in
                    if key == "binary_data" { binary = try reader.boolean() } else { try reader.skip() }
                }
            default: try reader.skip()
            }
        }
        guard let name else { throw reader.error("an output without a name") }
        return (name, binary)
    }
}

/// An input as its JSON describes it; its data may follow in binary.
private struct PendingTensor {
    var name = ""
    var datatype: String?
    var shape: [Int]?
    var numbers: [Double] = []
    /// The first value that is `true` or `false`; these count as 1 and 0.
    var firstBoolean: Int?
    var strings: [String] = []
    var hasData = false
    var binarySize: Int?

    init(_ reader: inout JSONReader) throws(JSONError) {
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "name": name = try InferenceRequest.name(&reader)
            case "datatype": datatype = try reader.string()
            case "shape": shape = try Self.shape(&reader)
            case "data":
                guard !hasData else { throw reader.error("`data` come twice in one input") }
                hasData = true
                try data(&reader)
            case "parameters":
                try reader.object { (reader, key) throws(JSONError) in
                    if key == "binary_data_size" {
                        binarySize = Int(try reader.integer())
                    } else {
                        try reader.skip()
                    }
                }
            default: try reader.skip()
            }
        }
    }

    private static func shape(_ reader: inout JSONReader) throws(JSONError) -> [Int] {
        var shape: [Int] = []
        try reader.array { (reader) throws(JSONError) in
            guard shape.count < InferenceRequest.dimensionLimit else {
                throw reader.error("more than \(InferenceRequest.dimensionLimit) dimensions")
            }
            shape.append(Int(try reader.integer()))
        }
        return shape
    }

    /// Flat or nested; nesting is not compared with the shape, only the count is.
    private mutating func data(_ reader: inout JSONReader) throws(JSONError) {
        var nested: [Double] = []
        var texts: [String] = []
        func read(_ reader: inout JSONReader) throws(JSONError) {
            try reader.array { (reader) throws(JSONError) in
                guard nested.count + texts.count < InferenceRequest.valueLimit else {
                    throw reader.error("more than \(InferenceRequest.valueLimit) values in one tensor")
                }
                switch reader.peek() {
                case .array: try read(&reader)
                case .string: texts.append(try reader.string())
                case .boolean:
                    firstBoolean = firstBoolean ?? nested.count
                    nested.append(try reader.boolean() ? 1 : 0)
                default: nested.append(try reader.number())
                }
            }
        }
        try read(&reader)
        guard nested.isEmpty || texts.isEmpty else { throw reader.error("numbers and strings in one tensor") }
        (numbers, strings) = (nested, texts)
    }

    func completed(_ body: [UInt8], _ offset: inout Int) throws(RequestError) -> InferenceRequest.Tensor {
        guard !name.isEmpty, let text = datatype, let shape else {
            throw .bad("input `\(name)` needs a name, a datatype and a shape")
        }
        guard let datatype = Datatype(named: text) else {
            throw .bad(
                "input `\(name)` has the datatype `\(text.excerpt)`, which is not known here; write one of "
                    + Datatype.names)
        }
        var count = 1
        for extent in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow, product <= InferenceRequest.valueLimit else {
                throw .bad(
                    "input `\(name)` has the shape \(shape); it may have up to \(InferenceRequest.valueLimit) values")
            }
            count = product
        }
        let values: InferenceRequest.Values
        if let binarySize {
            guard !hasData else { throw .bad("input `\(name)` has both `data` and `binary_data_size`") }
            guard binarySize >= 0, binarySize <= body.count - offset else {
                throw .bad(
                    "input `\(name)` says \(binarySize) binary bytes, \(body.count - offset) are left in the body")
            }
            values = try BinaryTensor.decode(
                body[offset..<(offset + binarySize)], datatype: datatype, count: count, name: name)
            offset += binarySize
        } else {
            guard hasData else { throw .bad("input `\(name)` has neither `data` nor `binary_data_size`") }
            values = try jsonValues(datatype)
        }
        guard values.count == count else {
            throw .bad("input `\(name)` has \(values.count) values, its shape \(shape) needs \(count)")
        }
        return InferenceRequest.Tensor(name: name, datatype: datatype, shape: shape, values: values)
    }

    /// The values of `data`, each of which has to be one of its datatype.
    private func jsonValues(_ datatype: Datatype) throws(RequestError) -> InferenceRequest.Values {
        if datatype == .bytes {
            guard numbers.isEmpty else { throw .bad("input `\(name)` is BYTES, its `data` are not strings") }
            return .strings(strings)
        }
        guard strings.isEmpty else { throw .bad("input `\(name)` is \(datatype.rawValue), its `data` are strings") }
        if let firstBoolean, datatype != .bool {
            throw .bad(
                "input `\(name)` is \(datatype.rawValue), and value \(firstBoolean) of its `data` is a boolean; write a "
                    + "number, or the datatype BOOL")
        }
        if let place = numbers.firstIndex(where: { !datatype.holds($0) }) {
            throw .bad(
                "input `\(name)` is \(datatype.rawValue), and value \(place) of its `data` is \(numbers[place]), which is "
                    + "not \(datatype.range); write another value, or the datatype that it has")
        }
        return .numbers(numbers)
    }
}
