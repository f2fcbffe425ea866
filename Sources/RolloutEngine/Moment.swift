/// One instant, read on both clocks.
public struct Moment: Hashable, Codable, Sendable {
    /// Nanoseconds on a clock that never jumps; not comparable across restarts of the machine.
    public var monotonic: Int64
    /// Milliseconds since 1970 UTC, for display, the journal and everything that must outlive a restart.
    public var wall: Int64

    public init(monotonic: Int64, wall: Int64) {
        self.monotonic = monotonic
        self.wall = wall
    }
}
