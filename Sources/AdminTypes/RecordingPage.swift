import FoundationEssentials
import Vocabulary

/// `GET /v1/services/S/recording`: a stretch of what a service's judge took in. A judge is a fold over these items, so
/// that whoever has the judge as it was before the first of them can make every later one again.
public struct RecordingPage: Hashable, Sendable {
    public var service: String
    /// Empty: of the version that serves between rollouts.
    public var rollout: String
    /// The judge before the first item, as JSON whose form belongs to this version of canaryd. Only on the first page,
    /// and only of a rollout.
    public var head: String?
    /// False: items before or within this page are gone, since they were pruned or could not be written.
    public var whole: Bool
    /// Place of the first item in the recording, from 0, and how many items the page holds.
    public var first: Int
    public var count: Int
    /// The items in canaryd's coding of them; base64 in JSON. Those of several pages in a row are valid together.
    public var items: [UInt8]
    /// What to ask for `after` this page; absent on the last.
    public var next: Int64?
    /// When its first and its last items were written.
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
