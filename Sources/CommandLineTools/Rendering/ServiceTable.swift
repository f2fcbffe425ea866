import AdminTypes

/// Formats services as a table with one line for each.
enum ServiceTable {
    static func lines(_ services: [ServiceStatus], colored: Bool) -> [String] {
        var table = Table(
            ("SERVICE", .left), ("PHASE", .left), ("SERVING", .left), ("CANDIDATE", .left), ("WEIGHT", .right),
            ("VERDICT", .left), ("NEXT", .left))
        for status in services {
            let verdict = status.evaluation?.verdict
            table.add(
                Cell(status.service, .bold), Cell(Words.phase(status)), Cell(status.serving),
                Cell(status.rollout?.candidate ?? Words.nothing),
                Cell(status.rollout == nil ? Words.nothing : status.candidateWeight.words),
                Cell(verdict?.words ?? Words.nothing, verdict?.style ?? .plain), Cell(status.next))
        }
        return table.lines(colored: colored)
    }
}
