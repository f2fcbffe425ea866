extension FixedWidthInteger {
    /// The nearest whole number that fits; 0 for NaN. Only for what is shown to people or for a size that is bounded
    /// anyway: a saturated count is no evidence, `Proportion.init(counted:of:)` refuses such numbers.
    @inlinable public init(saturating value: Double) {
        let rounded = value.rounded()
        if let exact = Self(exactly: rounded) {
            self = exact
        } else if rounded.isNaN {
            self = 0
        } else {
            self = rounded < 0 ? .min : .max
        }
    }
}
