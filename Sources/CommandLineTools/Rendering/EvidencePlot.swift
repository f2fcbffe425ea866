import AdminTypes
import Analysis
import PolicyModel

/// A check's evidence over a rollout as columns, in odds on a logarithmic scale, with the line at which it fails.
struct EvidencePlot {
    var isUnicode: Bool
    /// The width of the plotting area in columns, and its height in lines.
    var width = 60
    var height = 8

    /// The width of the labels on the left, enough for `more than 10^13 : 1`.
    private static let labelWidth = 19
    private static let blocks: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

    /// The lines of the plot; empty if there is nothing to plot.
    /// - Parameter threshold: ln of the odds at which the check fails.
    func lines(_ trace: EvidenceStatus.Trace, threshold: Double) -> [String] {
        guard !trace.points.isEmpty, threshold > 0, threshold.isFinite else { return [] }
        let columns = columns(trace.points.map(\.value))
        let top = max(threshold, columns.max() ?? 0)
        // The row in which a value lies, counted from the bottom.
        func row(_ value: Double) -> Int {
            min(Int(saturating: (value / top * Double(height)).rounded(.down)), height - 1)
        }
        let line = row(threshold * (1 - 1e-9))
        var labels = [line: CheckEvidence.odds(threshold)]
        if height - 1 - line > 1 { labels[height - 1] = CheckEvidence.odds(top) }
        if line > 3 { labels[line / 2] = CheckEvidence.odds(top * Double(line / 2 + 1) / Double(height)) }
        var text: [String] = []
        for place in (0..<height).reversed() {
            var cells = String(columns.map { cell($0, place, top, isLine: place == line) })
            // Continue the threshold to the right of the last column, so that it is visible early in a rollout.
            let rest = max(0, width - columns.count)
            if place == line {
                cells += String(repeating: isUnicode ? "╌" : "-", count: rest) + " fails"
            }
            text.append(axis(labels[place] ?? "", isMarked: labels[place] != nil) + cells)
        }
        text.append(pad("1 : 1") + (isUnicode ? " └" : " +") + String(repeating: isUnicode ? "─" : "-", count: width))
        text.append(times(trace, columns.count))
        return text.map { String($0.reversed().drop { $0 == " " }.reversed()) }
    }

    /// The heights of the columns. Points are repeated or merged to fit the width; merged points show the largest.
    private func columns(_ points: [Double]) -> [Double] {
        let values = points.map { $0.isFinite ? max($0, 0) : $0 > 0 ? 30 : 0 }
        let count = values.count <= width ? values.count * (width / values.count) : width
        return (0..<count).map { i in
            let first = i * values.count / count
            let last = max(first, (i + 1) * values.count / count - 1)
            return values[first...last].max() ?? 0
        }
    }

    private func cell(_ value: Double, _ place: Int, _ top: Double, isLine: Bool) -> Character {
        let eighths = Int(saturating: value / top * Double(height) * 8) - place * 8
        let empty: Character = isLine ? (isUnicode ? "╌" : "-") : " "
        if eighths <= 0 { return empty }
        if !isUnicode { return eighths >= 4 ? "#" : empty }
        return Self.blocks[min(eighths, 8) - 1]
    }

    private func pad(_ label: String) -> String {
        String(repeating: " ", count: max(Self.labelWidth - label.count, 0)) + label
    }

    private func axis(_ label: String, isMarked: Bool) -> String {
        pad(label) + (isUnicode ? (isMarked ? " ┤" : " │") : " |")
    }

    private func times(_ trace: EvidenceStatus.Trace, _ columns: Int) -> String {
        let end = Words.time(Double(trace.points.count) * Double(trace.spacing))
        let room = max(columns - "start".count - end.count, 1)
        return String(repeating: " ", count: Self.labelWidth + 2) + "start" + String(repeating: " ", count: room) + end
    }
}
