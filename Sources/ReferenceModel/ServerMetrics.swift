import PrometheusText

/// The metrics of a reference server. They are used on its event loop only.
struct ServerMetrics {
    /// The upper bounds of the latency histogram in seconds. Powers of two from 32 µs on, so that even a small quantile
    /// is known to a factor of two, and closer from 1 ms on, where thresholds usually are.
    static let bounds: [Double] = [
        32e-6, 64e-6, 125e-6, 250e-6, 500e-6, 1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 6e-3, 8e-3, 12e-3, 16e-3, 24e-3, 32e-3,
        48e-3, 64e-3, 96e-3, 128e-3, 192e-3, 256e-3, 384e-3, 512e-3, 768e-3, 1, 2, 4, 8, 16,
    ]
    /// The most series of feedback; further groups are counted together as `other`.
    static let feedbackLimit = 512

    struct FeedbackKey: Hashable, Comparable {
        var attribute: String
        var group: String
        var label: Int
        var prediction: Int

        static func < (left: Self, right: Self) -> Bool {
            (left.attribute, left.group, left.label, left.prediction)
                < (right.attribute, right.group, right.label, right.prediction)
        }
    }

    private var requests: [Int: UInt64] = [:]
    private var buckets = [UInt64](repeating: 0, count: bounds.count + 1)
    private var sum = 0.0
    private var rows: UInt64 = 0
    private var batches: UInt64 = 0
    private var feedback: [FeedbackKey: UInt64] = [:]

    mutating func recordRequest(status: Int, seconds: Double, rows count: Int) {
        requests[status, default: 0] += 1
        guard status == 200 else { return }
        rows += UInt64(count)
        sum += seconds
        buckets[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
    }

    mutating func recordBatch() { batches += 1 }

    mutating func recordFeedback(_ key: FeedbackKey) {
        var key = key
        if feedback[key] == nil, feedback.count >= Self.feedbackLimit {
            key.attribute = "other"
            key.group = "other"
        }
        feedback[key, default: 0] += 1
    }

    /// The metrics page in the Prometheus text format.
    func text(model: String, version: String, queueDepth: Int, process: ProcessFigures) -> [UInt8] {
        var writer = ExpositionWriter()
        let label = [("model", model)]
        writer.family("reference_requests_total", .counter, "Inference requests by status of the response.")
        for (status, count) in requests.sorted(by: { $0.key < $1.key }) {
            writer.sample("reference_requests_total", label + [("code", String(status))], value: count)
        }
        writer.family(
            "reference_request_duration_seconds", .histogram,
            "Time from the end of an inference request to its response, for responses with status 200.")
        writer.histogram(
            "reference_request_duration_seconds", label, bounds: Self.bounds, counts: buckets, sum: sum)
        writer.family("reference_rows_total", .counter, "Rows that were scored.")
        writer.sample("reference_rows_total", label, value: rows)
        writer.family("reference_batches_total", .counter, "Batches that were run.")
        writer.sample("reference_batches_total", label, value: batches)
        writer.family("reference_queue_depth", .gauge, "Requests in the queue for a batch.")
        writer.sample("reference_queue_depth", label, value: queueDepth)
        writer.family("reference_feedback_total", .counter, "Labels received as feedback, by group.")
        for (key, count) in feedback.sorted(by: { $0.key < $1.key }) {
            writer.sample(
                "reference_feedback_total",
                label + [
                    ("attribute", key.attribute), ("group", key.group), ("label", String(key.label)),
                    ("prediction", String(key.prediction)),
                ], value: count)
        }
        writer.family("reference_build_info", .gauge, "The artifact that is served.")
        writer.sample("reference_build_info", label + [("artifact", version)], value: 1)
        writer.family("process_cpu_seconds_total", .counter, "User and system time of the process.")
        writer.sample("process_cpu_seconds_total", value: process.cpuSeconds)
        writer.family("process_resident_memory_bytes", .gauge, "Resident memory of the process.")
        writer.sample("process_resident_memory_bytes", value: process.residentBytes)
        return writer.bytes
    }
}
