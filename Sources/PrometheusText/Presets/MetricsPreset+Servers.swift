// Checked against scrapes of the versions that Tests/PrometheusTextTests/Fixtures names.

extension MetricsPreset {
    /// canaryd's own reference model server. Its histogram has no status, so it holds failed requests too.
    static let reference = MetricsPreset(
        name: "reference", path: "/metrics", port: .service,
        requests: [PresetSeries("reference_requests_total", [LabelMatcher("code", .startsNotWith("4"))])],
        errors: [PresetSeries("reference_requests_total", [LabelMatcher("code", .startsWith("5"))])],
        latency: .histogram(PresetSeries("reference_request_duration_seconds"), scale: 1, excludesErrors: true),
        queue: [PresetSeries("reference_queue_depth")], saturation: nil, modelLabel: "model")

    /// NVIDIA Triton. Its counters leave out what never reached a model (bad requests, unknown models). A cancelled
    /// request is the client's doing; a rejected one found the queue full.
    static let triton = MetricsPreset(
        name: "triton", path: "/metrics", port: .fixed(8002),
        requests: [
            PresetSeries("nv_inference_request_success"),
            PresetSeries("nv_inference_request_failure", [LabelMatcher("reason", .differs("CANCELED"))]),
        ],
        errors: [PresetSeries("nv_inference_request_failure", [LabelMatcher("reason", .differs("CANCELED"))])],
        latency: .unavailable(
            "Triton counts total time only (nv_inference_request_duration_us), which gives a mean and no quantile; "
                + "use from: proxy"),
        queue: [PresetSeries("nv_inference_pending_request_count")],
        saturation: PresetSeries("nv_gpu_utilization", hasModel: false), modelLabel: "model")

    /// Seldon MLServer. Requests by model come from the model's own counters, which REST and gRPC share; the
    /// histogram is of REST only and does not name the model.
    static let mlserver = MetricsPreset(
        name: "mlserver", path: "/metrics", port: .fixed(8082),
        requests: [
            PresetSeries("model_infer_request_success_total"), PresetSeries("model_infer_request_failure_total"),
        ],
        errors: [PresetSeries("model_infer_request_failure_total")],
        latency: .histogram(
            PresetSeries(
                "rest_server_request_duration_seconds",
                [
                    LabelMatcher(
                        "path",
                        .isOneOf([
                            "/v2/models/{model_name}/infer",
                            "/v2/models/{model_name}/versions/{model_version}/infer",
                        ])),
                    LabelMatcher("status_code", .startsWith("2")),
                ], hasModel: false),
            scale: 1, excludesErrors: true),
        queue: [
            PresetSeries("rest_server_requests_in_progress", [LabelMatcher("method", .equals("POST"))], hasModel: false)
        ],
        saturation: nil, modelLabel: "model")

    /// BentoML. It counts its own probes and pages like any other endpoint. The service stands for the model.
    static let bentoml = {
        let served = LabelMatcher("endpoint", .isNoneOf(["/readyz", "/livez", "/healthz", "/metrics", "/", ""]))
        let duration = "bentoml_service_request_duration_seconds"
        return MetricsPreset(
            name: "bentoml", path: "/metrics", port: .service,
            requests: [
                PresetSeries(
                    "bentoml_service_request_total", [served, LabelMatcher("http_response_code", .startsNotWith("4"))])
            ],
            errors: [
                PresetSeries(
                    "bentoml_service_request_total", [served, LabelMatcher("http_response_code", .startsWith("5"))])
            ],
            latency: .histogram(
                PresetSeries(duration, [served, LabelMatcher("http_response_code", .startsWith("2"))]), scale: 1,
                excludesErrors: true),
            queue: [PresetSeries("bentoml_service_request_in_progress", [served])], saturation: nil,
            modelLabel: "service_name")
    }()
}
