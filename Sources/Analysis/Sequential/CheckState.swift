import PolicyModel
import Statistics

/// A check that has a share of the risk, with its evidence.
struct CheckState: Hashable, Sendable {
    /// The names of policy and check, `policy/check`, by which a check finds its state.
    let path: String
    let check: Check
    /// The check's share of the risk, 0 ... 1.
    let weight: Double
    var process: CheckProcess
    private(set) var trace = EvidenceTrace()
    /// An estimate of how many more requests of the candidate the proof needs; nil if no number suffices, or if too few
    /// came so far for an estimate.
    private(set) var needed: Double?
    /// The number of the candidate's requests in the step from which `needed` was estimated.
    private(set) var neededFrom = 0

    init(_ path: String, _ check: Check, weight: Double, _ process: CheckProcess) {
        self.path = path
        self.check = check
        self.weight = weight
        self.process = process
    }

    /// The latency that a latency check measures; nil for other checks.
    var measure: LatencyMeasure? { if case .latency(let latency) = check.kind { latency.of } else { nil } }

    /// True if the state is that of this check of this policy.
    func isOf(_ policy: Policy, _ check: Check) -> Bool {
        self.check.name == check.name && path.utf8.count == policy.name.utf8.count + 1 + check.name.utf8.count
            && path.utf8.starts(with: policy.name.utf8)
    }

    mutating func trace(at second: Int64) { trace.record(process.evidence.value, at: second) }

    mutating func estimate(logThreshold: Double) {
        neededFrom = process.progress?.requests ?? 0
        needed = process.requestsNeeded(logThreshold: logThreshold)
    }
}

/// A state is stored with its process under a key that names the kind of check.
extension CheckState: Codable {
    private enum CodingKeys: String, CodingKey {
        case path, check, weight, errors, clientErrors, latency, quality, trace, needed, neededFrom
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        path = try values.decode(String.self, forKey: .path)
        check = try values.decode(Check.self, forKey: .check)
        weight = try values.decode(Double.self, forKey: .weight)
        if let process = try values.decodeIfPresent(ErrorsProcess.self, forKey: .errors) {
            self.process = .errors(CopyOnWrite(process))
        } else if let process = try values.decodeIfPresent(ClientErrorsProcess.self, forKey: .clientErrors) {
            self.process = .clientErrors(CopyOnWrite(process))
        } else if let process = try values.decodeIfPresent(LatencyProcess.self, forKey: .latency) {
            self.process = .latency(CopyOnWrite(process))
        } else {
            process = .quality(CopyOnWrite(try values.decode(GroupsProcess.self, forKey: .quality)))
        }
        trace = try values.decode(EvidenceTrace.self, forKey: .trace)
        needed = try values.decodeIfPresent(Double.self, forKey: .needed)
        neededFrom = try values.decode(Int.self, forKey: .neededFrom)
    }

    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(path, forKey: .path)
        try values.encode(check, forKey: .check)
        try values.encode(weight, forKey: .weight)
        switch process {
        case .errors(let process): try values.encode(process.value, forKey: .errors)
        case .clientErrors(let process): try values.encode(process.value, forKey: .clientErrors)
        case .latency(let process): try values.encode(process.value, forKey: .latency)
        case .quality(let process): try values.encode(process.value, forKey: .quality)
        }
        try values.encode(trace, forKey: .trace)
        try values.encodeIfPresent(needed, forKey: .needed)
        try values.encode(neededFrom, forKey: .neededFrom)
    }
}
