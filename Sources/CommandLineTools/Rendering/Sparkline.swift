import PolicyModel

/// A series as one line of eighths.
enum Sparkline {
    private static let blocks: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

    /// - Parameters:
    ///   - values: nil where nothing was; infinite values are shown as `×`.
    ///   - top: of the scale, > 0; its bottom is 0, so that heights of several lines can be compared.
    static func text(_ values: [Double?], top: Double) -> String {
        String(
            values.map { value in
                guard let value else { return " " }
                guard value.isFinite else { return "×" }
                let place = top > 0 ? Int(saturating: min((value / top * 8).rounded(.up), 8)) - 1 : 0
                return blocks[min(max(place, 0), 7)]
            })
    }

    /// The greatest finite value of several series; 0 where there is none.
    static func top(_ series: [[Double?]]) -> Double {
        series.joined().compactMap(\.self).filter(\.isFinite).max() ?? 0
    }
}

/// A share as a bar of eighths.
enum Bar {
    private static let parts: [Character] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"]

    /// - Returns: the filled part and what is left, together `width` characters. More than nothing is never empty.
    static func text(_ fraction: Double, width: Int) -> (filled: String, rest: String) {
        let clamped = min(max(fraction, 0), 1)
        var eighths = Int(saturating: clamped * Double(width) * 8)
        if clamped > 0, eighths == 0 { eighths = 1 }
        var filled = String(repeating: "█", count: eighths / 8)
        if eighths % 8 > 0 { filled.append(parts[eighths % 8 - 1]) }
        return (filled, String(repeating: " ", count: max(width - filled.count, 0)))
    }
}
