import PolicyModel
import Statistics

/// The bounds of a check on errors or latency, as its measurements name them.
enum Bound: String {
    case ceiling, increase
}

/// The evidence for a promotion, that a rate is within its bounds in the current step. Each bound has a proof of its
/// own, and a promotion needs all of them, since a proof against the baseline says nothing about the ceiling.
struct RateProof: Hashable, Codable, Sendable {
    private var relative: NonInferiorityProcess?
    private var ceiling: NonInferiorityProcess?
    private var builder = StratumBuilder()
    /// Watches for the baseline's incidents, which are left out of both proofs. It continues from step to step.
    private var incidents = IncidentWatch()
    private var isIncident = false

    init(_ check: ErrorsCheck) { (relative, ceiling) = Self.processes(check) }

    private static func processes(_ check: ErrorsCheck) -> (NonInferiorityProcess?, NonInferiorityProcess?) {
        (
            check.maxIncrease.map {
                // No number of requests shows that equal arms differ by less than a factor of 1, and a factor just
                // above it takes too many; hence the minimum.
                NonInferiorityProcess(
                    margin: max(1 + $0, 1.05), floor: check.floor > 0 ? ErrorsProcess.clamp(check.floor) : nil)
            }, check.provenMax.map { NonInferiorityProcess(margin: nil, floor: ErrorsProcess.clamp($0)) }
        )
    }

    /// Starts the proof again, for the next step.
    mutating func restart(_ check: ErrorsCheck) {
        (relative, ceiling) = Self.processes(check)
        builder = StratumBuilder()
        isIncident = false
    }

    mutating func observe(_ tick: Stratum, seconds: Int, discount: Double) {
        incidents.observe(tick.baseline, seconds: seconds)
        isIncident = isIncident || incidents.isIncident(fewestHits: NonInferiorityProcess.incidentHits)
        guard builder.add([tick], seconds: seconds, discount: discount) else { return }
        relative?.observe(builder.open[0], discount: builder.discount, isIncident: isIncident)
        ceiling?.observe(builder.open[0], discount: builder.discount, isIncident: isIncident)
        builder.clear()
        isIncident = false
    }

    /// ln E of the bound with the weakest proof.
    var logEvidence: Double { min(relative?.logEvidence ?? .infinity, ceiling?.logEvidence ?? .infinity) }

    /// The bound with the weakest proof.
    var leastProven: Bound {
        guard let ceiling else { return .increase }
        guard let relative else { return .ceiling }
        return ceiling.logEvidence < relative.logEvidence ? .ceiling : .increase
    }

    /// See `NonInferiorityProcess.requestsNeeded`: the number for the bound that needs most; nil if one is never
    /// proven.
    func requestsNeeded(logThreshold: Double, rate: Double, share: Double, discount: Double) -> Double? {
        var most = 0.0
        for process in [relative, ceiling].compactMap(\.self) {
            guard
                let needed = process.requestsNeeded(
                    logThreshold: logThreshold, rate: rate, share: share, discount: discount)
            else { return nil }
            most = max(most, needed)
        }
        return most
    }
}
