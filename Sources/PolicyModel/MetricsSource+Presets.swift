extension MetricsSource {
    /// The names of the presets. PrometheusText defines what each preset reads.
    public static let presetNames = ["reference", "triton", "mlserver", "bentoml"]
}
