import Vocabulary

// Policies are stored with the rollouts that run under them. These checks have keys that earlier builds did not write;
// when such a policy is read, they have their defaults.

extension Policy {
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            name: try values.decode(String.self, forKey: .name),
            description: try values.decode(String.self, forKey: .description),
            arguments: try values.decodeIfPresent([PolicyArgument].self, forKey: .arguments) ?? [],
            onNoData: try values.decode(NoDataRule.self, forKey: .onNoData),
            checks: try values.decode([Check].self, forKey: .checks))
    }
}

extension Check {
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            name: try values.decode(String.self, forKey: .name), kind: try values.decode(CheckKind.self, forKey: .kind),
            action: try CheckAction(storedIn: decoder), share: try values.decode(Double.self, forKey: .share),
            limits: try values.decode(ThresholdLimits.self, forKey: .limits))
    }
}

extension CheckAction {
    private enum StoredKeys: CodingKey { case action, mode }

    /// Decodes the action of a stored check or of its result. Earlier builds stored a `mode`, which was `enforce` or
    /// `observe`.
    public init(storedIn decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: StoredKeys.self)
        if let action = try values.decodeIfPresent(CheckAction.self, forKey: .action) {
            self = action
        } else {
            self = try values.decode(String.self, forKey: .mode) == "observe" ? .notify : .revert
        }
    }
}

extension ErrorsCheck {
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            max: try values.decodeIfPresent(Double.self, forKey: .max),
            maxIncrease: try values.decodeIfPresent(Double.self, forKey: .maxIncrease),
            floor: try values.decode(Double.self, forKey: .floor),
            statuses: try values.decode(ResponseSet.self, forKey: .statuses),
            unlessBaselineExceeds: try values.decodeIfPresent(Bool.self, forKey: .unlessBaselineExceeds) ?? false,
            from: try values.decode(ObservationOrigin.self, forKey: .from))
    }
}

extension LatencyCheck {
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            quantile: try values.decode(Double.self, forKey: .quantile),
            isDistribution: try values.decodeIfPresent(Bool.self, forKey: .isDistribution) ?? false,
            of: try values.decode(LatencyMeasure.self, forKey: .of),
            max: try values.decodeIfPresent(Duration.self, forKey: .max),
            maxIncrease: try values.decodeIfPresent(Double.self, forKey: .maxIncrease),
            floor: try values.decodeIfPresent(Duration.self, forKey: .floor) ?? .zero,
            unlessBaselineExceeds: try values.decodeIfPresent(Bool.self, forKey: .unlessBaselineExceeds) ?? false,
            from: try values.decode(ObservationOrigin.self, forKey: .from))
    }
}

extension QualityCheck {
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            measure: try values.decode(QualityMeasure.self, forKey: .measure),
            range: try values.decodeIfPresent(ScoreRange.self, forKey: .range),
            groups: try values.decode([GroupSelector].self, forKey: .groups),
            maxDrop: try values.decodeIfPresent(Double.self, forKey: .maxDrop),
            maxRise: try values.decodeIfPresent(Double.self, forKey: .maxRise),
            minSamples: try values.decode(Int.self, forKey: .minSamples),
            small: try values.decode(SmallGroupRule.self, forKey: .small),
            maturity: try values.decodeIfPresent(Duration.self, forKey: .maturity) ?? .zero)
    }
}
