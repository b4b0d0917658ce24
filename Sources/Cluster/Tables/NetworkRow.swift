public import NetworkTypes

/// The definition of a network as its owner has it. The record's key is the network's name.
public struct NetworkRow: Hashable, Sendable {
    /// One subnet of a network.
    public struct Subnet: Hashable, Sendable {
        /// The subnet.
        public var prefix: IPPrefix
        /// The address of br0 on every host; nil for none.
        public var gateway: IPAddress?
        /// The only addresses to hand out; nil for all of the subnet.
        public var range: ClosedRange<IPAddress>?

        /// Makes a subnet.
        public init(prefix: IPPrefix, gateway: IPAddress? = nil, range: ClosedRange<IPAddress>? = nil) {
            self.prefix = prefix
            self.gateway = gateway
            self.range = range
        }
    }

    /// The most subnets, and the most options.
    public static let listLimit = 16

    /// The subnets, at most 16.
    public var subnets: [Subnet]
    /// The VXLAN network identifier, 1…16 777 215.
    public var vni: UInt32
    /// The UDP port of VXLAN.
    public var port: UInt16
    /// The MTU that the definition asks for, bytes; 0 when it follows the underlay.
    public var mtu: UInt32
    /// Whether containers get no way out.
    public var isInternal: Bool
    /// Driver options, at most 16.
    public var options: [String: String]
    /// A digest of the definition, at most 64 bytes: two that differ are two networks of one name.
    public var digest: [UInt8]
    /// Whether its owner announces it on an operator's order, rather than for its containers alone. Not part of the definition.
    public var isKept = false

    /// Makes a row.
    public init(
        subnets: [Subnet], vni: UInt32, port: UInt16 = 4789, mtu: UInt32 = 0, isInternal: Bool = false,
        options: [String: String] = [:], digest: [UInt8] = []
    ) {
        self.subnets = subnets
        self.vni = vni
        self.port = port
        self.mtu = mtu
        self.isInternal = isInternal
        self.options = options
        self.digest = digest
    }

    /// The value of the record.
    public var encoded: [UInt8] {
        var fields = FieldWriter()
        for subnet in subnets.prefix(Self.listLimit) { fields.add(1, subnet.encoded) }
        fields.add(2, number: UInt64(vni))
        fields.add(3, number: UInt64(port))
        if mtu != 0 { fields.add(4, number: UInt64(mtu)) }
        if isInternal { fields.add(5, []) }
        for (name, text) in options.sorted(by: { $0.key < $1.key }).prefix(Self.listLimit) {
            var option = FieldWriter()
            option.add(1, name)
            option.add(2, text)
            fields.add(6, option.bytes)
        }
        if !digest.isEmpty { fields.add(7, digest) }
        if isKept { fields.add(8, []) }
        return fields.bytes
    }

    /// Reads a record's value; nil when it is damaged or has no VNI.
    public init?(decoding bytes: some Sequence<UInt8>) {
        self.init(subnets: [], vni: 0)
        var reader = FieldReader(bytes)
        while let field = reader.next() {
            switch field.tag {
            case 1:
                guard let subnet = Subnet(decoding: field.content), subnets.count < Self.listLimit else { return nil }
                subnets.append(subnet)
            case 2:
                guard let number = field.number(upTo: 0xFF_FFFF) else { return nil }
                vni = UInt32(number)
            case 3:
                guard let number = field.number(upTo: UInt64(UInt16.max)), number > 0 else { return nil }
                port = UInt16(number)
            case 4:
                guard let number = field.number(upTo: UInt64(UInt32.max)) else { return nil }
                mtu = UInt32(number)
            case 5: isInternal = true
            case 6:
                guard let (name, text) = Self.option(field.content), options.count < Self.listLimit else { return nil }
                options[name] = text
            case 7:
                guard field.content.count <= 64 else { return nil }
                digest = Array(field.content)
            case 8: isKept = true
            default: break
            }
        }
        guard !reader.isBroken, vni != 0 else { return nil }
    }

    private static func option(_ bytes: ArraySlice<UInt8>) -> (String, String)? {
        var name: String?
        var text = ""
        var reader = FieldReader(bytes)
        while let field = reader.next() {
            guard let content = field.text() else { return nil }
            if field.tag == 1 { name = content }
            if field.tag == 2 { text = content }
        }
        guard !reader.isBroken, let name else { return nil }
        return (name, text)
    }
}

extension NetworkRow.Subnet {
    var encoded: [UInt8] {
        var fields = FieldWriter()
        fields.add(1, prefix)
        if let gateway { fields.add(2, gateway) }
        if let range {
            fields.add(3, range.lowerBound)
            fields.add(4, range.upperBound)
        }
        return fields.bytes
    }

    init?(decoding bytes: some Sequence<UInt8>) {
        var prefix: IPPrefix?
        var gateway: IPAddress?
        var (first, last): (IPAddress?, IPAddress?) = (nil, nil)
        var reader = FieldReader(bytes)
        while let field = reader.next() {
            switch field.tag {
            case 1:
                guard let value = field.prefix else { return nil }
                prefix = value
            case 2, 3, 4:
                guard let address = field.address else { return nil }
                if field.tag == 2 { gateway = address }
                if field.tag == 3 { first = address }
                if field.tag == 4 { last = address }
            default: break
            }
        }
        guard !reader.isBroken, let prefix else { return nil }
        self.init(prefix: prefix, gateway: gateway)
        switch (first, last) {
        case (nil, nil): break
        case (let first?, let last?):
            guard first.family == last.family, first <= last else { return nil }
            range = first...last
        default: return nil
        }
    }
}
