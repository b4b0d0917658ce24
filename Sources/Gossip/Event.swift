public import StateMachine

/// A stream (TCP connection) of one request and at most one answer.
public struct StreamID: Hashable, Sendable {
    /// Whether we opened it; the two sides count on their own.
    public let isOurs: Bool
    /// The number: ours count in the instance, others' in the shell.
    public let number: UInt64

    init(isOurs: Bool, number: UInt64) {
        self.isOurs = isOurs
        self.number = number
    }

    /// A stream that another node opened. The shell never gives a number twice.
    public static func accepted(_ number: UInt64) -> StreamID { StreamID(isOurs: false, number: number) }
}

/// What happens to an instance.
public enum Event: Sendable {
    /// The sockets are open. Given once, before any other event.
    case start
    /// A datagram came in.
    case datagram([UInt8], from: Endpoint)
    /// Another node opened a stream.
    case streamAccepted(StreamID, from: Endpoint)
    /// Bytes came in on a stream.
    case streamData(StreamID, [UInt8])
    /// A stream was closed or reset by the other side, or could not be opened.
    case streamEnded(StreamID)
    /// The time last asked for by `Directive.wake` has come.
    case timer
    /// The owner wants something.
    case command(Command)
}

/// What the owner of an instance may want.
public enum Command: Sendable {
    /// Join the cluster of any of these nodes; tried for ever.
    case join([Endpoint])
    /// Leave the cluster; `Directive.left` says when it is done.
    case leave
    /// Declare a failed node to have left; with `prune` it is forgotten at once.
    case forceLeave(String, prune: Bool)
    /// Announce other tags.
    case setTags([String: String])
    /// Send an event to all nodes.
    case userEvent(name: String, payload: [UInt8], coalesce: Bool)
    /// Ask all nodes, or those that pass the filters.
    case query(QueryRequest)
    /// Answer a query that was delivered.
    case respond(QueryID, payload: [UInt8])
    /// Change or list the gossip keys of all nodes; answers come as `Directive.keyResponse`.
    case keys(KeyOperation, token: UInt64)
}

/// What is done to the gossip keys of the cluster.
public enum KeyOperation: Hashable, Sendable {
    /// Adds a key everywhere.
    case install([UInt8])
    /// Makes an installed key the primary one everywhere.
    case use([UInt8])
    /// Removes a key everywhere; the primary one cannot be removed.
    case remove([UInt8])
    /// Asks every node for its keys.
    case list
}

/// Which nodes answer a query.
public enum QueryFilter: Hashable, Sendable {
    /// The named nodes.
    case nodes([String])
    /// The nodes whose tag matches a regular expression.
    case tag(String, expression: String)
}

/// A query to be sent.
public struct QueryRequest: Hashable, Sendable {
    /// Given back with every result.
    public var token: UInt64
    /// The name; those that begin with `_serf_` are the cluster's own.
    public var name: String
    /// What is asked.
    public var payload: [UInt8]
    /// All of them must pass.
    public var filters: [QueryFilter]
    /// Whether nodes say that they got it.
    public var wantsAcks: Bool
    /// Through how many other nodes each answer is sent as well.
    public var relayFactor: UInt8
    /// How long answers are taken; nil for the default of the cluster's size.
    public var timeout: Nanoseconds?

    /// Makes a request.
    public init(
        token: UInt64, name: String, payload: [UInt8] = [], filters: [QueryFilter] = [], wantsAcks: Bool = false,
        relayFactor: UInt8 = 0, timeout: Nanoseconds? = nil
    ) {
        self.token = token
        self.name = name
        self.payload = payload
        self.filters = filters
        self.wantsAcks = wantsAcks
        self.relayFactor = relayFactor
        self.timeout = timeout
    }
}

/// A query of another node, or our own, while it can be answered.
public struct QueryID: Hashable, Sendable {
    let time: UInt64
    let number: UInt32
    /// Where the answer goes.
    let origin: Endpoint
    let sourceNode: String
    let relayFactor: UInt8
    let deadline: Nanoseconds
}
