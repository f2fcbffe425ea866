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
