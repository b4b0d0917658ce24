import NetworkTypes
internal import StateMachine

/// A join or leave intent: what a node means to do, ordered by the member clock.
struct Intent: Hashable, Sendable {
    var time: UInt64
    var node: String
    /// Only in a leave: forget the node altogether.
    var prune = false

    init(time: UInt64, node: String, prune: Bool = false) {
        self.time = time
        self.node = node
        self.prune = prune
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        time = 0
        node = ""
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "LTime": time = try reader.unsigned()
            case "Node": node = try reader.nodeName()
            case "Prune": prune = try reader.bool()
            default: try reader.skip()
            }
        }
        guard !node.isEmpty else { throw .badText }
    }

    func encode(as type: SerfType) -> [UInt8] {
        var writer = MessagePackWriter(reserving: 32 + node.utf8.count)
        writer.byte(type.rawValue)
        writer.map(type == .leave ? 3 : 2)
        writer.string("LTime")
        writer.unsigned(time)
        writer.string("Node")
        writer.string(node)
        if type == .leave {
            writer.string("Prune")
            writer.bool(prune)
        }
        return writer.bytes
    }
}

/// A user event on the wire.
struct UserEventMessage: Hashable, Sendable {
    var time: UInt64
    var name: String
    var payload: [UInt8]?
    var coalesce: Bool

    init(time: UInt64, name: String, payload: [UInt8]?, coalesce: Bool) {
        self.time = time
        self.name = name
        self.payload = payload
        self.coalesce = coalesce
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        self.init(time: 0, name: "", payload: nil, coalesce: false)
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "CC": coalesce = try reader.bool()
            case "LTime": time = try reader.unsigned()
            case "Name": name = try reader.string()
            case "Payload": payload = reader.skipNil() ? nil : try reader.data()
            default: try reader.skip()
            }
        }
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 48 + name.utf8.count + (payload?.count ?? 0))
        writer.byte(SerfType.userEvent.rawValue)
        writer.map(4)
        writer.string("CC")
        writer.bool(coalesce)
        writer.string("LTime")
        writer.unsigned(time)
        writer.string("Name")
        writer.string(name)
        writer.string("Payload")
        writer.dataOrNull(payload)
        return writer.bytes
    }
}

/// A query on the wire.
struct QueryMessage: Hashable, Sendable {
    static let ackFlag: UInt32 = 1
    static let noBroadcastFlag: UInt32 = 2

    var time: UInt64
    var id: UInt32
    var origin: Endpoint
    var sourceNode: String
    var filters: [[UInt8]]?
    var flags: UInt32
    var relayFactor: UInt8
    /// Nanoseconds, as Go's `time.Duration`.
    var timeout: Int64
    var name: String
    var payload: [UInt8]?

    init(
        time: UInt64, id: UInt32, origin: Endpoint, sourceNode: String, filters: [[UInt8]]?, flags: UInt32,
        relayFactor: UInt8, timeout: Int64, name: String, payload: [UInt8]?
    ) {
        self.time = time
        self.id = id
        self.origin = origin
        self.sourceNode = sourceNode
        self.filters = filters
        self.flags = flags
        self.relayFactor = relayFactor
        self.timeout = timeout
        self.name = name
        self.payload = payload
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        var time: UInt64 = 0
        var id: UInt32 = 0
        var address: IPAddress?
        var port: UInt16 = 0
        var sourceNode = ""
        var filters: [[UInt8]]?
        var flags: UInt32 = 0
        var relayFactor: UInt8 = 0
        var timeout: Int64 = 0
        var name = ""
        var payload: [UInt8]?
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "Addr": address = try reader.address()
            case "Filters": filters = reader.skipNil() ? nil : try reader.dataList()
            case "Flags": flags = try reader.integer()
            case "ID": id = try reader.integer()
            case "LTime": time = try reader.unsigned()
            case "Name": name = try reader.string()
            case "Payload": payload = reader.skipNil() ? nil : try reader.data()
            case "Port": port = try reader.integer()
            case "RelayFactor": relayFactor = try reader.integer()
            case "SourceNode": sourceNode = try reader.optionalNodeName()
            case "Timeout": timeout = try reader.signed()
            default: try reader.skip()
            }
        }
        guard let address, port != 0 else { throw .badValue }
        self.init(
            time: time, id: id, origin: Endpoint(address: address, port: port), sourceNode: sourceNode,
            filters: filters, flags: flags, relayFactor: relayFactor, timeout: timeout, name: name, payload: payload)
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 128 + name.utf8.count + (payload?.count ?? 0))
        writer.byte(SerfType.query.rawValue)
        writer.map(11)
        writer.string("Addr")
        writer.data(origin.address.bytes)
        writer.string("Filters")
        if let filters {
            writer.array(filters.count)
            for filter in filters { writer.data(filter) }
        } else {
            writer.null()
        }
        writer.string("Flags")
        writer.unsigned(UInt64(flags))
        writer.string("ID")
        writer.unsigned(UInt64(id))
        writer.string("LTime")
        writer.unsigned(time)
        writer.string("Name")
        writer.string(name)
        writer.string("Payload")
        writer.dataOrNull(payload)
        writer.string("Port")
        writer.unsigned(UInt64(origin.port))
        writer.string("RelayFactor")
        writer.unsigned(UInt64(relayFactor))
        writer.string("SourceNode")
        writer.string(sourceNode)
        writer.string("Timeout")
        writer.signed(timeout)
        return writer.bytes
    }
}

/// An answer to a query, or the word that it was received.
struct QueryResponseMessage: Hashable, Sendable {
    var time: UInt64
    var id: UInt32
    var from: String
    var flags: UInt32
    var payload: [UInt8]?

    var isAck: Bool { flags & QueryMessage.ackFlag != 0 }

    init(time: UInt64, id: UInt32, from: String, flags: UInt32, payload: [UInt8]?) {
        self.time = time
        self.id = id
        self.from = from
        self.flags = flags
        self.payload = payload
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        self.init(time: 0, id: 0, from: "", flags: 0, payload: nil)
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "Flags": flags = try reader.integer()
            case "From": from = try reader.nodeName()
            case "ID": id = try reader.integer()
            case "LTime": time = try reader.unsigned()
            case "Payload": payload = reader.skipNil() ? nil : try reader.data()
            default: try reader.skip()
            }
        }
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 48 + from.utf8.count + (payload?.count ?? 0))
        writer.byte(SerfType.queryResponse.rawValue)
        writer.map(5)
        writer.string("Flags")
        writer.unsigned(UInt64(flags))
        writer.string("From")
        writer.string(from)
        writer.string("ID")
        writer.unsigned(UInt64(id))
        writer.string("LTime")
        writer.unsigned(time)
        writer.string("Payload")
        writer.dataOrNull(payload)
        return writer.bytes
    }
}

/// A message to be passed on to another node: the header; type byte and body follow it.
struct RelayHeader: Hashable, Sendable {
    var destination: Endpoint
    var node: String

    init(destination: Endpoint, node: String) {
        self.destination = destination
        self.node = node
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        var address: IPAddress?
        var port: UInt16 = 0
        var node = ""
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "DestAddr":
                for _ in 0..<(try reader.mapCount()) {
                    switch try reader.key() {
                    case "IP": address = try reader.address()
                    case "Port": port = try reader.integer()
                    default: try reader.skip()
                    }
                }
            case "DestName": node = try reader.optionalNodeName()
            default: try reader.skip()
            }
        }
        guard let address, port != 0 else { throw .badValue }
        self.init(destination: Endpoint(address: address, port: port), node: node)
    }

    /// The relay message around `inner`, which starts with its own type byte.
    func encode(_ inner: [UInt8]) -> [UInt8] {
        var writer = MessagePackWriter(reserving: 64 + inner.count)
        writer.byte(SerfType.relay.rawValue)
        writer.map(2)
        writer.string("DestAddr")
        writer.map(3)
        writer.string("IP")
        writer.data(destination.address.bytes)
        writer.string("Port")
        writer.unsigned(UInt64(destination.port))
        writer.string("Zone")
        writer.string("")
        writer.string("DestName")
        writer.string(node)
        writer.append(inner)
        return writer.bytes
    }
}

extension MessagePackReader {
    /// An array of byte strings.
    mutating func dataList() throws(WireFault) -> [[UInt8]] {
        let count = try arrayCount()
        var list: [[UInt8]] = []
        list.reserveCapacity(count)
        for _ in 0..<count { list.append(try data()) }
        return list
    }

    /// An array of strings.
    mutating func stringList() throws(WireFault) -> [String] {
        let count = try arrayCount()
        var list: [String] = []
        list.reserveCapacity(count)
        for _ in 0..<count { list.append(try string()) }
        return list
    }
}
