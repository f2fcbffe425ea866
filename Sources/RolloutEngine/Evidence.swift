import Analysis
import PolicyModel

/// The evidence that the judge of a service has gathered, with the counts behind it. It is stored with the service's
/// state, so that a restarted agent continues where it was.
public struct Evidence: Hashable, Codable, Sendable {
    /// The id of the rollout that was judged; empty if none was.
    public var rollout: String
    /// The version that `profile` describes.
    public var serving: VersionIdentity
    public var judge: Judge
    /// The profile of the serving version.
    public var profile: BaselineProfile
    public var quality: QualityTable
    public var sinceStart: [OutcomeCounts]
    public var sinceStep: [OutcomeCounts]
    /// The current step. The judge counts the same steps, but learns of a new one only with the first tick of it.
    public var step: UInt16

    public init(
        rollout: String, serving: VersionIdentity, judge: Judge, profile: BaselineProfile = BaselineProfile(),
        quality: QualityTable = QualityTable(), sinceStart: [OutcomeCounts], sinceStep: [OutcomeCounts],
        step: UInt16 = 0
    ) {
        self.rollout = rollout
        self.serving = serving
        self.judge = judge
        self.profile = profile
        self.quality = quality
        self.sinceStart = sinceStart
        self.sinceStep = sinceStep
        self.step = step
    }
}

// During a rollout the profile is the judge's own, which is then stored once.
extension Evidence {
    private enum CodingKeys: CodingKey {
        case rollout, serving, judge, profile, quality, sinceStart, sinceStep, step
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let judge = try values.decode(Judge.self, forKey: .judge)
        self.init(
            rollout: try values.decode(String.self, forKey: .rollout),
            serving: try values.decode(VersionIdentity.self, forKey: .serving), judge: judge,
            profile: try values.decodeIfPresent(BaselineProfile.self, forKey: .profile) ?? judge.profile
                ?? BaselineProfile(),
            quality: try values.decode(QualityTable.self, forKey: .quality),
            sinceStart: try values.decode([OutcomeCounts].self, forKey: .sinceStart),
            sinceStep: try values.decode([OutcomeCounts].self, forKey: .sinceStep),
            step: try values.decode(UInt16.self, forKey: .step))
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(rollout, forKey: .rollout)
        try values.encode(serving, forKey: .serving)
        try values.encode(judge, forKey: .judge)
        if judge.profile != profile { try values.encode(profile, forKey: .profile) }
        try values.encode(quality, forKey: .quality)
        try values.encode(sinceStart, forKey: .sinceStart)
        try values.encode(sinceStep, forKey: .sinceStep)
        try values.encode(step, forKey: .step)
    }
}
