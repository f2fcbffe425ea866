// Presets of servers that ran while canaryd was developed. Tests/PrometheusTextTests/Fixtures has a page of each.

extension MetricsPreset {
    /// canaryd's own reference model server. Its histogram has no status, so it holds failed requests too.
    static let reference = MetricsPreset(
        "reference", "canaryd's reference server", .ran("this repository"),
        requests: [PresetSeries("reference_requests_total", where: [LabelMatcher("code", .startsNotWith("4"))])],
        errors: .counted([PresetSeries("reference_requests_total", where: [LabelMatcher("code", .startsWith("5"))])]),
        latency: .histogram(PresetSeries("reference_request_duration_seconds"), excludesErrors: true),
        series: [.waiting: PresetSeries("reference_queue_depth")], modelLabel: "model")

    /// NVIDIA Triton. Its counters leave out what never reached a model (bad requests, unknown models). A canceled
    /// request is the client's doing; a rejected one found the queue full.
    static let triton = {
        let failures = PresetSeries(
            "nv_inference_request_failure", where: [LabelMatcher("reason", .differs("CANCELED"))])
        return MetricsPreset(
            "triton", "NVIDIA Triton", .ran("Triton 2.51"), port: .fixed(8002),
            switchedOnBy: "start Triton without --allow-metrics=false",
            requests: [PresetSeries("nv_inference_request_success"), failures], errors: .counted([failures]),
            latency: .unavailable(
                "Triton counts total time only (nv_inference_request_duration_us), which gives a mean and no quantile; "
                    + "use from: proxy"),
            series: [
                .firstToken: PresetSeries("nv_inference_first_response_histogram_ms", scale: 0.001),
                .waiting: PresetSeries("nv_inference_pending_request_count"),
                .saturation: PresetSeries("nv_gpu_utilization", hasModel: false),
            ], modelLabel: "model")
    }()

    /// Seldon MLServer. Requests by model come from the model's own counters, which REST and gRPC share; the
    /// histogram is of REST only and does not name the model.
    static let mlserver = MetricsPreset(
        "mlserver", "Seldon MLServer", .ran("MLServer 1.7.1"), port: .fixed(8082),
        switchedOnBy: "set metrics_endpoint to /metrics in MLServer's settings.json",
        requests: [
            PresetSeries("model_infer_request_success_total"), PresetSeries("model_infer_request_failure_total"),
        ],
        errors: .counted([PresetSeries("model_infer_request_failure_total")]),
        latency: .histogram(
            PresetSeries(
                "rest_server_request_duration_seconds",
                where: [
                    LabelMatcher(
                        "path",
                        .isOneOf([
                            "/v2/models/{model_name}/infer",
                            "/v2/models/{model_name}/versions/{model_version}/infer",
                        ])),
                    LabelMatcher("status_code", .startsWith("2")),
                ], hasModel: false),
            excludesErrors: true),
        series: [
            .running: PresetSeries(
                "rest_server_requests_in_progress", where: [LabelMatcher("method", .equals("POST"))], hasModel: false)
        ],
        modelLabel: "model")

    /// BentoML. It counts its own probes and pages like any other endpoint. The service stands for the model.
    static let bentoml = {
        let served = LabelMatcher("endpoint", .isNoneOf(["/readyz", "/livez", "/healthz", "/metrics", "/", ""]))
        let count = "bentoml_service_request_total"
        let code = "http_response_code"
        return MetricsPreset(
            "bentoml", "BentoML", .ran("BentoML 1.4.39"),
            switchedOnBy: "remove metrics: {enabled: false} from the BentoML service",
            requests: [PresetSeries(count, where: [served, LabelMatcher(code, .startsNotWith("4"))])],
            errors: .counted([PresetSeries(count, where: [served, LabelMatcher(code, .startsWith("5"))])]),
            latency: .histogram(
                PresetSeries(
                    "bentoml_service_request_duration_seconds",
                    where: [served, LabelMatcher(code, .startsWith("2"))]), excludesErrors: true),
            series: [.running: PresetSeries("bentoml_service_request_in_progress", where: [served])],
            modelLabel: "service_name")
    }()
}
