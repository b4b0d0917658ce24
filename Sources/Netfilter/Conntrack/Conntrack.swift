internal import CLibNFTNL
internal import Netlink
public import NetworkTypes
public import System

/// Which tracked connections are meant: those for which everything given holds.
public struct ConnectionMatch: Hashable, Sendable {
    /// The transport protocol.
    public let transport: TransportProtocol?
    /// The port the first packet was sent to.
    public let originalPort: UInt16?
    /// The address the first packet was sent to.
    public let originalDestination: IPAddress?
    /// The address that answers: where the connection was translated to, else the original destination.
    public let replySource: IPAddress?

    /// Describes connections.
    public init(
        _ transport: TransportProtocol? = nil, originalPort: UInt16? = nil, originalDestination: IPAddress? = nil,
        replySource: IPAddress? = nil
    ) {
        self.transport = transport
        self.originalPort = originalPort
        self.originalDestination = originalDestination
        self.replySource = replySource
    }
}

/// The kernel's table of tracked connections (ctnetlink).
///
/// A flow that was seen before a port was forwarded, or after its container went, keeps its translation as long as
/// packets come: for UDP and SCTP that can be for ever. Equivalent: `conntrack -D`.
public final class Conntrack {
    private let session: NetlinkSession

    /// Opens the table of the calling thread's namespace.
    public init() throws(NetfilterError) {
        do {
            session = try NetlinkSession(protocolNumber: NETLINK_NETFILTER)
        } catch {
            throw NetfilterError.system(error).orUnavailable("ctnetlink")
        }
    }

    /// Opens the table of `namespace`.
    public init(in namespace: borrowing NetworkNamespace) throws(NetfilterError) {
        do {
            session = try NetlinkSession(protocolNumber: NETLINK_NETFILTER, in: namespace)
        } catch {
            throw NetfilterError.system(error).orUnavailable("ctnetlink")
        }
    }

    /// Removes the connections that fit any of the matches. Equivalent: `conntrack -D -p udp --orig-port-dst 53`.
    ///
    /// - Returns: how many were removed; one that ended meanwhile is no error.
    @discardableResult
    public func remove(_ matches: [ConnectionMatch]) throws(NetfilterError) -> Int {
        guard !matches.isEmpty else { return 0 }
        let found = try connections().filter { connection in matches.contains { connection.fits($0) } }
        let failures = session.batch(found.count) { index, builder in
            builder.beginNetfilter(
                subsystem: NFNL_SUBSYS_CTNETLINK, message: IPCTNL_MSG_CT_DELETE.rawValue,
                flags: NLM_F_REQUEST | NLM_F_ACK, family: found[index].family)
            found[index].original.encode(into: &builder, CTA_TUPLE_ORIG.rawValue)
            if let zone = found[index].zone { builder.put(Int(CTA_ZONE.rawValue), bytes: zone) }
            // Another connection may have the same addresses and ports by now; the kernel tells them by this number.
            if let identifier = found[index].identifier { builder.put(Int(CTA_ID.rawValue), bytes: identifier) }
        }
        let errors = failures.compactMap { $0 }.filter { $0.errno != .noSuchFileOrDirectory }
        if let error = errors.first {
            throw .kernel(subject: "delete conntrack entry", errno: error.errno, message: error.message)
        }
        return found.count - failures.count { $0 != nil }
    }

    /// The number of connections that fit a match.
    public func count(_ match: ConnectionMatch) throws(NetfilterError) -> Int {
        try connections().count { $0.fits(match) }
    }

    private func connections() throws(NetfilterError) -> [TrackedConnection] {
        do {
            return try session.dump { builder in
                builder.beginNetfilter(
                    subsystem: NFNL_SUBSYS_CTNETLINK, message: IPCTNL_MSG_CT_GET.rawValue,
                    flags: NLM_F_REQUEST | NLM_F_DUMP, family: 0)
            } decode: { (_, payload, values: inout [TrackedConnection]) in
                guard let connection = TrackedConnection(payload) else { return true }
                values.append(connection)
                return true
            }
        } catch {
            let refusal = NetfilterError.kernel(
                subject: "list conntrack entries", errno: error.errno, message: error.message)
            throw refusal.orUnavailable("ctnetlink")
        }
    }
}

/// A connection as the kernel lists it.
struct TrackedConnection {
    let family: UInt8
    let original: ConnectionTuple
    let reply: ConnectionTuple
    let zone: [UInt8]?
    let identifier: [UInt8]?

    /// Reads a message (`struct nfgenmsg`, `CTA_*`); nil when it is not whole.
    init?(_ payload: RawSpan) {
        guard let family = payload.integer(UInt8.self) else { return nil }
        var original: ConnectionTuple?, reply: ConnectionTuple?
        var zone: [UInt8]?, identifier: [UInt8]?
        AttributeReader.forEach(in: payload.extracting(payload.following(4))) { type, value in
            switch UInt32(type) {
            case CTA_TUPLE_ORIG.rawValue: original = ConnectionTuple(value)
            case CTA_TUPLE_REPLY.rawValue: reply = ConnectionTuple(value)
            case CTA_ZONE.rawValue: zone = value.array
            case CTA_ID.rawValue: identifier = value.array
            default: break
            }
        }
        guard let original, let reply else { return nil }
        self.family = family
        self.original = original
        self.reply = reply
        self.zone = zone
        self.identifier = identifier
    }

    func fits(_ match: ConnectionMatch) -> Bool {
        if let transport = match.transport, original.transport != transport { return false }
        if let port = match.originalPort, original.destinationPort != port { return false }
        if let address = match.originalDestination, original.destination != address { return false }
        if let address = match.replySource, reply.source != address { return false }
        return true
    }
}

/// One direction of a connection (`CTA_TUPLE_*`), kept as it came so that it can be sent back.
struct ConnectionTuple {
    private var addresses: [(type: Int, bytes: [UInt8])] = []
    private var ports: [(type: Int, bytes: [UInt8])] = []

    init(_ payload: RawSpan) {
        var addresses: [(type: Int, bytes: [UInt8])] = []
        var ports: [(type: Int, bytes: [UInt8])] = []
        AttributeReader.forEach(in: payload) { type, nest in
            AttributeReader.forEach(in: nest) { inner, value in
                if type == Int(CTA_TUPLE_IP.rawValue) { addresses.append((inner, value.array)) }
                if type == Int(CTA_TUPLE_PROTO.rawValue) { ports.append((inner, value.array)) }
            }
        }
        self.addresses = addresses
        self.ports = ports
    }

    func encode(into builder: inout MessageBuilder, _ type: UInt32) {
        builder.nest(Int(type)) { builder in
            builder.nest(Int(CTA_TUPLE_IP.rawValue)) { builder in
                for (type, bytes) in addresses { builder.put(type, bytes: bytes) }
            }
            builder.nest(Int(CTA_TUPLE_PROTO.rawValue)) { builder in
                for (type, bytes) in ports { builder.put(type, bytes: bytes) }
            }
        }
    }

    var transport: TransportProtocol? {
        ports.first { $0.type == Int(CTA_PROTO_NUM.rawValue) }?.bytes.first.map(TransportProtocol.init(rawValue:))
    }
    var destinationPort: UInt16? {
        guard let bytes = ports.first(where: { $0.type == Int(CTA_PROTO_DST_PORT.rawValue) })?.bytes,
            case .port(let port) = Datum(.inet_service, bytes)
        else { return nil }
        return port
    }
    var source: IPAddress? { address(CTA_IP_V4_SRC.rawValue, CTA_IP_V6_SRC.rawValue) }
    var destination: IPAddress? { address(CTA_IP_V4_DST.rawValue, CTA_IP_V6_DST.rawValue) }

    private func address(_ v4: UInt32, _ v6: UInt32) -> IPAddress? {
        addresses.first { $0.type == Int(v4) || $0.type == Int(v6) }.flatMap { IPAddress(bytes: $0.bytes) }
    }
}
