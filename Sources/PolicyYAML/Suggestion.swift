import PolicyModel

/// Suggests the most similar valid name for an invalid one.
enum Suggestion {
    /// The most similar name; nil if none is within one edit for short names, or one edit per three letters for longer
    /// ones.
    static func nearest<Names: Sequence>(to name: String, in names: Names) -> String? where Names.Element == String {
        let wanted = Array(name.lowercased())
        var best: (name: String, distance: Int)?
        for candidate in names {
            let letters = Array(candidate.lowercased())
            let limit = max(1, min(wanted.count, letters.count) / 3)
            // No key is longer than 64 letters. The limit bounds the work for hostile files.
            guard wanted.count <= 64, letters.count <= 64,
                let distance = EditDistance.between(wanted, letters, atMost: limit)
            else { continue }
            // A name with the same letters is preferred to another that is equally similar: `p95` to `p50` for `p59`.
            let swapped = distance == best?.distance && letters.sorted() == wanted.sorted()
            if swapped || distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.name
    }

    /// A question such as `did you mean 'checks'?`, or the list of all names if none is similar.
    static func hint<Names: Collection>(for name: String, among names: Names) -> String
    where Names.Element == String {
        if let near = nearest(to: name, in: names) { return "did you mean '\(near)'?" }
        return names.isEmpty ? "there is none to choose from" : "write one of " + names.joined(separator: ", ")
    }
}
