import PolicyModel

extension ServiceReader {
    /// Reads `forwarded` and `requestId`: the rules for the header fields that tell the servers who the client is, and
    /// the id of the request.
    func headers(_ part: Section) -> HeaderRules {
        var rules = HeaderRules()
        rules.requestID = part.choice("requestId", RequestIDRule.self) ?? rules.requestID
        guard let node = part.node("forwarded") else { return rules }
        if case .mapping = node.content {
            guard let forwarded = Section(node, "forwarded", keys: ["mode", "rfc7239"], report: report) else {
                return rules
            }
            rules.forwarded = forwarded.choice("mode", ForwardedMode.self) ?? rules.forwarded
            rules.rfc7239 = forwarded.boolean("rfc7239") ?? rules.rfc7239
            if rules.rfc7239, rules.forwarded == .off {
                report.error(forwarded.mark("rfc7239"), "nothing is forwarded with mode: off: remove one of them")
            }
            return rules
        }
        rules.forwarded = part.choice("forwarded", ForwardedMode.self) ?? rules.forwarded
        return rules
    }
}
