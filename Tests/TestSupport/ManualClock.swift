import RolloutController
import RolloutEngine

/// Both clocks, moved by hand and together.
public final class ManualClock: ControlClock {
    public private(set) var now: Moment

    /// Begins at second 1 000 of the monotonic clock and at a round wall time.
    public init(now: Moment = Moment(monotonic: 1_000_000_000_000, wall: 1_800_000_000_000)) { self.now = now }

    public func advance(by time: Duration) {
        let nanoseconds = time.components.seconds * 1_000_000_000 + time.components.attoseconds / 1_000_000_000
        now.monotonic += nanoseconds
        now.wall += nanoseconds / 1_000_000
    }
}
