internal import NetworkTypes
internal import System

/// Reads what the kernel sent. Total: whatever the bytes are, nothing is read outside them and nothing traps.
public enum AttributeReader {
    /// Calls `body` with the type and payload of every whole attribute (`struct nlattr`); stops at the first that does
    /// not fit. The `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` bits are taken off the type.
    public static func forEach(in bytes: RawSpan, _ body: (Int, RawSpan) -> Void) {
        var offset = 0
        while let length = bytes.integer(UInt16.self, at: offset), let type = bytes.integer(UInt16.self, at: offset + 2)
        {
            guard length >= 4, offset + Int(length) <= bytes.byteCount else { return }
            body(Int(type & 0x3FFF), bytes.extracting(offset + 4..<offset + Int(length)))
            offset += aligned(Int(length))
        }
    }
}

/// The fixed part of a netlink message (`struct nlmsghdr`).
public struct MessageHeader: Equatable, Sendable {
    /// `NLMSG_*`, `RTM_*`, …
    public let type: Int
    /// `NLM_F_*`.
    public let flags: UInt16
    /// The number of the request this answers.
    public let sequence: UInt32
    /// The port of the socket this is for.
    public let port: UInt32

    /// The size of the header in bytes.
    static let size = 16

    /// Calls `body` with every message of a datagram.
    ///
    /// - Throws: what `body` throws; `EPROTO` when a message does not fit the datagram.
    static func forEach(
        in datagram: RawSpan, _ body: (MessageHeader, RawSpan) throws(NetlinkFailure) -> Void
    ) throws(NetlinkFailure) {
        var offset = 0
        while offset < datagram.byteCount {
            guard let length = datagram.integer(UInt32.self, at: offset), length >= UInt32(size),
                Int(length) <= datagram.byteCount - offset,
                let type = datagram.integer(UInt16.self, at: offset + 4),
                let flags = datagram.integer(UInt16.self, at: offset + 6),
                let sequence = datagram.integer(UInt32.self, at: offset + 8),
                let port = datagram.integer(UInt32.self, at: offset + 12)
            else { throw NetlinkFailure(.protocolError) }
            let header = MessageHeader(type: Int(type), flags: flags, sequence: sequence, port: port)
            try body(header, datagram.extracting(offset + size..<offset + Int(length)))
            offset += aligned(Int(length))
        }
    }
}

extension RawSpan {
    /// An integer in host order at an offset; nil when it does not lie inside.
    public func integer<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type, at offset: Int = 0) -> Value? {
        guard offset >= 0, offset <= byteCount - MemoryLayout<Value>.size else { return nil }
        return unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: Value.self)
    }

    /// The range, for `extracting`, of what follows a fixed header of `count` bytes; empty when nothing does.
    public func following(_ count: Int) -> Range<Int> {
        min(max(count, 0), byteCount)..<byteCount
    }

    /// The bytes, copied.
    public var array: [UInt8] { unsafe withUnsafeBytes { unsafe Array($0) } }

    /// The text up to the first NUL or the end.
    public var text: String {
        unsafe withUnsafeBytes { raw in
            let end = unsafe raw.firstIndex(of: 0) ?? raw.count
            return unsafe String(decoding: raw[..<end], as: UTF8.self)
        }
    }

    /// An IP address when there are exactly four or sixteen bytes.
    var ipAddress: IPAddress? {
        switch byteCount {
        case 4: integer(UInt32.self).map { .v4(IPv4Address(rawValue: UInt32(bigEndian: $0))) }
        case 16: integer(UInt128.self).map { .v6(IPv6Address(rawValue: UInt128(bigEndian: $0))) }
        default: nil
        }
    }

    /// A MAC address when there are exactly six bytes.
    var macAddress: MACAddress? { byteCount == 6 ? MACAddress(bytes: array) : nil }

    /// One byte read as a truth value.
    var flag: Bool? { integer(UInt8.self).map { $0 != 0 } }
}
