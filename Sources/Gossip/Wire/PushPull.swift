/// The full-state exchange of a stream: every node the sender knows, and serf's own state.
struct PushPull: Hashable, Sendable {
    var isJoin: Bool
    var nodes: [NodeRecord]
    var userState: [UInt8]

    /// As many as are remembered at most (`Settings.memberLimit`).
    static let nodeLimit = 1 << 16
    static let userStateLimit = 20 << 20

    init(isJoin: Bool, nodes: [NodeRecord], userState: [UInt8]) {
        self.isJoin = isJoin
        self.nodes = nodes
        self.userState = userState
    }

    /// Reads the exchange after its type byte. The message carries no length of its own: `truncated` means that more
    /// bytes are to come.
    init(from reader: inout MessagePackReader) throws(WireFault) {
        var isJoin = false
        var count = 0
        var stateLength = 0
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "Join": isJoin = try reader.bool()
            case "Nodes": count = Int(try reader.integer(UInt32.self))
            case "UserStateLen": stateLength = Int(try reader.integer(UInt32.self))
            default: try reader.skip()
            }
        }
        guard count <= Self.nodeLimit, stateLength <= Self.userStateLimit else { throw .tooLarge }
        // The least a node can take, so that a short buffer is refused before its nodes are read.
        guard reader.remaining >= count * 16 + stateLength else { throw .truncated }
        var nodes: [NodeRecord] = []
        nodes.reserveCapacity(count)
        for _ in 0..<count { nodes.append(try NodeRecord(from: &reader)) }
        let state = try reader.take(stateLength)
        self.init(isJoin: isJoin, nodes: nodes, userState: Array(reader.bytes[state]))
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 64 + nodes.count * 128 + userState.count)
        writer.byte(MessageType.pushPull.rawValue)
        writer.map(3)
        writer.string("Join")
        writer.bool(isJoin)
        writer.string("Nodes")
        writer.unsigned(UInt64(nodes.count))
        writer.string("UserStateLen")
        writer.unsigned(UInt64(userState.count))
        for node in nodes { node.write(to: &writer) }
        writer.append(userState)
        return writer.bytes
    }
}

/// A user message on a stream: a header with the length, then the bytes.
struct StreamUserMessage: Hashable, Sendable {
    var body: [UInt8]

    static let limit = 20 << 20

    init(body: [UInt8]) { self.body = body }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        var length = 0
        for _ in 0..<(try reader.mapCount()) {
            if try reader.key() == "UserMsgLen" {
                length = Int(try reader.integer(UInt32.self))
            } else {
                try reader.skip()
            }
        }
        guard length <= Self.limit else { throw .tooLarge }
        body = Array(reader.bytes[try reader.take(length)])
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 24 + body.count)
        writer.byte(MessageType.user.rawValue)
        writer.map(1)
        writer.string("UserMsgLen")
        writer.unsigned(UInt64(body.count))
        writer.append(body)
        return writer.bytes
    }
}
