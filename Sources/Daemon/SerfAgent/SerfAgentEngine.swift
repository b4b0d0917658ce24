internal import Gossip
internal import JSON
internal import Logging
internal import NIOCore

/// A stock serf agent that does the gossip, and that this daemon steers over its IPC.
struct SerfAgentEngine: MembershipEngine {
    var word: Configuration.Engine { .serfAgent }
    var hasGossipPort: Bool { false }

    func begin(_ node: isolated Node) { node.connectAgent() }

    func members(_ node: isolated Node) -> [Member] { node.agent.map { Array($0.members.values) } ?? [] }

    func absence(_ node: isolated Node) -> String? {
        node.agent?.isReady == true ? nil : "the serf agent is away"
    }

    func statusLine(_ node: isolated Node) -> String? {
        guard let agent = node.agent, !agent.isReady else { return nil }
        return "the serf agent at \(agent.settings.address) is away"
    }

    func document(_ node: isolated Node) -> Value { node.agentStatus }

    /// An agent that is away gets them when it comes back.
    func announce(_ tags: [String: String], _ node: isolated Node) -> String? {
        let log = node.log
        node.announceToAgent(tags) { reason in
            if let reason { log.warning("tags not announced yet: \(reason)") }
        }
        return nil
    }

    func rejoin(added: [Endpoint], _ node: isolated Node) { node.agent?.join = node.configuration.peers }

    func answer(
        _ request: ControlRequest, _ later: @escaping Node.Answer, _ node: isolated Node
    ) throws -> ControlReply? {
        try node.answerByAgent(request, later)
    }

    func leave(_ node: isolated Node) { node.leaveAgent() }

    func close(_ node: isolated Node) { node.agent?.channel?.close(promise: nil) }
}
