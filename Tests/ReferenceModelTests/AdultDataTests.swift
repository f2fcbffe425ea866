import Testing

@testable import ReferenceModel

@Suite(.timeLimit(.minutes(15))) struct AdultDataTests {
    private static let header = AdultData.header.joined(separator: ",")
    private static let row =
        "39,State-gov,13,Never-married,Adm-clerical,Not-in-family,White,Male,2174,0,40,United-States,0"

    @Test(
        "A file that is not the Adult data is refused with its line",
        arguments: [
            ("", "has no rows"),
            ("age,income\n", "line 1: the header has to be"),
            ("\(header)\n39,State-gov\n", "line 2: has 2 fields, expected 13"),
            ("\(header)\n\(row)\n\(row.replacing("39,", with: "x,"))\n", "line 3: age: `x` is not a whole number"),
            ("\(header)\n\(row.replacing("White", with: ""))\n", "line 2: race is empty"),
            (
                "\(header)\n\(row.replacing("States,0", with: "States,>50K"))\n",
                "line 2: income: `>50K` is neither 0 nor 1"
            ),
        ])
    func refused(text: String, message: String) throws {
        let directory = TemporaryDirectory()
        let path = try directory.write("adult_train.csv", text)
        _ = try directory.write("adult_test.csv", "\(Self.header)\n\(Self.row)\n")
        let error = #expect(throws: FileError.self) { try AdultData.load(directory: directory.path) }
        #expect(error?.path == path)
        #expect(error?.message.hasPrefix(message) == true, "\(String(describing: error))")
    }

    @Test("A missing file is named")
    func missing() {
        let error = #expect(throws: FileError.self) { try AdultData.load(directory: "/nonexistent") }
        #expect(error?.description == "/nonexistent/adult_train.csv: cannot be opened: No such file or directory")
    }

    @Test("Numbers are standardized over the rows that fit, categories are one-hot, line ends do not matter")
    func encodes() throws {
        let directory = TemporaryDirectory()
        let other = Self.row.replacing("39,", with: "41,").replacing("Male", with: "Female")
        _ = try directory.write("adult_train.csv", "\(Self.header)\r\n\(Self.row)\r\n\(other)\r\n")
        _ = try directory.write("adult_test.csv", "\(Self.header)\n\(Self.row)")
        let data = try AdultData.load(directory: directory.path)
        #expect((data.count, data.trainingRows) == (3, 2))
        let encoding = data.encoding(fittedOn: [0, 1])
        #expect(encoding.columns[0] == .init(name: "age", kind: .number(mean: 40, deviation: 1)))
        #expect(encoding.width == 5 + 8)
        let female = try #require(encoding.input(of: "sex", value: "Female"))
        let features = data.features(of: [0, 1], by: encoding)
        #expect(features[0] == -1 && features[13] == 1)
        #expect(features[female] == 0 && features[13 + female] == 1)
        #expect(features[0..<13].reduce(0, +) == -1 + 7)
    }

    @Test("The shipped files have the published counts")
    func shippedCounts() throws {
        let bytes = try FileBytes.read(AdultFixture.directory + "/adult_test.csv", limit: AdultData.fileLimit)
        #expect(bytes.count { $0 == 10 } == 16_282)
        #expect(AdultFixture.subset.trainingRows == 1_200)
    }
}
