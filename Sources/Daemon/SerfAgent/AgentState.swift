internal import Gossip
internal import NIOCore

/// Where a stock serf agent's IPC is.
struct AgentSettings: Equatable, Sendable {
    /// The agent's `-rpc-addr`.
    var address: Endpoint
    /// The agent's `rpc_auth`; nil when it has none.
    var key: String?
}

/// What a node knows about the agent that is its engine: the connection and what waits for an answer on it.
struct AgentState: Sendable {
    /// An answer: the agent's complaint, empty when it has none, and the body of answers that have one.
    struct Reply: Sendable {
        let error: String
        let body: PackedValue?
    }

    struct Waiting: Sendable {
        let hasBody: Bool
        let done: @Sendable (Reply) -> Void
    }

    /// A query of ours whose answers come in one by one.
    struct Asking: Sendable {
        var acks: [String] = []
        var answers: [(node: String, payload: [UInt8])] = []
        let done: @Sendable (Asking) -> Void
    }

    let settings: AgentSettings
    /// Whom the agent is told to join while it is alone.
    var join: [String]
    var channel: (any Channel)?
    /// Counts connections, so that what is said of an old one is not taken for the new one's.
    var generation = 0
    var isReady = false
    var attempt = 0
    var sequence: Int64 = 0
    var waiting: [Int64: Waiting] = [:]
    /// The last header, whose body may follow.
    var header: (sequence: Int64, error: String)?
    var stream: Int64?
    var asking: [Int64: Asking] = [:]
    var members: [String: Member] = [:]
    /// Queries of others, by our number: the agent's number.
    var unanswered: [UInt64: Int64] = [:]
    /// The tags we gave the agent: those are taken back when they go.
    var announced: [String: String] = [:]
    var isAsked = false
    var lastFault = "not connected yet"

    init(_ settings: AgentSettings, join: [String]) {
        self.settings = settings
        self.join = join
    }
}

/// Splits what an agent says into values and hands them to the node.
final class AgentHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private static let limit = 32 << 20

    private let node: Node
    private let generation: Int
    private var bytes: [UInt8] = []

    init(node: Node, generation: Int) {
        self.node = node
        self.generation = generation
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes += unwrapInboundIn(data).readableBytesView
        var rest = bytes[...]
        do {
            while let value = try PackedValue.take(from: &rest) {
                let generation = generation
                node.assumeIsolated { $0.agentSaid(value, generation) }
            }
        } catch {
            return context.close(promise: nil)
        }
        bytes = Array(rest)
        if bytes.count > Self.limit { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let generation = generation
        node.assumeIsolated { $0.agentLost("it closed the connection", generation) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
