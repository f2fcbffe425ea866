/// The rows of the Adult census data (UCI, Becker and Kohavi 1996), stored by column.
public struct AdultData: Sendable {
    public static let numberColumns = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
    public static let categoryColumns = [
        "workclass", "marital_status", "occupation", "relationship", "race", "sex", "native_country",
    ]
    static let header = [
        "age", "workclass", "education_num", "marital_status", "occupation", "relationship", "race", "sex",
        "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
    ]
    /// The attributes by whose values quality is evaluated in groups.
    public static let groupColumns = ["sex", "race"]
    /// The largest size of a file in bytes; the two files have 4.3 MB together.
    static let fileLimit = 16 << 20
    /// The most categories of a column, whose codes are bytes.
    static let categoryLimit = 255

    /// The number columns, `rows × numberColumns`.
    var numbers: [Int32]
    /// The category columns, `rows × categoryColumns`, as indices into `categories` of the column.
    var codes: [UInt8]
    /// The label of each row: 1 for an income of more than 50,000 dollars a year, else 0.
    var labels: [UInt8]
    /// The sorted categories of each category column. They come from both files, since they are part of the schema and
    /// not a statistic of the training data.
    var categories: [[String]]
    /// The number of rows from `adult_train.csv`, which come first; the others are from `adult_test.csv`.
    var trainingRows: Int
    /// A hash of both files' bytes, which is a part of the recipe: artifacts of other data are not reused.
    var fingerprint: UInt64

    public var count: Int { labels.count }

    /// Reads `adult_train.csv` and `adult_test.csv`.
    public static func load(directory: String) throws(FileError) -> AdultData {
        var reader = AdultReader()
        try reader.read(path: directory + "/adult_train.csv")
        let trainingRows = reader.labels.count
        try reader.read(path: directory + "/adult_test.csv")
        return reader.finish(trainingRows: trainingRows)
    }

    func category(_ row: Int, _ column: Int) -> String {
        categories[column][Int(codes[row * Self.categoryColumns.count + column])]
    }

    /// The values of `groupColumns`.
    func groups(_ row: Int) -> [String] {
        Self.groupColumns.map { category(row, Self.categoryColumns.firstIndex(of: $0)!) }
    }

    /// An encoding whose means and deviations are those of these rows.
    func encoding(fittedOn rows: [Int32]) -> FeatureEncoding {
        let width = Self.numberColumns.count
        var columns: [FeatureEncoding.Column] = []
        for (index, name) in Self.numberColumns.enumerated() {
            var sum = 0.0
            var squares = 0.0
            for row in rows {
                let value = Double(numbers[Int(row) * width + index])
                sum += value
                squares += value * value
            }
            let mean = sum / Double(rows.count)
            let variance = squares / Double(rows.count) - mean * mean
            let deviation = variance > 0 ? variance.squareRoot() : 1
            columns.append(.init(name: name, kind: .number(mean: mean, deviation: deviation)))
        }
        for (index, name) in Self.categoryColumns.enumerated() {
            columns.append(.init(name: name, kind: .category(categories[index])))
        }
        return FeatureEncoding(columns: columns)
    }

    /// The encoded rows, `rows.count × encoding.width`, row-major.
    func features(of rows: [Int32], by encoding: FeatureEncoding) -> [Float] {
        let numberCount = Self.numberColumns.count
        let categoryCount = Self.categoryColumns.count
        var features = [Float](repeating: 0, count: rows.count * encoding.width)
        for (place, row) in rows.enumerated() {
            let base = place * encoding.width
            for column in 0..<numberCount {
                let value = Double(numbers[Int(row) * numberCount + column])
                features[base + column] = encoding.standardized(value, column: column)
            }
            for column in 0..<categoryCount {
                let code = Int(codes[Int(row) * categoryCount + column])
                features[base + encoding.offsets[numberCount + column] + code] = 1
            }
        }
        return features
    }
}
