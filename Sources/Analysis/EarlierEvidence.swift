import Statistics

/// Evidence that earlier builds stored lacks what was added since. It starts empty.
extension KeyedDecodingContainer {
    func decode(_ type: [GroupCounts].Type, forKey key: Key) throws -> [GroupCounts] {
        try decodeIfPresent(type, forKey: key) ?? [GroupCounts(), GroupCounts()]
    }

    func decode(_ type: LabelLateness.Type, forKey key: Key) throws -> LabelLateness {
        try decodeIfPresent(type, forKey: key) ?? LabelLateness()
    }

    func decode(_ type: MeanInterval.Type, forKey key: Key) throws -> MeanInterval {
        try decodeIfPresent(type, forKey: key) ?? MeanInterval()
    }
}
