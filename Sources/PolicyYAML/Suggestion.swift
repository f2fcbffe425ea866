/// The nearest of the names that may be written, for a name that may not.
enum Suggestion {
    /// Nil where none is near: at most one edit for short names, one in three letters for longer ones.
    static func nearest<Names: Sequence>(to name: String, in names: Names) -> String? where Names.Element == String {
        let wanted = Array(name.lowercased())
        var best: (name: String, distance: Int)?
        for candidate in names {
            let letters = Array(candidate.lowercased())
            let distance = editDistance(wanted, letters)
            guard distance <= max(1, min(wanted.count, letters.count) / 3) else { continue }
            // Of two as near, the one of the same letters: `p59` is `p95` before it is `p50`.
            let swapped = distance == best?.distance && letters.sorted() == wanted.sorted()
            if swapped || distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.name
    }

    /// `: did you mean 'checks'?`, or the whole choice where nothing is near.
    static func hint<Names: Collection>(for name: String, among names: Names) -> String
    where Names.Element == String {
        if let near = nearest(to: name, in: names) { return "did you mean '\(near)'?" }
        return names.isEmpty ? "there is none to choose from" : "write one of " + names.joined(separator: ", ")
    }

    /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
    static func editDistance(_ a: [Character], _ b: [Character]) -> Int {
        // Longer than any key: the table stays small whatever a file holds.
        guard a.count <= 64, b.count <= 64 else { return a == b ? 0 : .max }
        var rows = [Array(0...b.count)]
        for i in 1..<(a.count + 1) {
            var row = [i]
            for j in 1..<(b.count + 1) {
                var cost = min(rows[i - 1][j] + 1, row[j - 1] + 1)
                cost = min(cost, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    cost = min(cost, rows[i - 2][j - 2] + 1)
                }
                row.append(cost)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
