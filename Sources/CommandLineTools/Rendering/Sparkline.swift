import PolicyModel

/// Draws a series as one line of block characters, with heights in eighths.
enum Sparkline {
    private static let blocks: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

    /// - Parameters:
    ///   - values: the values; nil for a gap. Infinite values are shown as `×`.
    ///   - top: the top of the scale, > 0. The bottom is 0, so that heights of several lines can be compared.
    static func text(_ values: [Double?], top: Double) -> String {
        String(
            values.map { value in
                guard let value else { return " " }
                guard value.isFinite else { return "×" }
                let place = top > 0 ? Int(saturating: min((value / top * 8).rounded(.up), 8)) - 1 : 0
                return blocks[min(max(place, 0), 7)]
            })
    }

    /// The greatest finite value of several series; 0 if there is none.
    static func top(_ series: [[Double?]]) -> Double {
        series.joined().compactMap(\.self).filter(\.isFinite).max() ?? 0
    }
}

/// Draws a share as a bar, with a width in eighths.
enum Bar {
    private static let parts: [Character] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"]

    /// - Returns: the filled part and the rest, together `width` characters. A share above 0 is never empty.
    static func text(_ fraction: Double, width: Int) -> (filled: String, rest: String) {
        let clamped = min(max(fraction, 0), 1)
        var eighths = Int(saturating: clamped * Double(width) * 8)
        if clamped > 0, eighths == 0 { eighths = 1 }
        var filled = String(repeating: "█", count: eighths / 8)
        if eighths % 8 > 0 { filled.append(parts[eighths % 8 - 1]) }
        return (filled, String(repeating: " ", count: max(width - filled.count, 0)))
    }
}
