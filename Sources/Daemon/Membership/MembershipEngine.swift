internal import Gossip
internal import JSON

/// Who tells of the members: the gossip engine in this process, or a program beside it. The rest of the daemon asks it and does
/// not know which it is.
///
/// All of it happens on the node's loop; what an engine remembers, the node holds.
protocol MembershipEngine: Sendable {
    /// Its word in the configuration.
    var word: Configuration.Engine { get }
    /// Whether it receives gossip at the daemon's own port.
    var hasGossipPort: Bool { get }

    /// Begins to find others, by the node's configuration.
    func begin(_ node: isolated Node)
    /// The members it knows.
    func members(_ node: isolated Node) -> [Member]
    /// Why it cannot be asked; nil when it can.
    func absence(_ node: isolated Node) -> String?
    /// What the service manager is told in place of how many members there are; nil when that is told.
    func statusLine(_ node: isolated Node) -> String?
    /// What the status document says of it; null for nothing.
    func document(_ node: isolated Node) -> Value
    /// Announces tags; those before are replaced.
    ///
    /// - Returns: the reason when it refuses at once.
    func announce(_ tags: [String: String], _ node: isolated Node) -> String?
    /// The nodes to join changed; `added` are the addresses that are new.
    func rejoin(added: [Endpoint], _ node: isolated Node)
    /// Answers a request of the control socket that it carries out in its own way; nil for what the node does.
    func answer(
        _ request: ControlRequest, _ later: @escaping Node.Answer, _ node: isolated Node
    ) throws -> ControlReply?
    /// Leaves the cluster; the node's `left` says when that is done.
    func leave(_ node: isolated Node)
    /// Ends its connections.
    func close(_ node: isolated Node)
}

/// The gossip engine of this process.
struct BuiltinEngine: MembershipEngine {
    var word: Configuration.Engine { .builtin }
    var hasGossipPort: Bool { true }

    func begin(_ node: isolated Node) {
        if !node.configuration.join.isEmpty { node.give(.command(.join(node.configuration.join))) }
        node.followNames()
    }

    func members(_ node: isolated Node) -> [Member] { node.instance.members }

    func absence(_ node: isolated Node) -> String? { nil }

    func statusLine(_ node: isolated Node) -> String? { nil }

    func document(_ node: isolated Node) -> Value { .null }

    func announce(_ tags: [String: String], _ node: isolated Node) -> String? { node.order(.setTags(tags)) }

    func rejoin(added: [Endpoint], _ node: isolated Node) {
        if !added.isEmpty { node.give(.command(.join(added))) }
        node.followNames()
    }

    func answer(
        _ request: ControlRequest, _ later: @escaping Node.Answer, _ node: isolated Node
    ) throws -> ControlReply? { nil }

    func leave(_ node: isolated Node) { node.give(.command(.leave)) }

    func close(_ node: isolated Node) {}
}
