import PolicyModel

extension PolicyReader {
    func errors(_ check: Section) -> ErrorsCheck? {
        let keys = ["max", "maxIncrease", "floor", "statuses", "unlessBaselineExceeds", "from"]
        guard let part = check.section("errors", "errors", keys: keys) else { return nil }
        let value = ErrorsCheck(
            max: part.fraction("max"), maxIncrease: part.increase("maxIncrease"), floor: part.fraction("floor") ?? 0,
            statuses: statuses(part) ?? .serverErrors, unlessBaselineExceeds: waivesCeiling(part),
            from: origin(part))
        if value.from == .scrape, part.has("statuses") {
            report.error(
                part.mark("statuses"),
                "the proxy sees statuses, a scrape has the server's own count of failures: remove 'statuses'")
        }
        needsBound(part, ["max", "maxIncrease"], example: "max: 1%")
        if part.has("floor"), !part.has("maxIncrease") {
            report.error(
                part.mark("floor"),
                "'floor' says which rates are too small for 'maxIncrease': write that too, or remove it")
        } else if let max = value.max, value.floor > 0, value.floor >= max {
            report.error(
                part.mark("floor"),
                "a floor of \(Units.percent(value.floor)) at or above the ceiling of \(Units.percent(max)) leaves nothing"
                    + " to 'maxIncrease': write a lower one")
        }
        return value
    }

    /// Reads the statuses that count as errors: classes and codes.
    private func statuses(_ part: Section) -> ResponseSet? {
        guard let items = part.list("statuses", "'statuses'", atMost: ConfigurationLimits.statuses) else { return nil }
        if items.isEmpty {
            report.error(part.mark("statuses"), "'statuses' is empty: write [5xx], or remove it for the same")
        }
        var statuses = ResponseSet()
        for item in items {
            let range = report.read(item, "5xx or 429") { (text) throws(InvalidValue) -> ClosedRange<UInt16> in
                let range = try Self.status(text)
                guard !range.allSatisfy({ statuses.contains(ResponseCode(rawValue: $0)) }) else {
                    throw InvalidValue("is repeated, or part of what stands before it: remove it")
                }
                return range
            }
            if let range { statuses.insert(range) }
        }
        if !statuses.isEmpty, !ResponseSet.serverErrors.subtracting(statuses).isEmpty {
            report.warning(
                part.mark("statuses"),
                "5xx that 'statuses' does not list count as no error: add 5xx, unless that is meant")
        }
        return statuses
    }

    private static func status(_ text: String) throws(InvalidValue) -> ClosedRange<UInt16> {
        let classes: [String: ClosedRange<UInt16>] = ["3xx": 300...399, "4xx": 400...499, "5xx": 500...599]
        if let range = classes[text.lowercased()] { return range }
        if let code = UInt16(text), text.utf8.count == 3 {
            guard (300...599).contains(code) else {
                throw InvalidValue("is out of range: write statuses from 300 to 599")
            }
            return code...code
        }
        throw InvalidValue("is no status: write a class such as 5xx, or a code such as 429")
    }

    func clientErrors(_ check: Section) -> ClientErrorsCheck? {
        guard let part = check.section("clientErrors", "clientErrors", keys: ["maxIncrease", "floor"]) else {
            return nil
        }
        part.require("maxIncrease", "maxIncrease: 50%")
        return ClientErrorsCheck(
            maxIncrease: part.increase("maxIncrease") ?? 0, floor: part.fraction("floor") ?? 0)
    }

    func latency(_ check: Section) -> LatencyCheck? {
        let keys = [
            "quantile", "distribution", "of", "max", "maxIncrease", "floor", "unlessBaselineExceeds", "from",
        ]
        guard let part = check.section("latency", "latency", keys: keys) else { return nil }
        let isDistribution = part.boolean("distribution") ?? false
        if !isDistribution { part.require("quantile", "quantile: p95") }
        let value = LatencyCheck(
            quantile: part.read("quantile", "p95", Units.quantile)
                ?? (isDistribution ? LatencyCheck.shownOfDistribution : 0.95),
            isDistribution: isDistribution,
            of: part.choice("of", [("total", LatencyMeasure.total), ("firstByte", .firstByte)]) ?? .total,
            max: part.duration("max"), maxIncrease: part.increase("maxIncrease"),
            floor: part.duration("floor") ?? .zero, unlessBaselineExceeds: waivesCeiling(part), from: origin(part))
        if isDistribution {
            for key in ["quantile", "max"] where part.has(key) {
                report.error(
                    part.mark(key),
                    "a check on the distribution compares the arms at several quantiles: remove '\(key)', or give it a "
                        + "check of its own")
            }
            needsBound(part, ["maxIncrease"], example: "maxIncrease: 15%")
        } else {
            needsBound(part, ["max", "maxIncrease"], example: "max: 200ms")
        }
        if part.has("floor"), !part.has("maxIncrease") {
            report.error(
                part.mark("floor"),
                "'floor' says which increases are too small for 'maxIncrease': write that too, or remove it")
        }
        if value.of == .firstByte, value.from == .scrape {
            report.error(part.mark("from"), "the first byte is seen by the proxy alone: remove from: scrape")
        }
        return value
    }

    /// True if a proof of `maxIncrease` makes that of `max` unnecessary.
    private func waivesCeiling(_ part: Section) -> Bool {
        guard part.boolean("unlessBaselineExceeds") ?? false else { return false }
        if !part.means("max") || !part.means("maxIncrease") {
            report.error(
                part.mark("unlessBaselineExceeds"),
                "'unlessBaselineExceeds' accepts a candidate above 'max' that keeps 'maxIncrease': write both, or remove "
                    + "it")
        }
        return true
    }

    private func origin(_ part: Section) -> ObservationOrigin {
        part.choice("from", [("proxy", ObservationOrigin.proxy), ("scrape", .scrape)]) ?? .proxy
    }

    /// Reports a section that has none of its bounds.
    private func needsBound(_ part: Section, _ bounds: [String], example: String) {
        guard !bounds.contains(where: part.means) else { return }
        let names = bounds.map { "'\($0)'" }.joined(separator: " or ")
        report.error(part.mark, "'\(part.what)' has no bound: write \(names), such as \(example)")
    }

    func quality(_ check: Section) -> QualityCheck? {
        let keys = ["measure", "groups", "maxDrop", "maxRise", "range", "from", "minSamples", "small", "maturity"]
        guard let part = check.section("quality", "quality", keys: keys) else { return nil }
        part.require("measure", "measure: recall")
        part.require("maturity", "maturity: 10m, the time within which nearly all labels come after their requests")
        let measures = QualityMeasure.allCases.map { ($0.rawValue, $0) }
        let later = ["disagreement": "compares mirrored answers, which comes with a later release: choose another"]
        let measure = part.choice("measure", measures, refused: later)
        let range = measure == .score ? scoreRange(part) : nil
        if part.has("range"), let measure, measure != .score {
            report.error(part.mark("range"), "'range' is of scores: remove it, or write measure: score")
        }
        let isRangeBroken = measure == .score && part.has("range") && range == nil
        let bound = { (key: String) -> Double? in
            // In which unit a bound is written is not known then.
            guard !isRangeBroken else { return nil }
            return part.read(key, range == nil ? "5pp" : "5") { (text) throws(InvalidValue) -> Double in
                if let range { return try Self.bound(text, of: range) }
                let value = try Units.points(text)
                guard value > 0, value <= 1 else {
                    throw InvalidValue("is out of range: write more than 0pp and at most 100pp")
                }
                return value
            }
        }
        let value = QualityCheck(
            measure: measure ?? .accuracy, range: range, groups: groups(part), maxDrop: bound("maxDrop"),
            maxRise: bound("maxRise"),
            minSamples: part.integer("minSamples", in: 1...1_000_000_000) ?? 100,
            small: part.choice("small", [("report", SmallGroupRule.report), ("block", .block)]) ?? .block,
            maturity: part.duration("maturity", atLeast: .seconds(1), atMost: QualityCheck.longestMaturity) ?? .zero)
        let example = measure == .falsePositiveRate ? "maxRise: 5pp" : "maxDrop: 5pp"
        needsBound(part, ["maxDrop", "maxRise"], example: example)
        if measure == .falsePositiveRate, part.has("maxDrop"), !part.has("maxRise") {
            report.warning(
                part.mark("maxDrop"), "a fall of the false positive rate is no harm: 'maxRise' is mostly meant")
        }
        _ = part.choice(
            "from", [("feedback", true)], refused: ["proxy": "sees no labels: write feedback, or remove the key"])
        return value
    }

    /// Reads a range such as `[0, 100]`; nil if it is not written, or invalid.
    private func scoreRange(_ part: Section) -> ScoreRange? {
        guard let items = part.list("range", "'range'", atMost: 2) else { return nil }
        let bounds = items.compactMap { item in
            report.read(item, "100") { (text) throws(InvalidValue) -> Double in
                guard let value = Units.number(Substring(text)) else {
                    throw InvalidValue("is no number: write one such as 100")
                }
                return value
            }
        }
        guard bounds.count == items.count else { return nil }
        guard bounds.count == 2, let range = ScoreRange(bounds[0], bounds[1]) else {
            report.error(
                part.mark("range"),
                "'range' is the least and the greatest score, at most a billion apart from zero: write [0, 100]")
            return nil
        }
        return range
    }

    /// A bound on scores of a declared range, in their own unit.
    private static func bound(_ text: String, of range: ScoreRange) throws(InvalidValue) -> Double {
        if text.hasSuffix("%") || text.hasSuffix("pp") {
            throw InvalidValue("has a unit, and scores of \(range) have their own: write a number such as 5")
        }
        guard let value = Units.number(Substring(text)) else { throw InvalidValue("is no number: write one such as 5") }
        guard value > 0, value <= range.width else {
            throw InvalidValue("is out of range: write more than 0 and at most \(Units.decimal(range.width))")
        }
        return value
    }

    /// A row of feedback has one score, so all checks on it have one range.
    func oneScoreRange(_ checks: [Check], _ marks: [String: Mark]) {
        var first: (name: String, range: ScoreRange)?
        for check in checks {
            guard case .quality(let quality) = check.kind, quality.measure == .score else { continue }
            let range = quality.range ?? .unit
            if let first, first.range != range, let mark = marks[check.name] {
                report.error(
                    mark,
                    "check '\(check.name)' takes scores of \(range), and '\(first.name)' of \(first.range): a row has one "
                        + "score, so give both the same range")
            }
            first = first ?? (check.name, range)
        }
    }

    private func groups(_ part: Section) -> [GroupSelector] {
        guard let items = part.list("groups", "'groups'", atMost: ConfigurationLimits.groups) else { return [] }
        if items.isEmpty {
            report.error(part.mark("groups"), "'groups' is empty: write [sex], or remove it to judge all rows as one")
        }
        var seen: [GroupSelector] = []
        for item in items {
            let selector = report.read(item, "sex or sex=Female") { (text) throws(InvalidValue) -> GroupSelector in
                let selector = try Self.group(text)
                if seen.contains(selector) { throw InvalidValue("is repeated: remove one of them") }
                let whole = GroupSelector(attribute: selector.attribute)
                if selector.value != nil, seen.contains(whole) {
                    throw InvalidValue("is part of '\(whole)', written before it: remove one of them")
                }
                if selector.value == nil, let value = seen.first(where: { $0.attribute == selector.attribute }) {
                    throw InvalidValue("holds '\(value)', written before it: remove one of them")
                }
                return selector
            }
            if let selector { seen.append(selector) }
        }
        return seen
    }

    private static func group(_ text: String) throws(InvalidValue) -> GroupSelector {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let tidy = parts.allSatisfy { part in
            !part.isEmpty && part.utf8.count <= 128 && part.first != " " && part.last != " "
                && part.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) }
        }
        guard tidy else {
            throw InvalidValue(
                "is no group: write an attribute such as sex, or one value such as sex=Female, each of at most 128 bytes"
            )
        }
        return GroupSelector(attribute: parts[0], value: parts.count == 2 ? parts[1] : nil)
    }

    func metric(_ check: Section) -> MetricCheck? {
        let keys = ["series", "aggregate", "max", "min", "maxIncrease", "floor", "for", "absent"]
        guard let part = check.section("metric", "metric", keys: keys) else { return nil }
        part.require("series", "series: nv_gpu_memory_used_bytes")
        part.require("aggregate", "aggregate: max")
        let series = part.read("series", "up", SeriesSelector.checked)
        let aggregate = part.read("aggregate", "max", Self.aggregate)
        let most = part.read("max", "70GiB", Units.measure)
        let least = part.read("min", "1", Units.measure)
        let accepted = part.read("floor", "0.1", Units.measure)
        let value = MetricCheck(
            series: series ?? "", aggregate: aggregate ?? .max, max: most?.value, min: least?.value,
            maxIncrease: part.increase("maxIncrease"), floor: accepted?.value, forScrapes: scrapes(part),
            absent: part.choice("absent", [("zero", AbsentSeriesRule.zero)]),
            unit: [most, least, accepted].lazy.compactMap { $0?.unit }.first)
        if let series, let aggregate, let name = PresetSeriesName(series: series), !name.allows(aggregate) {
            let fitting =
                switch name.kind {
                case .gauge: "max, min, sum or mean"
                case .counter: "rate"
                case .histogram: "p95 or another quantile"
                }
            report.error(
                part.mark("aggregate"),
                "'aggregate' does not fit \(series), which is a \(name.kind): write \(fitting)")
        }
        needsBound(part, ["max", "min", "maxIncrease"], example: "max: 70GiB")
        if let max = value.max, let min = value.min, min > max {
            report.error(part.mark("min"), "'min' lies above 'max', so nothing passes: swap them")
        }
        if part.has("maxIncrease") {
            switch aggregate {
            case .rate, .quantile, nil: break
            case .max, .min, .sum, .mean:
                report.error(
                    part.mark("maxIncrease"),
                    "'maxIncrease' compares what happened in both arms: write aggregate: rate or p95, or a plain 'max'")
            }
        }
        floor(part, aggregate, value)
        if part.has("absent"), case .quantile = aggregate {
            report.error(
                part.mark("absent"),
                "a histogram that is not shown has no quantile, not one of 0: remove 'absent', or write aggregate: rate"
            )
        }
        return value
    }

    /// The floor of `maxIncrease`, which a rate cannot do without.
    private func floor(_ part: Section, _ aggregate: MetricAggregate?, _ value: MetricCheck) {
        if aggregate == .rate, part.has("maxIncrease"), !part.has("floor") {
            report.error(
                part.mark("maxIncrease"),
                "a rate needs 'floor' beside 'maxIncrease': where the baseline counted nothing, the candidate's first"
                    + " event would be beyond the bound. Write how many a second never matter, such as floor: 0.1")
        }
        guard let floor = value.floor else { return }
        if !part.has("maxIncrease") {
            report.error(
                part.mark("floor"),
                "'floor' says which values are too small for 'maxIncrease': write that too, or remove it")
        } else if floor <= 0 {
            report.error(
                part.mark("floor"), "a floor of \(Units.decimal(floor)) or less spares nothing: write more than 0")
        } else if let max = value.max, floor >= max {
            report.error(
                part.mark("floor"),
                "a floor of \(Units.decimal(floor)) at or above 'max' leaves nothing to 'maxIncrease': write a lower one"
            )
        }
    }

    private func scrapes(_ part: Section) -> Int {
        part.read("for", "3") { (text) throws(InvalidValue) -> Int in
            if Double(text) == nil, (try? Units.duration(text)) != nil {
                throw InvalidValue("is a time, and this counts scrapes in a row: write 3")
            }
            let value = try Units.integer(text)
            guard (1...1000).contains(value) else { throw InvalidValue("is out of range: write 1 to 1000 scrapes") }
            return value
        } ?? 1
    }

    private static func aggregate(_ text: String) throws(InvalidValue) -> MetricAggregate {
        let plain: [(String, MetricAggregate)] = [
            ("max", .max), ("min", .min), ("sum", .sum), ("mean", .mean), ("rate", .rate),
        ]
        if let match = plain.first(where: { $0.0 == text }) { return match.1 }
        if text == "avg" { throw InvalidValue("is not known here: did you mean 'mean'?") }
        if text.hasPrefix("p"), text.dropFirst().first?.isNumber == true { return .quantile(try Units.quantile(text)) }
        if Units.number(Substring(text)) != nil { return .quantile(try Units.quantile(text)) }
        throw InvalidValue("is not known here: \(Suggestion.hint(for: text, among: plain.map(\.0) + ["p95"]))")
    }
}
