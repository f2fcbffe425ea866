import PolicyModel

/// What a controller did to its surroundings, in the order in which it did it.
public final class ActionLog {
    public enum Action: Equatable {
        case committed(service: String, weight: Weight, generation: UInt64)
        /// A commit that was tried and failed.
        case failedCommit(service: String, weight: Weight, generation: UInt64)
        case published(service: String, weight: Weight, generation: UInt64)
        case marked(service: String, weight: Weight)
        case cleared(service: String)
        case markedRunning
        case markedStopped
    }

    public private(set) var actions: [Action] = []

    public init() {}

    public func add(_ action: Action) { actions.append(action) }
    public func removeAll() { actions = [] }
}
