import Analysis
import HTTPEngine
import PolicyModel
import Statistics

/// The arm of a request, and the data about the assignment that are observed.
struct ArmAssignment {
    var arm: Arm
    /// The request's place in the split, in basis points.
    var place: UInt16
    /// A hash of the request's key, by which users are counted.
    var key: UInt32
    var flags: Observation.Flags
}

extension ServicePlan {
    /// Assigns a request to an arm: by a rule that matches it, else by the hash of its sticky key, else at random.
    func assign(_ request: RequestMessage, isTrusted: Bool, _ random: inout SplitMix64) -> ArmAssignment {
        var flags = Observation.Flags()
        let hash: UInt64
        if let key = stickyKey(request, isTrusted: isTrusted), key.count > 0 {
            hash = TrafficSplit.hash(key: UnsafeRawBufferPointer(key))
        } else {
            hash = random.next()
            if sticky != .none { flags.insert(.keyless) }
        }
        let place = TrafficSplit.place(of: hash, salt: split.salt)
        var arm: Arm = place < UInt64(split.candidate.basisPoints) ? .candidate : .baseline
        if matchCount > 0, let forced = matchedArm(request, isTrusted: isTrusted) {
            arm = forced
            flags.insert(.matched)
        } else if isJudged(request) {
            flags.insert(.judged)
        }
        return ArmAssignment(
            arm: hasCandidate ? arm : .baseline, place: UInt16(truncatingIfNeeded: place),
            key: UInt32(truncatingIfNeeded: TrafficSplit.mix(hash ^ split.salt)), flags: flags)
    }

    /// The condition under which the baseline gets this request if the candidate fails it. A request whose arm a header
    /// match chose is never sent to another arm.
    func rescue(of request: RequestMessage, _ assignment: ArmAssignment) -> RetryPolicy.Rescue {
        guard let rescue, assignment.arm == .candidate, !assignment.flags.contains(.matched) else { return .none }
        let isSafe =
            rescue.takesJudged && assignment.flags.contains(.judged)
            || isAmong(rescue.methods, rescue.methodCount, request.method)
            || isAmong(rescue.paths, rescue.pathCount, request.path)
        return isSafe ? .replayable : .unsent
    }

    @inline(__always) func plan(of arm: Arm) -> ArmPlan { arm == .candidate ? candidate : baseline }

    private func stickyKey(_ request: RequestMessage, isTrusted: Bool) -> UnsafeBufferPointer<UInt8>? {
        guard isTrusted || !stickyNeedsTrust else { return nil }
        return switch sticky {
        case .none: nil
        case .header: request.fields.value(named: stickyName)
        case .cookie: request.fields.cookie(named: stickyName)
        }
    }

    private func matchedArm(_ request: RequestMessage, isTrusted: Bool) -> Arm? {
        for place in 0..<matchCount {
            let rule = matches[place]
            if rule.needsTrust, !isTrusted { continue }
            if let value = request.fields.value(named: rule.name), rule.value.equals(value) { return rule.arm }
        }
        return nil
    }

    /// True if the request belongs to the judged population. An empty list of methods or paths means all.
    private func isJudged(_ request: RequestMessage) -> Bool {
        (methodCount == 0 || isAmong(methods, methodCount, request.method))
            && (pathCount == 0 || isAmong(paths, pathCount, request.path))
    }

    private func isAmong(_ list: UnsafeMutablePointer<Bytes>, _ count: Int, _ text: UnsafeBufferPointer<UInt8>) -> Bool
    {
        for place in 0..<count where list[place].equals(text) { return true }
        return false
    }
}
