/// A metrics page whose request counter grows, because the agent reports pages that stand still.
struct MovingPage {
    private static let counter = "model_infer_request_success_total{"
    /// The page before and after the counter's value.
    private let before: [UInt8]
    private let after: [UInt8]

    /// - Parameter page: a page of MLServer.
    init(_ page: [UInt8]) {
        for line in page.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if line.starts(with: Self.counter.utf8), let space = line.lastIndex(of: UInt8(ascii: " ")) {
                before = Array(page[...space])
                after = Array(page[line.endIndex...])
                return
            }
        }
        fatalError("the metrics page has no \(Self.counter)…}")
    }

    /// The page after this number of requests.
    func page(requests: Int) -> [UInt8] { before + Array("\(requests)".utf8) + after }
}
