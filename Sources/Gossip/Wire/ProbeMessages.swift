import NetworkTypes

extension MessagePackReader {
    /// An address of 4 or 16 bytes; nothing when empty.
    mutating func address() throws(WireFault) -> IPAddress? {
        let range = try raw()
        if range.isEmpty { return nil }
        guard let address = IPAddress(bytes: bytes[range]) else { throw .badValue }
        if case .v6(let long) = address, let short = long.mappedIPv4 { return .v4(short) }
        return address
    }

    /// The name of a node.
    mutating func nodeName() throws(WireFault) -> String {
        let name = try string()
        guard NodeName.isAcceptable(name) else { throw .badText }
        return name
    }

    /// The name of a node, or nothing.
    mutating func optionalNodeName() throws(WireFault) -> String {
        let name = try string()
        guard name.isEmpty || NodeName.isAcceptable(name) else { throw .badText }
        return name
    }
}

/// Who sent a probe: where its ack goes. Absent from old senders.
struct ProbeSource: Hashable, Sendable {
    var endpoint: Endpoint
    var node: String
}

/// A probe: `node` must answer with an ack of the same number.
struct Ping: Hashable, Sendable {
    var sequence: UInt32
    var node: String
    var source: ProbeSource?

    init(sequence: UInt32, node: String, source: ProbeSource?) {
        self.sequence = sequence
        self.node = node
        self.source = source
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        var sequence: UInt32 = 0
        var node = ""
        var fields = ProbeSourceFields()
        for _ in 0..<(try reader.mapCount()) {
            let key = try reader.key()
            switch key {
            case "Node": node = try reader.optionalNodeName()
            case "SeqNo": sequence = try reader.integer()
            default: try fields.read(key, &reader)
            }
        }
        self.init(sequence: sequence, node: node, source: fields.source)
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter()
        writer.byte(MessageType.ping.rawValue)
        writer.map(source == nil ? 2 : 5)
        writer.string("Node")
        writer.string(node)
        writer.string("SeqNo")
        writer.unsigned(UInt64(sequence))
        source?.write(to: &writer)
        return writer.bytes
    }
}

/// Asks a third node to probe `node` at `target` for us.
struct IndirectPing: Hashable, Sendable {
    var sequence: UInt32
    var node: String
    var target: Endpoint
    /// Whether the helper shall say when its probe failed.
    var wantsNack: Bool
    var source: ProbeSource?

    init(sequence: UInt32, node: String, target: Endpoint, wantsNack: Bool, source: ProbeSource?) {
        self.sequence = sequence
        self.node = node
        self.target = target
        self.wantsNack = wantsNack
        self.source = source
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        var sequence: UInt32 = 0
        var node = ""
        var target: IPAddress?
        var port: UInt16 = 0
        var wantsNack = false
        var fields = ProbeSourceFields()
        for _ in 0..<(try reader.mapCount()) {
            let key = try reader.key()
            switch key {
            case "Nack": wantsNack = try reader.bool()
            case "Node": node = try reader.optionalNodeName()
            case "Port": port = try reader.integer()
            case "SeqNo": sequence = try reader.integer()
            case "Target": target = try reader.address()
            default: try fields.read(key, &reader)
            }
        }
        guard let target, port != 0 else { throw .badValue }
        self.init(
            sequence: sequence, node: node, target: Endpoint(address: target, port: port), wantsNack: wantsNack,
            source: fields.source)
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter()
        writer.byte(MessageType.indirectPing.rawValue)
        writer.map(source == nil ? 5 : 8)
        writer.string("Nack")
        writer.bool(wantsNack)
        writer.string("Node")
        writer.string(node)
        writer.string("Port")
        writer.unsigned(UInt64(target.port))
        writer.string("SeqNo")
        writer.unsigned(UInt64(sequence))
        source?.write(to: &writer)
        writer.string("Target")
        writer.data(target.address.bytes)
        return writer.bytes
    }
}

/// The three source keys while a probe is read.
private struct ProbeSourceFields {
    var address: IPAddress?
    var port: UInt16 = 0
    var node = ""

    var source: ProbeSource? {
        guard let address, port != 0 else { return nil }
        return ProbeSource(endpoint: Endpoint(address: address, port: port), node: node)
    }

    mutating func read(_ key: String, _ reader: inout MessagePackReader) throws(WireFault) {
        switch key {
        case "SourceAddr": address = try reader.address()
        case "SourceNode": node = try reader.optionalNodeName()
        case "SourcePort": port = try reader.integer()
        default: try reader.skip()
        }
    }
}

extension ProbeSource {
    fileprivate func write(to writer: inout MessagePackWriter) {
        writer.string("SourceAddr")
        writer.data(endpoint.address.bytes)
        writer.string("SourceNode")
        writer.string(node)
        writer.string("SourcePort")
        writer.unsigned(UInt64(endpoint.port))
    }
}

/// The answer to a probe; the payload is serf's network coordinate.
struct Ack: Hashable, Sendable {
    var sequence: UInt32
    var payload: [UInt8]?

    init(sequence: UInt32, payload: [UInt8]?) {
        self.sequence = sequence
        self.payload = payload
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        sequence = 0
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "Payload": payload = reader.skipNil() ? nil : try reader.data()
            case "SeqNo": sequence = try reader.integer()
            default: try reader.skip()
            }
        }
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 24 + (payload?.count ?? 0))
        writer.byte(MessageType.ack.rawValue)
        writer.map(2)
        writer.string("Payload")
        writer.dataOrNull(payload)
        writer.string("SeqNo")
        writer.unsigned(UInt64(sequence))
        return writer.bytes
    }
}

/// A helper's word that its indirect probe was not answered.
struct Nack: Hashable, Sendable {
    var sequence: UInt32

    init(sequence: UInt32) { self.sequence = sequence }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        sequence = 0
        for _ in 0..<(try reader.mapCount()) {
            if try reader.key() == "SeqNo" { sequence = try reader.integer() } else { try reader.skip() }
        }
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 16)
        writer.byte(MessageType.nack.rawValue)
        writer.map(1)
        writer.string("SeqNo")
        writer.unsigned(UInt64(sequence))
        return writer.bytes
    }
}

/// The text of a failure, sent on a stream before it is closed.
struct ErrorReport: Hashable, Sendable {
    var text: String

    init(text: String) { self.text = text }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        text = ""
        for _ in 0..<(try reader.mapCount()) {
            if try reader.key() == "Error" { text = try reader.string() } else { try reader.skip() }
        }
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter()
        writer.byte(MessageType.error.rawValue)
        writer.map(1)
        writer.string("Error")
        writer.string(text)
        return writer.bytes
    }
}
