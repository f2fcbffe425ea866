/// The performance of a model on labeled rows, by group.
public struct ModelPerformance: Hashable, Sendable {
    public struct Group: Hashable, Sendable {
        /// A value of a group column, or `all`.
        public var name: String
        public var rows = 0
        public var positives = 0
        public var correct = 0
        public var truePositives = 0

        /// The share of rows with the right prediction; nil if there are no rows.
        public var accuracy: Double? { rows > 0 ? Double(correct) / Double(rows) : nil }
        /// The share of positives with the right prediction; nil if there are no positives.
        public var recall: Double? { positives > 0 ? Double(truePositives) / Double(positives) : nil }
    }

    public var name: ArtifactName
    /// The groups: `all` first, then the values of sex and of race, the largest group of each first.
    public var groups: [Group]

    init(_ artifact: Artifact, data: AdultData, rows: [Int32], path: KernelPath = .best) {
        name = ArtifactName(kind: artifact.kind, seed: artifact.seed)
        let scores = artifact.scores(data.features(of: rows, by: artifact.encoding), path: path)
        var all = Group(name: "all")
        var byValue: [String: Group] = [:]
        var order: [[String]] = Array(repeating: [], count: AdultData.groupColumns.count)
        for (place, row) in rows.enumerated() {
            let label = data.labels[Int(row)] == 1
            let prediction = scores[place] >= InferenceRule.threshold
            all.count(label: label, prediction: prediction)
            for (column, value) in data.groups(Int(row)).enumerated() {
                if byValue[value] == nil { order[column].append(value) }
                byValue[value, default: Group(name: value)].count(label: label, prediction: prediction)
            }
        }
        groups = [all]
        for values in order {
            groups += values.compactMap { byValue[$0] }.sorted { ($1.rows, $0.name) < ($0.rows, $1.name) }
        }
    }

    public subscript(group: String) -> Group? { groups.first { $0.name == group } }
}

extension ModelPerformance.Group {
    fileprivate mutating func count(label: Bool, prediction: Bool) {
        rows += 1
        if label { positives += 1 }
        if label == prediction { correct += 1 }
        if label && prediction { truePositives += 1 }
    }
}

/// The rule that turns a score into a label.
enum InferenceRule {
    /// The smallest score with label 1.
    static let threshold: Float = 0.5
}

/// Accuracy and recall of several models, side by side.
public struct PerformanceTable: Sendable {
    public var models: [ModelPerformance]

    public init(_ models: [ModelPerformance]) { self.models = models }

    /// The table as text with a line for each group: the first model in percent, the others as differences from it in
    /// percentage points.
    public var text: String {
        guard let reference = models.first else { return "" }
        var lines = [
            left("", 19) + right("", 10) + "  " + left("accuracy", width * models.count) + "  recall",
            left("group", 19) + right("positives", 10) + header + header,
        ]
        for group in reference.groups {
            var line = left(group.name, 19) + right(String(group.positives), 10)
            for value in [\ModelPerformance.Group.accuracy, \.recall] {
                line += "  "
                for (index, model) in models.enumerated() {
                    line += right(
                        cell(model[group.name]?[keyPath: value], index == 0 ? nil : group[keyPath: value]), width)
                }
            }
            lines.append(line)
        }
        return lines.map { $0.trimmingTail() }.joined(separator: "\n") + "\n"
    }

    private var header: String { "  " + models.map { right($0.name.description, width) }.joined() }

    /// The width of a column: room for the longest name or figure, and a space.
    private var width: Int { max(6, models.map(\.name.description.count).max() ?? 0) + 1 }

    private func cell(_ value: Double?, _ reference: Double?) -> String {
        guard let value else { return "–" }
        guard let reference else { return tenths(value * 100) }
        let text = tenths((value - reference) * 100)
        return text.hasPrefix("-") || text == "0.0" ? text : "+" + text
    }

    private func tenths(_ value: Double) -> String {
        let rounded = Int((abs(value) * 10).rounded())
        return (value < 0 && rounded > 0 ? "-" : "") + "\(rounded / 10).\(rounded % 10)"
    }

    private func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}

extension String {
    fileprivate func trimmingTail() -> String {
        var text = self
        while text.hasSuffix(" ") { text.removeLast() }
        return text
    }
}
