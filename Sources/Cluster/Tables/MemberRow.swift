public import NetworkTypes

/// That a host is on a network.
public struct MemberRow: Hashable, Sendable {
    /// Where it receives the network's VXLAN.
    public var vtep: IPAddress
    /// The MTU of containers that its underlay can carry, bytes; 0 when it is not known.
    public var mtu: UInt32
    /// The UDP port at which it receives VXLAN.
    public var port: UInt16

    /// Makes a row.
    public init(vtep: IPAddress, mtu: UInt32 = 0, port: UInt16 = 4789) {
        self.vtep = vtep
        self.mtu = mtu
        self.port = port
    }

    /// The value of the record.
    public var encoded: [UInt8] {
        var fields = FieldWriter()
        fields.add(1, vtep)
        if mtu != 0 { fields.add(2, number: UInt64(mtu)) }
        fields.add(3, number: UInt64(port))
        return fields.bytes
    }

    /// Reads a record's value; nil when it is damaged or has no VTEP.
    public init?(decoding bytes: some Sequence<UInt8>) {
        var vtep: IPAddress?
        var mtu: UInt32 = 0
        var port: UInt16 = 4789
        var reader = FieldReader(bytes)
        while let field = reader.next() {
            switch field.tag {
            case 1:
                guard let address = field.address else { return nil }
                vtep = address
            case 2:
                guard let number = field.number(upTo: UInt64(UInt32.max)) else { return nil }
                mtu = UInt32(number)
            case 3:
                guard let number = field.number(upTo: UInt64(UInt16.max)), number > 0 else { return nil }
                port = UInt16(number)
            default: break
            }
        }
        guard !reader.isBroken, let vtep else { return nil }
        self.init(vtep: vtep, mtu: mtu, port: port)
    }
}
