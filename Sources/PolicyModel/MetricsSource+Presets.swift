extension MetricsSource {
    /// The presets that a configuration may name; what each reads is defined where scrapes are.
    public static let presetNames = ["reference", "triton", "mlserver", "bentoml"]
}
