// Presets of servers of language models, from their documentation and sources: none of them was run, since they need an
// accelerator. Tests/PrometheusTextTests/Fixtures/documented has a page by hand for each.

extension MetricsPreset {
    /// The paths of inference that these servers share, so that probes, scrapes and pages of documentation do not count.
    private static let inferencePaths = [
        "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings",
        "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/score", "/v1/rerank", "/v2/rerank", "/score",
        "/rerank", "/pooling", "/classify", "/generate", "/encode",
    ]

    /// vLLM. Its own counter of finished requests has no failures in it, so requests are those of its HTTP server
    /// (prometheus-fastapi-instrumentator). A stream that breaks after its head counts as a success there. The names of
    /// its cache and of the time per token changed in 2025.
    static let vllm = {
        let inference = LabelMatcher("handler", .isOneOf(inferencePaths))
        let requests = "http_requests_total"
        return MetricsPreset(
            "vllm", "vLLM", .documentation, switchedOnBy: "start vLLM without --disable-log-stats",
            signature: ["vllm:num_requests_running", "vllm:request_success_total"],
            requests: [
                PresetSeries(
                    requests, where: [inference, LabelMatcher("status", .startsNotWith("4"))], hasModel: false)
            ],
            errors: .counted([
                PresetSeries(requests, where: [inference, LabelMatcher("status", .startsWith("5"))], hasModel: false)
            ]),
            latency: .histogram(PresetSeries("vllm:e2e_request_latency_seconds"), excludesErrors: true),
            series: [
                .firstToken: PresetSeries("vllm:time_to_first_token_seconds"),
                .perToken: PresetSeries("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
                .running: PresetSeries("vllm:num_requests_running"),
                .waiting: PresetSeries("vllm:num_requests_waiting"),
                .saturation: PresetSeries("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
                .tokensIn: PresetSeries("vllm:prompt_tokens_total"),
                .tokensOut: PresetSeries("vllm:generation_tokens_total"),
                .cacheQueries: PresetSeries(
                    "vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
                .cacheHits: PresetSeries("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
            ], modelLabel: "model_name")
    }()

    /// SGLang. Its scheduler shows every gauge once a rank, of which the first is read; sums would count a request as
    /// often as there are GPUs.
    static let sglang = {
        let inference = LabelMatcher("endpoint", .isOneOf(inferencePaths))
        let firstRank = [LabelMatcher("tp_rank", .isOneOf(["0", ""])), LabelMatcher("pp_rank", .isOneOf(["0", ""]))]
        // Under priority scheduling, each gauge is shown by priority as well, and the total has an empty one.
        let scheduler = firstRank + [LabelMatcher("priority", .equals(""))]
        let responses = "sglang:http_responses_total"
        return MetricsPreset(
            "sglang", "SGLang", .documentation, switchedOnBy: "start SGLang with --enable-metrics",
            signature: ["sglang:num_running_reqs", "sglang:num_requests_total", responses],
            requests: [
                PresetSeries(
                    responses, where: [inference, LabelMatcher("status_code", .startsNotWith("4"))], hasModel: false)
            ],
            errors: .counted([
                PresetSeries(
                    responses, where: [inference, LabelMatcher("status_code", .startsWith("5"))], hasModel: false)
            ]),
            latency: .histogram(PresetSeries("sglang:e2e_request_latency_seconds"), excludesErrors: true),
            series: [
                .firstToken: PresetSeries("sglang:time_to_first_token_seconds"),
                .perToken: PresetSeries("sglang:inter_token_latency_seconds"),
                .running: PresetSeries("sglang:num_running_reqs", where: scheduler),
                .waiting: PresetSeries("sglang:num_queue_reqs", where: scheduler),
                .saturation: PresetSeries("sglang:token_usage", where: firstRank),
                .tokensIn: PresetSeries("sglang:prompt_tokens_total"),
                .tokensOut: PresetSeries("sglang:generation_tokens_total"),
                .cacheHits: PresetSeries("sglang:cached_tokens_total"),
            ], modelLabel: "model_name")
    }()

    /// Hugging Face's Text Generation Inference. Its counters have no `_total` and its durations no unit in the name:
    /// they are seconds, of successful requests. A request that fails validation or its template is the client's fault;
    /// one that finds the server overloaded is not, though its status is 429.
    static let tgi = {
        let failures = PresetSeries(
            "tgi_request_failure", where: [LabelMatcher("err", .isNoneOf(["validation", "template"]))], hasModel: false)
        func series(_ name: String) -> PresetSeries { PresetSeries(name, hasModel: false) }
        return MetricsPreset(
            "tgi", "Text Generation Inference", .documentation,
            signature: ["tgi_request_count", "tgi_request_success", "tgi_queue_size"],
            requests: [series("tgi_request_success"), failures], errors: .counted([failures]),
            latency: .histogram(series("tgi_request_duration"), excludesErrors: true),
            series: [
                .perToken: series("tgi_request_mean_time_per_token_duration"),
                .running: series("tgi_batch_current_size"), .waiting: series("tgi_queue_size"),
                .tokensIn: series("tgi_request_input_length_sum"),
                .tokensOut: series("tgi_request_generated_tokens_sum"),
            ])
    }()

    /// The server of llama.cpp. It counts neither requests nor failures; what it has is for `metric` checks. In router
    /// mode its page is of one model, which the query names.
    static let llamacpp = {
        func series(_ name: String) -> PresetSeries { PresetSeries(name, hasModel: false) }
        return MetricsPreset(
            "llamacpp", "llama.cpp", .documentation, modelParameter: "model",
            switchedOnBy: "start llama-server with --metrics",
            signature: ["llamacpp:requests_processing", "llamacpp:prompt_tokens_total"],
            errors: .unavailable("llama.cpp counts neither requests nor failures; use from: proxy"),
            latency: .unavailable("llama.cpp has no latency histogram; use from: proxy"),
            series: [
                .running: series("llamacpp:requests_processing"), .waiting: series("llamacpp:requests_deferred"),
                .tokensIn: series("llamacpp:prompt_tokens_total"),
                .tokensOut: series("llamacpp:tokens_predicted_total"),
            ])
    }()

    /// TensorRT-LLM's `trtllm-serve`, whose `/metrics` is JSON. Only newer versions count failures: a page without that
    /// counter proves nothing about them.
    static let tensorRTLLM = MetricsPreset(
        "trtllm", "TensorRT-LLM", .documentation, path: "/prometheus/metrics",
        switchedOnBy: "give trtllm-serve return_perf_metrics: true, and enable_iter_perf_stats: true for its gauges",
        signature: ["trtllm_request_success_total", "trtllm_e2e_request_latency_seconds"],
        requests: [PresetSeries("trtllm_request_success_total"), PresetSeries("trtllm_request_error_total")],
        errors: .counted([PresetSeries("trtllm_request_error_total")], isAlwaysShown: true),
        latency: .histogram(PresetSeries("trtllm_e2e_request_latency_seconds"), excludesErrors: true),
        series: [
            .firstToken: PresetSeries("trtllm_time_to_first_token_seconds"),
            .perToken: PresetSeries("trtllm_time_per_output_token_seconds"),
            .running: PresetSeries("trtllm_num_requests_running", "trtllm_num_active_requests"),
            .waiting: PresetSeries("trtllm_num_requests_waiting", "trtllm_server_queue_length"),
            .saturation: PresetSeries("trtllm_kv_cache_utilization"),
            .tokensIn: PresetSeries("trtllm_prompt_tokens_total"),
            .tokensOut: PresetSeries("trtllm_generation_tokens_total"),
            .cacheHits: PresetSeries("trtllm_prompt_cached_tokens_total"),
        ], modelLabel: "model_name")

    /// NVIDIA NIM for LLMs. Its names have no prefix, so it is recognized by two that no other server has.
    static let nim = MetricsPreset(
        "nim", "NVIDIA NIM", .documentation, path: "/v1/metrics",
        signature: ["request_finish_total", "num_request_max"],
        requests: [PresetSeries("request_success_total"), PresetSeries("request_failure_total")],
        errors: .counted([PresetSeries("request_failure_total")], isAlwaysShown: true),
        latency: .histogram(PresetSeries("e2e_request_latency_seconds"), excludesErrors: true),
        series: [
            .firstToken: PresetSeries("time_to_first_token_seconds"),
            .perToken: PresetSeries("time_per_output_token_seconds"), .running: PresetSeries("num_requests_running"),
            .waiting: PresetSeries("num_requests_waiting"), .saturation: PresetSeries("gpu_cache_usage_perc"),
            .tokensIn: PresetSeries("prompt_tokens_total"), .tokensOut: PresetSeries("generation_tokens_total"),
        ], modelLabel: "model_name")

    /// The frontend of NVIDIA Dynamo, which names the kind of each failure.
    static let dynamo = {
        let requests = "dynamo_frontend_requests_total"
        let isServers = LabelMatcher(
            "error_type", .isNoneOf(["validation", "not_found", "not_implemented", "cancelled"]))
        return MetricsPreset(
            "dynamo", "NVIDIA Dynamo", .documentation,
            signature: [requests, "dynamo_frontend_inflight_requests"],
            requests: [PresetSeries(requests, where: [isServers])],
            errors: .counted([PresetSeries(requests, where: [LabelMatcher("status", .equals("error")), isServers])]),
            latency: .histogram(PresetSeries("dynamo_frontend_request_duration_seconds"), excludesErrors: true),
            series: [
                .firstToken: PresetSeries("dynamo_frontend_time_to_first_token_seconds"),
                .perToken: PresetSeries("dynamo_frontend_inter_token_latency_seconds"),
                .running: PresetSeries("dynamo_frontend_inflight_requests"),
                .waiting: PresetSeries("dynamo_frontend_queued_requests"),
                .tokensIn: PresetSeries("dynamo_frontend_input_sequence_tokens_sum"),
                .tokensOut: PresetSeries("dynamo_frontend_output_tokens_total"),
            ], modelLabel: "model")
    }()
}
