/// Insertions, deletions, replacements and swaps of neighbors that make one text of another (optimal string alignment).
public enum EditDistance {
    /// The edit distance of two texts; nil if it is above `limit`. The work is at most proportional to `limit` times
    /// the length of the shorter text.
    public static func between<Letter: Equatable>(_ a: [Letter], _ b: [Letter], atMost limit: Int) -> Int? {
        guard limit >= 0, abs(a.count - b.count) <= limit else { return nil }
        let beyond = limit + 1
        // Cells further than `limit` from the diagonal are beyond it.
        var older = [Int](repeating: beyond, count: b.count + 1)
        var old = (0...b.count).map { min($0, beyond) }
        for i in 0..<a.count {
            var row = [Int](repeating: beyond, count: b.count + 1)
            row[0] = min(i + 1, beyond)
            var best = row[0]
            let first = max(0, i - limit)
            let last = min(b.count - 1, i + limit)
            if first <= last {
                for j in first...last {
                    var cost = min(old[j + 1] + 1, row[j] + 1, old[j] + (a[i] == b[j] ? 0 : 1))
                    if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, older[j - 1] + 1) }
                    row[j + 1] = min(cost, beyond)
                    best = min(best, row[j + 1])
                }
            }
            if best > limit { return nil }
            (older, old) = (old, row)
        }
        return old[b.count] <= limit ? old[b.count] : nil
    }
}
