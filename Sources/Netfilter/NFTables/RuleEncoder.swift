internal import CLibNFTNL
internal import NetworkTypes

/// Turns a rule's statements into the kernel's expressions, in the shape `nft` gives them, so that `nft list` can read
/// them back.
struct RuleEncoder {
    private let family: TableFamily
    /// The protocol that earlier statements made sure of.
    private var known: AddressFamily?

    private static let firstRegister = UInt32(NFT_REG_1.rawValue)

    static func encode(_ rule: Rule, in table: Table.Identifier, chain: String) -> LibraryRule {
        let result = LibraryRule(table, chain: chain)
        var encoder = RuleEncoder(family: table.family)
        for statement in rule.statements { encoder.append(statement, to: result) }
        let data = userData(type: UInt8(NFTNL_UDATA_RULE_COMMENT.rawValue), text: rule.comment)
        if !data.isEmpty { result.set(userData: data) }
        return result
    }

    private init(family: TableFamily) {
        self.family = family
        known =
            switch family {
            case .ip: .ipv4
            case .ip6: .ipv6
            case .inet, .bridge: nil
            }
    }

    private mutating func append(_ statement: Statement, to rule: borrowing LibraryRule) {
        switch statement {
        case .match(let selector, let value, let negated):
            require(selector.family, rule)
            load(selector, Self.firstRegister, rule)
            compare(value.bytes, isEqual: !negated, rule)
        case .network(let selector, let network, let negated):
            require(selector.family, rule)
            append(network, of: selector, isEqual: !negated, rule)
        case .family(let family): require(family, rule)
        case .isLocalDestination:
            let fib = LibraryExpression("fib")
            fib.set(NFTNL_EXPR_FIB_DREG, Self.firstRegister)
            fib.set(NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE.rawValue)
            fib.set(NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR.rawValue)
            rule.append(fib)
            compare(hostOrderBytes(UInt32(Self.localRouteType)), isEqual: true, rule)
        case .connectionState(let state): appendFlags(NFT_CT_STATE.rawValue, state.rawValue, rule)
        case .isDestinationTranslated: appendFlags(NFT_CT_STATUS.rawValue, IPS_DST_NAT.rawValue, rule)
        case .lookup(let selectors, let set, let negated):
            append(selectors, lookup: set, into: nil, flags: negated ? UInt32(NFT_LOOKUP_F_INV.rawValue) : 0, rule)
        case .verdictMap(let selectors, let map):
            append(selectors, lookup: map, into: UInt32(NFT_REG_VERDICT.rawValue), flags: 0, rule)
        case .counter: rule.append(LibraryExpression("counter"))
        case .setMark(let mark):
            immediate(hostOrderBytes(mark), Self.firstRegister, rule)
            let meta = LibraryExpression("meta")
            meta.set(NFTNL_EXPR_META_KEY, NFT_META_MARK.rawValue)
            meta.set(NFTNL_EXPR_META_SREG, Self.firstRegister)
            rule.append(meta)
        case .verdict(let verdict):
            let immediate = LibraryExpression("immediate")
            immediate.set(NFTNL_EXPR_IMM_DREG, UInt32(NFT_REG_VERDICT.rawValue))
            immediate.set(NFTNL_EXPR_IMM_VERDICT, UInt32(bitPattern: verdict.code))
            if let chain = verdict.chain { immediate.set(NFTNL_EXPR_IMM_CHAIN, text: chain) }
            rule.append(immediate)
        case .masquerade: rule.append(LibraryExpression("masq"))
        case .destinationTo(let address, let port): translate(NFT_NAT_DNAT.rawValue, address, port, rule)
        case .sourceTo(let address): translate(NFT_NAT_SNAT.rawValue, address, nil, rule)
        case .destinationMap(let family, let selectors, let map):
            append(selectors, lookup: map, into: Self.firstRegister, flags: 0, rule)
            let nat = Self.nat(NFT_NAT_DNAT.rawValue, family)
            // The port lies behind the address in the registers, which count four bytes from NFT_REG32_00 on.
            let behind = UInt32(NFT_REG32_00.rawValue) + UInt32(family.bits / 32)
            nat.set(NFTNL_EXPR_NAT_REG_PROTO_MIN, family == .ipv4 ? behind : UInt32(NFT_REG_2.rawValue))
            rule.append(nat)
        }
    }

    // MARK: Loading

    /// Makes sure of the protocol before a field of it is read.
    private mutating func require(_ family: AddressFamily?, _ rule: borrowing LibraryRule) {
        guard let family, family != known else { return }
        known = family
        let protocolNumber = family == .ipv4 ? TableFamily.ip.rawValue : TableFamily.ip6.rawValue
        if self.family == .bridge {
            meta(NFT_META_PROTOCOL.rawValue, Self.firstRegister, rule)
            compare(family == .ipv4 ? [0x08, 0x00] : [0x86, 0xDD], isEqual: true, rule)
        } else {
            meta(NFT_META_NFPROTO.rawValue, Self.firstRegister, rule)
            compare([protocolNumber], isEqual: true, rule)
        }
    }

    private func load(_ selector: Selector, _ register: UInt32, _ rule: borrowing LibraryRule) {
        switch selector {
        case .transport: meta(NFT_META_L4PROTO.rawValue, register, rule)
        case .inputInterface: meta(NFT_META_IIFNAME.rawValue, register, rule)
        case .outputInterface: meta(NFT_META_OIFNAME.rawValue, register, rule)
        case .mark: meta(NFT_META_MARK.rawValue, register, rule)
        default:
            if let place = selector.payload { payload(place, length: place.length, register, rule) }
        }
    }

    private mutating func append(
        _ selectors: [Selector], lookup set: String, into register: UInt32?, flags: UInt32,
        _ rule: borrowing LibraryRule
    ) {
        for selector in selectors { require(selector.family, rule) }
        var next: UInt32 = 0
        for selector in selectors {
            load(selector, Self.register(next), rule)
            next += UInt32((selector.type.size + 3) / 4)
        }
        let lookup = LibraryExpression("lookup")
        lookup.set(NFTNL_EXPR_LOOKUP_SREG, Self.firstRegister)
        if let register { lookup.set(NFTNL_EXPR_LOOKUP_DREG, register) }
        lookup.set(NFTNL_EXPR_LOOKUP_SET, text: set)
        if flags != 0 { lookup.set(NFTNL_EXPR_LOOKUP_FLAGS, flags) }
        rule.append(lookup)
    }

    /// The register that begins at a word of four bytes; whole ones by their old number, as the kernel lists them.
    static func register(_ word: UInt32) -> UInt32 {
        word % 4 == 0 ? UInt32(NFT_REG_1.rawValue) + word / 4 : UInt32(NFT_REG32_00.rawValue) + word
    }

    private func append(
        _ network: IPPrefix, of selector: Selector, isEqual: Bool, _ rule: borrowing LibraryRule
    ) {
        guard let place = selector.payload else { return }
        let bytes = network.first.bytes
        if network.length % 8 == 0 {
            payload(place, length: UInt32(network.length / 8), Self.firstRegister, rule)
            compare(Array(bytes.prefix(network.length / 8)), isEqual: isEqual, rule)
        } else {
            payload(place, length: place.length, Self.firstRegister, rule)
            let mask = IPAddress(family: network.family, number: network.mask).bytes
            mask8(mask, rule)
            compare(bytes, isEqual: isEqual, rule)
        }
    }

    private func appendFlags(_ key: UInt32, _ flags: UInt32, _ rule: borrowing LibraryRule) {
        let ct = LibraryExpression("ct")
        ct.set(NFTNL_EXPR_CT_KEY, key)
        ct.set(NFTNL_EXPR_CT_DREG, Self.firstRegister)
        rule.append(ct)
        mask8(hostOrderBytes(flags), rule)
        compare([0, 0, 0, 0], isEqual: false, rule)
    }

    private func meta(_ key: UInt32, _ register: UInt32, _ rule: borrowing LibraryRule) {
        let meta = LibraryExpression("meta")
        meta.set(NFTNL_EXPR_META_KEY, key)
        meta.set(NFTNL_EXPR_META_DREG, register)
        rule.append(meta)
    }

    private func payload(_ place: PayloadPlace, length: UInt32, _ register: UInt32, _ rule: borrowing LibraryRule) {
        let payload = LibraryExpression("payload")
        payload.set(NFTNL_EXPR_PAYLOAD_DREG, register)
        payload.set(NFTNL_EXPR_PAYLOAD_BASE, place.base)
        payload.set(NFTNL_EXPR_PAYLOAD_OFFSET, place.offset)
        payload.set(NFTNL_EXPR_PAYLOAD_LEN, length)
        rule.append(payload)
    }

    private func mask8(_ mask: [UInt8], _ rule: borrowing LibraryRule) {
        let bitwise = LibraryExpression("bitwise")
        bitwise.set(NFTNL_EXPR_BITWISE_SREG, Self.firstRegister)
        bitwise.set(NFTNL_EXPR_BITWISE_DREG, Self.firstRegister)
        bitwise.set(NFTNL_EXPR_BITWISE_LEN, UInt32(mask.count))
        bitwise.set(NFTNL_EXPR_BITWISE_MASK, bytes: mask)
        bitwise.set(NFTNL_EXPR_BITWISE_XOR, bytes: [UInt8](repeating: 0, count: mask.count))
        rule.append(bitwise)
    }

    private func compare(_ bytes: [UInt8], isEqual: Bool, _ rule: borrowing LibraryRule) {
        let compare = LibraryExpression("cmp")
        compare.set(NFTNL_EXPR_CMP_SREG, Self.firstRegister)
        compare.set(NFTNL_EXPR_CMP_OP, isEqual ? NFT_CMP_EQ.rawValue : NFT_CMP_NEQ.rawValue)
        compare.set(NFTNL_EXPR_CMP_DATA, bytes: bytes)
        rule.append(compare)
    }

    // MARK: Translating

    private func immediate(_ bytes: [UInt8], _ register: UInt32, _ rule: borrowing LibraryRule) {
        let immediate = LibraryExpression("immediate")
        immediate.set(NFTNL_EXPR_IMM_DREG, register)
        immediate.set(NFTNL_EXPR_IMM_DATA, bytes: bytes)
        rule.append(immediate)
    }

    private static func nat(_ kind: UInt32, _ family: AddressFamily) -> LibraryExpression {
        let nat = LibraryExpression("nat")
        nat.set(NFTNL_EXPR_NAT_TYPE, kind)
        nat.set(
            NFTNL_EXPR_NAT_FAMILY, UInt32(family == .ipv4 ? TableFamily.ip.rawValue : TableFamily.ip6.rawValue))
        nat.set(NFTNL_EXPR_NAT_REG_ADDR_MIN, firstRegister)
        return nat
    }

    private func translate(_ kind: UInt32, _ address: IPAddress, _ port: UInt16?, _ rule: borrowing LibraryRule) {
        immediate(address.bytes, Self.firstRegister, rule)
        if let port { immediate(Datum.port(port).bytes, UInt32(NFT_REG_2.rawValue), rule) }
        let nat = Self.nat(kind, address.family)
        if port != nil {
            nat.set(NFTNL_EXPR_NAT_REG_PROTO_MIN, UInt32(NFT_REG_2.rawValue))
            nat.set(NFTNL_EXPR_NAT_FLAGS, UInt32(NF_NAT_RANGE_PROTO_SPECIFIED))
        }
        rule.append(nat)
    }

    /// `RTN_LOCAL`.
    static let localRouteType = 2
}

/// Where a field lies in a packet.
struct PayloadPlace: Equatable {
    let base: UInt32
    let offset: UInt32
    let length: UInt32
}

extension Selector {
    /// Where the field lies; nil for what is not in the packet.
    var payload: PayloadPlace? {
        let link = NFT_PAYLOAD_LL_HEADER.rawValue
        let network = NFT_PAYLOAD_NETWORK_HEADER.rawValue
        let transport = NFT_PAYLOAD_TRANSPORT_HEADER.rawValue
        switch self {
        case .ipSource: return PayloadPlace(base: network, offset: 12, length: 4)
        case .ipDestination: return PayloadPlace(base: network, offset: 16, length: 4)
        case .ip6Source: return PayloadPlace(base: network, offset: 8, length: 16)
        case .ip6Destination: return PayloadPlace(base: network, offset: 24, length: 16)
        case .sourcePort: return PayloadPlace(base: transport, offset: 0, length: 2)
        case .destinationPort: return PayloadPlace(base: transport, offset: 2, length: 2)
        case .etherSource: return PayloadPlace(base: link, offset: 6, length: 6)
        case .vxlanIdentifier: return PayloadPlace(base: transport, offset: 12, length: 3)
        default: return nil
        }
    }
}
