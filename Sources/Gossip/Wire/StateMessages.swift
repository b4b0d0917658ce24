import NetworkTypes

/// The state of a node as memberlist has it; the raw value is the wire's.
enum NodeState: UInt8, Sendable {
    case alive = 0
    case suspect = 1
    case dead = 2
    case left = 3

    /// Dead or left.
    var isGone: Bool { self == .dead || self == .left }
}

/// A node is alive with these properties.
struct Alive: Hashable, Sendable {
    var node: String
    var endpoint: Endpoint
    var meta: [UInt8]
    var versions: ProtocolVersions
    var incarnation: UInt32

    init(node: String, endpoint: Endpoint, meta: [UInt8], versions: ProtocolVersions, incarnation: UInt32) {
        self.node = node
        self.endpoint = endpoint
        self.meta = meta
        self.versions = versions
        self.incarnation = incarnation
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        let state = try NodeRecord(from: &reader)
        self.init(
            node: state.node, endpoint: state.endpoint, meta: state.meta, versions: state.versions,
            incarnation: state.incarnation)
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 80 + meta.count)
        writer.byte(MessageType.alive.rawValue)
        writer.map(6)
        writer.string("Addr")
        writer.data(endpoint.address.bytes)
        writer.string("Incarnation")
        writer.unsigned(UInt64(incarnation))
        writer.string("Meta")
        writer.data(meta)
        writer.string("Node")
        writer.string(node)
        writer.string("Port")
        writer.unsigned(UInt64(endpoint.port))
        writer.string("Vsn")
        writer.data(versions.bytes)
        return writer.bytes
    }
}

/// `from` accuses `node`: of not answering (suspect), or of being gone (dead). A dead message from the node itself means
/// it left on purpose.
struct Accusation: Hashable, Sendable {
    var node: String
    var incarnation: UInt32
    var from: String

    init(node: String, incarnation: UInt32, from: String) {
        self.node = node
        self.incarnation = incarnation
        self.from = from
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        node = ""
        incarnation = 0
        from = ""
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "From": from = try reader.optionalNodeName()
            case "Incarnation": incarnation = try reader.integer()
            case "Node": node = try reader.nodeName()
            default: try reader.skip()
            }
        }
        guard !node.isEmpty else { throw .badText }
    }

    func encode(as type: MessageType) -> [UInt8] {
        var writer = MessagePackWriter()
        writer.byte(type.rawValue)
        writer.map(3)
        writer.string("From")
        writer.string(from)
        writer.string("Incarnation")
        writer.unsigned(UInt64(incarnation))
        writer.string("Node")
        writer.string(node)
        return writer.bytes
    }
}

/// One node in a push/pull exchange; also what an alive message is read through, whose keys are a subset but for the
/// name's.
struct NodeRecord: Hashable, Sendable {
    var node: String
    var endpoint: Endpoint
    var meta: [UInt8]
    var versions: ProtocolVersions
    var incarnation: UInt32
    var state: NodeState

    /// The longest metadata taken from a peer. One's own is limited to 512; agents take more from others.
    static let metaLimit = 4096

    init(
        node: String, endpoint: Endpoint, meta: [UInt8], versions: ProtocolVersions, incarnation: UInt32,
        state: NodeState
    ) {
        self.node = node
        self.endpoint = endpoint
        self.meta = meta
        self.versions = versions
        self.incarnation = incarnation
        self.state = state
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        var node = ""
        var address: IPAddress?
        var port: UInt16 = 0
        var meta: [UInt8] = []
        var versions: [UInt8] = []
        var incarnation: UInt32 = 0
        var state = NodeState.alive
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "Addr": address = try reader.address()
            case "Incarnation": incarnation = try reader.integer()
            case "Meta": meta = try reader.data()
            case "Name", "Node": node = try reader.nodeName()
            case "Port": port = try reader.integer()
            case "State":
                guard let known = NodeState(rawValue: try reader.integer()) else { throw .badValue }
                state = known
            case "Vsn": versions = try reader.data()
            default: try reader.skip()
            }
        }
        guard !node.isEmpty else { throw .badText }
        guard let address, meta.count <= Self.metaLimit else { throw .badValue }
        self.init(
            node: node, endpoint: Endpoint(address: address, port: port), meta: meta,
            versions: ProtocolVersions(bytes: versions), incarnation: incarnation, state: state)
    }

    func write(to writer: inout MessagePackWriter) {
        writer.map(7)
        writer.string("Addr")
        writer.data(endpoint.address.bytes)
        writer.string("Incarnation")
        writer.unsigned(UInt64(incarnation))
        writer.string("Meta")
        writer.data(meta)
        writer.string("Name")
        writer.string(node)
        writer.string("Port")
        writer.unsigned(UInt64(endpoint.port))
        writer.string("State")
        writer.unsigned(UInt64(state.rawValue))
        writer.string("Vsn")
        writer.data(versions.bytes)
    }

    var alive: Alive {
        Alive(node: node, endpoint: endpoint, meta: meta, versions: versions, incarnation: incarnation)
    }
}
