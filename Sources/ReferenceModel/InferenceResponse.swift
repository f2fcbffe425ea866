/// The response to an inference request.
struct InferenceResponse {
    static let outputNames = ["label", "score"]

    var modelName: String
    var modelVersion: String
    var id: String?
    /// The outputs that the response contains, each as JSON or binary.
    var outputs: [InferenceRequest.Output]
    /// The label of each row, 0 or 1.
    var labels: [Int64]
    /// The probability of label 1 for each row.
    var scores: [Float]

    /// The body, and the length of its JSON part if binary tensors follow.
    func encoded() -> (body: [UInt8], headerLength: Int?) {
        var writer = JSONWriter()
        var tail: [UInt8] = []
        var hasBinary = false
        writer.object { writer in
            writer.key("model_name")
            writer.string(modelName)
            writer.key("model_version")
            writer.string(modelVersion)
            if let id {
                writer.key("id")
                writer.string(id)
            }
            writer.key("outputs")
            writer.array { writer in
                for output in outputs {
                    hasBinary = hasBinary || output.binary
                    write(output, &writer, &tail)
                }
            }
        }
        return (writer.bytes + tail, hasBinary ? writer.bytes.count : nil)
    }

    private func write(_ output: InferenceRequest.Output, _ writer: inout JSONWriter, _ tail: inout [UInt8]) {
        let isLabel = output.name == "label"
        writer.object { writer in
            writer.key("name")
            writer.string(output.name)
            writer.key("datatype")
            writer.string(isLabel ? "INT64" : "FP32")
            writer.key("shape")
            writer.array { writer in writer.number(labels.count) }
            if output.binary {
                let start = tail.count
                if isLabel { BinaryTensor.append(labels, to: &tail) } else { BinaryTensor.append(scores, to: &tail) }
                writer.key("parameters")
                writer.object { writer in
                    writer.key("binary_data_size")
                    writer.number(tail.count - start)
                }
            } else {
                writer.key("data")
                writer.array { writer in
                    if isLabel {
                        for label in labels { writer.number(Int(label)) }
                    } else {
                        for score in scores { writer.number(score) }
                    }
                }
            }
        }
    }
}
