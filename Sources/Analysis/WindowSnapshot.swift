import PolicyModel

/// The data that a judge evaluates at one tick.
public struct WindowSnapshot: Sendable {
    public var observations: ObservationWindow
    public var quality: QualityTable
    public var series: SeriesWindow

    public init(
        observations: ObservationWindow, quality: QualityTable = QualityTable(), series: SeriesWindow = SeriesWindow()
    ) {
        self.observations = observations
        self.quality = quality
        self.series = series
    }
}
