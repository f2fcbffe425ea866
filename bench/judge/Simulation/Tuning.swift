/// Finds, for each kind of peer and each rate, the setting of a grid that detects most, and then soonest, among those that
/// keep false reverts at or below 1 %. Tuning uses other random numbers than the measurement.
struct Tuning {
    struct Choice<Setting> {
        var setting: Setting
        /// True if a setting keeps false reverts at or below 1 %; else `setting` is the one with the fewest.
        var isMet: Bool
    }

    static let flaggers: [Flagger] = [1, 2, 4, 10].flatMap { interval in
        [1, 2, 3, 5, 7, 10, 15, 20, 30].flatMap { threshold in
            bounds.map { Flagger(interval: interval, threshold: threshold, bounds: $0) }
        }
    }
    static let argos: [Argo] = [1, 2, 4, 10].flatMap { interval in
        [0, 1, 2, 3, 5, 8, 12, 20].flatMap { limit in
            bounds.map { Argo(interval: interval, failureLimit: limit, bounds: $0) }
        }
    }
    static let kayentas: [Kayenta] = [10, 20, 30, 60].flatMap { points in
        [0.95, 0.98].flatMap { confidence in
            [0.1, 0.25, 0.5].map { Kayenta(points: points, confidence: confidence, tolerance: $0) }
        }
    }
    private static let bounds: [Bounds] = [0.003, 0.005, 0.01, 0.02, 0.05].flatMap { errors in
        Trace.ceilings.indices.map { Bounds(errors: errors, ceiling: $0) }
    }

    /// - Parameters:
    ///   - healthy: sound rollouts by scenario.
    ///   - bad: harmful rollouts by scenario.
    ///   - run: applies a setting to one rollout.
    static func best<Setting, Course>(
        _ grid: [Setting], healthy: [[Course]], bad: [[Course]], _ run: (Setting, Course) -> Ending
    ) -> Choice<Setting> {
        var best: (score: (Double, Double), setting: Setting)?
        var leastFalse: (share: Double, setting: Setting) = (2, grid[0])
        for setting in grid {
            var worst = 0.0
            for scenario in healthy {
                let reverts = scenario.count { run(setting, $0).kind == .reverted }
                worst = max(worst, Double(reverts) / Double(scenario.count))
                if worst > 0.01 && worst >= leastFalse.share { break }
            }
            if worst < leastFalse.share { leastFalse = (worst, setting) }
            guard worst <= 0.01 else { continue }
            var caught = 0.0
            var effort = 0.0
            for scenario in bad {
                let cell = Cell(scenario.map { run(setting, $0) })
                caught += cell.shareReverted
                effort += logTwo(cell.medianRequests ?? 1_000_000)
            }
            // Detection in one more scenario outweighs any speed; among equals, speed decides.
            let score = ((caught * 20).rounded() / 20, -effort)
            if best == nil || score > best!.score { best = (score, setting) }
        }
        if let best { return Choice(setting: best.setting, isMet: true) }
        return Choice(setting: leastFalse.setting, isMet: false)
    }

    private static func logTwo(_ x: Int) -> Double {
        Double(Int.bitWidth - 1 - max(x, 1).leadingZeroBitCount)
            + Double(max(x, 1)) / Double(1 << (Int.bitWidth - 1 - max(x, 1).leadingZeroBitCount)) - 1
    }
}
