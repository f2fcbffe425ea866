import Testing

@testable import ReferenceModel

@Suite("The datatypes of tensors", .timeLimit(.minutes(15)))
struct DatatypeTests {
    private func parse(_ datatype: String, _ data: String) throws -> InferenceRequest {
        let body = "{\"inputs\":[{\"name\":\"age\",\"datatype\":\"\(datatype)\",\"shape\":[1],\"data\":[\(data)]}]}"
        return try InferenceRequest(parsing: Array(body.utf8), headerLength: nil)
    }

    @Test(
        "Values of their datatype are taken",
        arguments: [
            ("INT64", "-3"), ("INT64", "4.0"), ("INT64", "1e3"), ("INT64", "9223372036854775807"), ("INT8", "-128"),
            ("UINT8", "255"), ("INT16", "32767"), ("UINT16", "65535"), ("INT32", "-2147483648"),
            ("UINT32", "4294967295"),
            ("UINT64", "18446744073709551615"), ("BOOL", "true"), ("BOOL", "0"), ("FP32", "0.5"), ("FP64", "1e300"),
        ])
    func good(datatype: String, value: String) throws {
        #expect(try parse(datatype, value).inputs[0].datatype.rawValue == datatype)
    }

    @Test(
        "An unknown datatype, and a value that is none of its datatype, are refused with what, where and how",
        arguments: [
            ("NOPE", "1", "has the datatype `NOPE`, which is not known here; write one of BOOL, INT8"),
            ("int64", "1", "has the datatype `int64`"), ("", "1", "has the datatype ``"),
            ("FP16", "1", "has the datatype `FP16`"),
            ("INT64", "0.5", "is INT64, and value 0 of its `data` is 0.5, which is not a whole number from -2^63"),
            ("INT64", "1e19", "is INT64, and value 0"), ("INT8", "128", "not a whole number from -128 to 127"),
            ("UINT8", "-1", "not a whole number from 0 to 255"), ("UINT64", "-1", "is UINT64"),
            ("INT16", "40000", "is INT16"),
            ("UINT16", "65536", "is UINT16"), ("INT32", "2147483648", "is INT32"),
            ("UINT32", "4294967296", "is UINT32"),
            ("BOOL", "2", "not true, false, 1 or 0"), ("FP32", "1e300", "not a number that is finite in 32 bits"),
            ("INT64", "true", "value 0 of its `data` is a boolean"), ("BYTES", "1", "its `data` are not strings"),
            ("INT64", "\"1\"", "its `data` are strings"),
        ])
    func bad(datatype: String, value: String, message: String) {
        do {
            _ = try parse(datatype, value)
            Issue.record("taken")
        } catch {
            let refused = error as? RequestError
            #expect(refused?.status == 400 && refused?.message.contains(message) == true, "\(error)")
        }
    }

    @Test("Binary values as well: a BOOL is a byte of 0 or 1, and what is not finite is refused")
    func binary() {
        func parse(_ datatype: String, _ bytes: [UInt8]) throws -> InferenceRequest {
            let head =
                "{\"inputs\":[{\"name\":\"age\",\"datatype\":\"\(datatype)\",\"shape\":[1],"
                + "\"parameters\":{\"binary_data_size\":\(bytes.count)}}]}"
            return try InferenceRequest(parsing: Array(head.utf8) + bytes, headerLength: head.utf8.count)
        }
        #expect(throws: Never.self) { try parse("BOOL", [1]) }
        #expect(throws: Never.self) { try parse("INT64", [UInt8](repeating: 255, count: 8)) }
        #expect(throws: RequestError.self) { try parse("BOOL", [2]) }
        #expect(throws: RequestError.self) { try parse("FP32", [0, 0, 0xc0, 0x7f]) }
        #expect(throws: RequestError.self) { try parse("FP64", [0, 0, 0, 0, 0, 0, 0xf0, 0x7f]) }
        #expect(throws: RequestError.self) { try parse("NOPE", [1]) }
        #expect(throws: RequestError.self) { try parse("INT32", [1]) }
    }

    @Test("What is written twice, or not at all, is refused: one of two would be ignored")
    func twice() {
        let tensor = #"{"name":"age","datatype":"INT64","shape":[1],"data":[1]}"#
        for (body, message) in [
            (#"{"inputs":[\#(tensor)],"inputs":[\#(tensor)]}"#, "`inputs` come twice"),
            (#"{"inputs":[{"name":"age","datatype":"INT64","shape":[1],"data":[1],"data":[2]}]}"#, "`data` come twice"),
            (#"{"inputs":[{"name":"age","datatype":"INT64","shape":[0]}]}"#, "neither `data` nor `binary_data_size`"),
        ] {
            do {
                _ = try InferenceRequest(parsing: Array(body.utf8), headerLength: nil)
                Issue.record("taken")
            } catch {
                #expect(error.message.contains(message), "\(error)")
            }
        }
    }
}
