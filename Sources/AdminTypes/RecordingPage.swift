import FoundationEssentials
import Vocabulary

/// The response to `GET /v1/services/S/recording`: consecutive items of the recorded input of a service's judge. A
/// judge is a fold over these items, so the judge before the first item and the items together reproduce every later
/// state.
public struct RecordingPage: Hashable, Sendable {
    public var service: String
    /// The id of the rollout; empty for the recording made between rollouts.
    public var rollout: String
    /// The judge before the first item, as JSON in a form that depends on the version of canaryd. Only the first page
    /// of a rollout has it.
    public var head: String?
    /// False if items before or within this page are missing, because they were pruned or could not be written.
    public var whole: Bool
    /// The index of the first item in the recording, from 0, and the number of items on this page.
    public var first: Int
    public var count: Int
    /// The items in canaryd's binary coding (base64 in JSON). The concatenation of consecutive pages is valid as well.
    public var items: [UInt8]
    /// The `after` parameter for the next page; absent on the last page.
    public var next: Int64?
    /// The times at which the first and the last item were written.
    public var begin: Timestamp?
    public var end: Timestamp?

    public init(
        service: String, rollout: String, head: String?, whole: Bool, first: Int, count: Int, items: [UInt8],
        next: Int64?, begin: Timestamp?, end: Timestamp?
    ) {
        self.service = service
        self.rollout = rollout
        self.head = head
        self.whole = whole
        self.first = first
        self.count = count
        self.items = items
        self.next = next
        self.begin = begin
        self.end = end
    }
}

extension RecordingPage: Codable {
    private enum CodingKeys: String, CodingKey {
        case service, rollout, head, whole, first, count, items, next, begin, end
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        service = try values.decode(String.self, forKey: .service)
        rollout = try values.decode(String.self, forKey: .rollout)
        head = try values.decodeIfPresent(String.self, forKey: .head)
        whole = try values.decode(Bool.self, forKey: .whole)
        first = try values.decode(Int.self, forKey: .first)
        count = try values.decode(Int.self, forKey: .count)
        guard let bytes = Data(base64Encoded: try values.decode(String.self, forKey: .items)) else {
            throw DecodingError.dataCorruptedError(forKey: .items, in: values, debugDescription: "no base64")
        }
        items = Array(bytes)
        next = try values.decodeIfPresent(Int64.self, forKey: .next)
        begin = try values.decodeIfPresent(Timestamp.self, forKey: .begin)
        end = try values.decodeIfPresent(Timestamp.self, forKey: .end)
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(service, forKey: .service)
        try values.encode(rollout, forKey: .rollout)
        try values.encodeIfPresent(head, forKey: .head)
        try values.encode(whole, forKey: .whole)
        try values.encode(first, forKey: .first)
        try values.encode(count, forKey: .count)
        try values.encode(Data(items).base64EncodedString(), forKey: .items)
        try values.encodeIfPresent(next, forKey: .next)
        try values.encodeIfPresent(begin, forKey: .begin)
        try values.encodeIfPresent(end, forKey: .end)
    }
}
