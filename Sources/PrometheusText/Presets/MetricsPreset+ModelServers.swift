// Presets of servers of other models and of frameworks with an exporter. Of those that ran,
// Tests/PrometheusTextTests/Fixtures has a page; of the others, Fixtures/documented has one by hand.

extension MetricsPreset {
    /// Ray Serve, as its HTTP proxies count. The page of a node has all its applications, which stand for the models.
    static let rayServe = {
        let requests = "ray_serve_num_http_requests_total"
        let served = LabelMatcher("route", .startsNotWith("/-/"))
        func status(_ condition: LabelMatcher.Condition) -> [LabelMatcher] {
            [served, LabelMatcher("status_code", condition)]
        }
        return MetricsPreset(
            "ray-serve", "Ray Serve", .ran("Ray 2.60.0"), port: .fixed(8080),
            switchedOnBy: "start Ray with --metrics-export-port=8080, or set metrics.port to the port that it chose",
            requests: [PresetSeries(requests, where: status(.startsNotWith("4")))],
            errors: .counted([PresetSeries(requests, where: status(.startsWith("5")))]),
            latency: .histogram(
                PresetSeries("ray_serve_http_request_latency_ms", where: status(.startsWith("2")), scale: 0.001),
                excludesErrors: true),
            series: [
                .firstToken: PresetSeries("ray_vllm_time_to_first_token_seconds", hasModel: false),
                .perToken: PresetSeries(
                    "ray_vllm_inter_token_latency_seconds", "ray_vllm_time_per_output_token_seconds", hasModel: false),
                .running: PresetSeries("ray_serve_replica_processing_queries"),
                .waiting: PresetSeries("ray_serve_deployment_queued_queries"),
                .saturation: PresetSeries(
                    "ray_vllm_kv_cache_usage_perc", "ray_vllm_gpu_cache_usage_perc", hasModel: false),
            ], modelLabel: "application")
    }()

    /// KServe's Python server. It times the steps of a request and counts no failures; the histogram of `predict` has
    /// failed requests too, with the time that they took.
    static let kserve = MetricsPreset(
        "kserve", "KServe", .ran("KServe 0.21.0"), requests: [PresetSeries("request_predict_seconds_count")],
        errors: .unavailable("KServe's Python server does not count failures; use from: proxy"),
        latency: .histogram(PresetSeries("request_predict_seconds"), excludesErrors: false),
        modelLabel: "model_name")

    /// TorchServe. Requests are counted by model when they arrive, 5xx for all APIs of the host together: those of a
    /// health check or of the management API count too.
    static let torchServe = MetricsPreset(
        "torchserve", "TorchServe", .documentation, port: .fixed(8082),
        switchedOnBy: "set metrics_mode=prometheus in TorchServe's config.properties",
        requests: [PresetSeries("ts_inference_requests_total")],
        errors: .counted([PresetSeries("Requests5XX", "Requests5XX_total", hasModel: false)]),
        latency: .unavailable(
            "TorchServe counts total time only (ts_inference_latency_microseconds), which gives a mean and no quantile; "
                + "use from: proxy"),
        modelLabel: "model_name")

    /// TensorFlow Serving, whose names begin with a colon. The status is that of gRPC, for REST as well. Latencies are
    /// in microseconds and of successful requests.
    static let tfServing = {
        let requests = ":tensorflow:serving:request_count"
        let clientFaults = ["INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "UNIMPLEMENTED", "CANCELLED"]
        return MetricsPreset(
            "tf-serving", "TensorFlow Serving", .documentation, path: "/monitoring/prometheus/metrics",
            switchedOnBy:
                "start TensorFlow Serving with --monitoring_config_file, and prometheus_config { enable: true } in the file",
            signature: [requests, ":tensorflow:serving:request_latency"],
            requests: [PresetSeries(requests, where: [LabelMatcher("status", .isNoneOf(clientFaults))])],
            errors: .counted([PresetSeries(requests, where: [LabelMatcher("status", .isNoneOf(["OK"] + clientFaults))])]
            ),
            latency: .histogram(
                PresetSeries(":tensorflow:serving:request_latency", scale: 1e-6), excludesErrors: true),
            modelLabel: "model_name")
    }()

    /// OpenVINO Model Server. It counts by method, so questions about models and probes are left out; a bad request
    /// counts as failed, as nothing tells it apart. The histogram of microseconds has no method.
    static let ovms = {
        let inference = LabelMatcher("method", .isOneOf(["ModelInfer", "Predict"]))
        return MetricsPreset(
            "ovms", "OpenVINO Model Server", .documentation,
            switchedOnBy: "start OpenVINO Model Server with --metrics_enable",
            requests: [
                PresetSeries("ovms_requests_success", where: [inference]),
                PresetSeries("ovms_requests_fail", where: [inference]),
            ],
            errors: .counted([PresetSeries("ovms_requests_fail", where: [inference])]),
            latency: .histogram(PresetSeries("ovms_request_time_us", scale: 1e-6), excludesErrors: true),
            series: [
                .running: PresetSeries("ovms_current_requests")
            ], modelLabel: "name")
    }()

    /// Any ASGI application with prometheus-fastapi-instrumentator in its default settings. Predictions are POST
    /// requests; probes, scrapes and documentation are GET. The histogram has no status, so it holds failed and refused
    /// requests too, and its few buckets (0.1, 0.5 and 1 s) are the application's to change; the one with many buckets
    /// has no labels, so that probes are in it.
    static let fastapi = {
        let predictions = LabelMatcher("method", .equals("POST"))
        let requests = "http_requests_total"
        return MetricsPreset(
            "fastapi", "FastAPI", .ran("prometheus-fastapi-instrumentator 8.1.0"),
            switchedOnBy: "add Instrumentator().instrument(app).expose(app) to the application",
            requests: [PresetSeries(requests, where: [predictions, LabelMatcher("status", .startsNotWith("4"))])],
            errors: .counted([PresetSeries(requests, where: [predictions, LabelMatcher("status", .startsWith("5"))])]),
            latency: .histogram(
                PresetSeries("http_request_duration_seconds", where: [predictions]), excludesErrors: true))
    }()
}
