import PolicyModel

extension ServiceReader {
    /// `true`, `false`, or a mapping that says what may be sent twice.
    func rescue(_ part: Section, route: Route) -> Rescue? {
        guard let node = part.node("rescue") else { return nil }
        if case .scalar = node.content { return part.boolean("rescue") == true ? Rescue() : nil }
        guard let rescue = Section(node, "rescue", keys: ["methods", "paths", "maxBody"], report: report) else {
            return nil
        }
        let initial = Rescue()
        return Rescue(
            methods: methods(rescue) ?? initial.methods, paths: paths(rescue, route: route),
            maxBody: rescue.bytes("maxBody", atMost: (Rescue.bodyLimit, "64KiB")) ?? initial.maxBody)
    }

    func mirror(_ part: Section) -> Mirror? {
        guard let mirror = part.section("mirror", "mirror", keys: ["to", "share"]) else { return nil }
        mirror.require("to", "to: candidate")
        mirror.require("share", "share: 10%")
        let refused = ["baseline": "answers users already: copies go to the candidate, so write to: candidate"]
        _ = mirror.choice("to", [("candidate", Arm.candidate)], refused: refused)
        return mirror.weight("share").map { Mirror(share: $0) }
    }
}
