import Statistics

/// A process whose check is judged as a whole.
protocol ProgressingProcess {
    /// ln E for a revert, and the bound with the strongest evidence.
    var evidence: (value: Double, part: String) { get }
    /// ln E for a promotion.
    var proofEvidence: Double { get }
    /// The requests that were judged in the current step.
    var sinceStep: Stratum { get }
    /// The number of seconds of the current step that were judged.
    var secondsInStep: Int64 { get }
    /// False while the process does not know yet what it compares with.
    var isReady: Bool { get }
}

/// What the evidence of a check says at one moment, read from its process at once, since each reading of a process
/// copies it.
struct CheckProgress {
    let evidence: (value: Double, part: String)
    let proof: Double
    /// The number of the candidate's requests that were judged in the current step.
    let requests: Int
    let seconds: Int64
    let isReady: Bool

    init(_ process: some ProgressingProcess) {
        evidence = process.evidence
        proof = process.proofEvidence
        requests = process.sinceStep.candidate.trials
        seconds = process.secondsInStep
        isReady = process.isReady
    }
}

extension ErrorsProcess: ProgressingProcess {
    var isReady: Bool { true }
}

extension ClientErrorsProcess: ProgressingProcess {
    var sinceStep: Stratum { clientErrors.sinceStep }
    var secondsInStep: Int64 { clientErrors.secondsInStep }
    var isReady: Bool { true }
}

extension LatencyProcess: ProgressingProcess {}
