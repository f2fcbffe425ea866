import PolicyModel

/// The nearest of the names that may be written, for a name that may not.
enum Suggestion {
    /// Nil where none is near: at most one edit for short names, one in three letters for longer ones.
    static func nearest<Names: Sequence>(to name: String, in names: Names) -> String? where Names.Element == String {
        let wanted = Array(name.lowercased())
        var best: (name: String, distance: Int)?
        for candidate in names {
            let letters = Array(candidate.lowercased())
            let limit = max(1, min(wanted.count, letters.count) / 3)
            // Longer than any key: the work stays small whatever a file holds.
            guard wanted.count <= 64, letters.count <= 64,
                let distance = EditDistance.between(wanted, letters, atMost: limit)
            else { continue }
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
}
