import PlainText

/// The text of a table cell, and its style, which does not count toward the cell's width.
struct Cell: ExpressibleByStringInterpolation {
    var text: String
    var style: Style

    init(_ text: String, _ style: Style = .plain) {
        self.text = plain(text)
        self.style = style
    }

    init(stringLiteral value: String) { self.init(value) }
}

/// A table with aligned columns.
struct Table {
    enum Alignment { case left, right }

    private let titles: [String]
    private let alignments: [Alignment]
    private(set) var rows: [[Cell]] = []

    /// The gap between two columns.
    private static let gap = "  "

    init(_ columns: (String, Alignment)...) {
        titles = columns.map(\.0)
        alignments = columns.map(\.1)
    }

    mutating func add(_ cells: Cell...) { rows.append(cells) }

    /// The lines of the table, without trailing spaces.
    func lines(colored: Bool) -> [String] {
        let header = titles.map { Cell($0, .bold) }
        let all = (titles.allSatisfy(\.isEmpty) ? [] : [header]) + rows
        let widths = titles.indices.map { column in all.map { $0[column].text.count }.max() ?? 0 }
        return all.map { row in
            var line = ""
            var pendingSpaces = 0
            for (column, cell) in row.enumerated() {
                let space = widths[column] - cell.text.count
                let lead = alignments[column] == .right ? space : 0
                if !cell.text.isEmpty {
                    line += String(repeating: " ", count: pendingSpaces + lead)
                    line += colored ? cell.style.applied(to: cell.text) : cell.text
                    pendingSpaces = 0
                } else {
                    pendingSpaces += lead
                }
                pendingSpaces += (alignments[column] == .left ? space : 0) + Self.gap.count
            }
            return line
        }
    }
}

/// Makes text from a file or another user safe for the terminal.
func plain(_ text: String) -> String { text.displayable }
