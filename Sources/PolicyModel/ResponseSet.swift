/// How a request ended, as one number: the status of its final response, or `success` or `failure`.
public struct ResponseCode: RawRepresentable, ExpressibleByIntegerLiteral, Hashable, Comparable, Codable, Sendable,
    CustomStringConvertible
{
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public init(integerLiteral value: UInt16) { rawValue = value }

    /// Any 1xx or 2xx, and 304, which is the success of a conditional request.
    public static let success: Self = 0
    /// No response, or none that was complete: a failed or reset connection, a timeout, a truncated response.
    public static let failure: Self = 1
    /// The largest code that there is; a code fits into ten bits.
    public static let largest: Self = 599

    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    public var description: String { "\(rawValue)" }
}

/// A set of endings of requests, such as those that a check counts against a version.
public struct ResponseSet: Hashable, Codable, Sendable {
    /// Ascending, without overlaps and without neighbors that could be one range.
    public private(set) var ranges: [ClosedRange<UInt16>] = []

    public init() {}

    public init(_ ranges: ClosedRange<UInt16>...) {
        for range in ranges { insert(range) }
    }

    public static let serverErrors = ResponseSet(500...599)
    /// The errors that a check counts by default: 5xx, and requests without a whole response.
    public static let errors = ErrorsCheck().counted
    /// Every 4xx but 499, which says that the client left.
    public static let clientErrors = ResponseSet(400...498)
    /// Every 3xx but 304.
    public static let redirects = ResponseSet(300...303, 305...399)

    public var isEmpty: Bool { ranges.isEmpty }

    public func contains(_ code: ResponseCode) -> Bool { ranges.contains { $0.contains(code.rawValue) } }

    public mutating func insert(_ range: ClosedRange<UInt16>) {
        var low = range.lowerBound
        var high = range.upperBound
        var apart: [ClosedRange<UInt16>] = []
        // There are gaps between the ranges, so a range that is joined reaches no other one.
        for other in ranges {
            if Int(other.upperBound) + 1 < Int(low) || Int(other.lowerBound) > Int(high) + 1 {
                apart.append(other)
            } else {
                (low, high) = (min(low, other.lowerBound), max(high, other.upperBound))
            }
        }
        ranges = (apart + [low...high]).sorted { $0.lowerBound < $1.lowerBound }
    }

    public mutating func insert(_ code: ResponseCode) { insert(code.rawValue...code.rawValue) }

    public mutating func formUnion(_ other: ResponseSet) {
        for range in other.ranges { insert(range) }
    }

    public func subtracting(_ other: ResponseSet) -> ResponseSet {
        var left = ranges
        for cut in other.ranges {
            left = left.flatMap { range -> [ClosedRange<UInt16>] in
                guard range.overlaps(cut) else { return [range] }
                var parts: [ClosedRange<UInt16>] = []
                if range.lowerBound < cut.lowerBound { parts.append(range.lowerBound...cut.lowerBound - 1) }
                if range.upperBound > cut.upperBound { parts.append(cut.upperBound + 1...range.upperBound) }
                return parts
            }
        }
        var result = ResponseSet()
        result.ranges = left
        return result
    }
}

extension ErrorsCheck {
    /// The endings that this check counts as errors.
    public var counted: ResponseSet {
        var counted = statuses
        counted.insert(.failure)
        return counted
    }
}

/// The endings that a check on client errors counts, in two sets that are compared separately.
public struct ClientErrorSets: Hashable, Sendable {
    /// One of the two sets, by the name that results show.
    public enum Part: String, CaseIterable, Sendable {
        case clientErrors = "4xx"
        case redirects = "3xx"
    }

    public let clientErrors: ResponseSet
    public let redirects: ResponseSet

    public subscript(part: Part) -> ResponseSet {
        switch part {
        case .clientErrors: clientErrors
        case .redirects: redirects
        }
    }

    /// - Parameter policies: all policies of a rollout. A check on client errors leaves out the statuses that an
    ///   required check on errors counts.
    public init(_ policies: [Policy]) {
        var taken = ResponseSet()
        for policy in policies {
            for case .errors(let errors) in policy.checks.filter(\.action.isRequired).map(\.kind)
            where errors.from == .proxy {
                taken.formUnion(errors.statuses)
            }
        }
        clientErrors = ResponseSet.clientErrors.subtracting(taken)
        redirects = ResponseSet.redirects.subtracting(taken)
    }
}

extension Policy {
    /// Every set that checks of these policies count from the proxy's observations, without repeats.
    public static func counted(_ policies: [Policy]) -> [ResponseSet] {
        var sets: [ResponseSet] = []
        func add(_ set: ResponseSet) { if !sets.contains(set) { sets.append(set) } }
        for check in policies.flatMap(\.checks) {
            switch check.kind {
            case .errors(let errors) where errors.from == .proxy: add(errors.counted)
            case .clientErrors:
                let sets = ClientErrorSets(policies)
                ClientErrorSets.Part.allCases.forEach { add(sets[$0]) }
            case .errors, .latency, .quality, .metric: break
            }
        }
        return sets
    }
}
