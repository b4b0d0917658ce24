internal import CLibNFTNL
internal import Netlink
internal import NetworkTypes

/// Reads the kernel's expressions back into statements. What this suite does not write is passed over.
struct RuleDecoder {
    private enum Loaded {
        case selector(Selector, length: Int)
        case familyNumber
        case protocolNumber
        case addressType
        case state
        case status
        case value([UInt8])
    }

    /// What was understood.
    private(set) var statements: [Statement] = []
    /// What its counter has counted.
    private(set) var packets: UInt64?
    private var registers: [Int: Loaded] = [:]
    private var mask: [UInt8]?
    /// A map whose value lies in the registers.
    private var translation: (selectors: [Selector], map: String)?
    /// What was made sure of, but not yet used.
    private var pendingFamily: AddressFamily?
    /// Whether all was.
    private(set) var isUnderstood = true
    /// Whether the packet is rejected, by nf_tables' own expression or by an xtables target.
    private(set) var isRefusing = false
    /// What an xtables match that is nothing but a comment says; nf_tables' own comments are not among the expressions.
    private(set) var comment: String?

    /// Reads the list of expressions (`NFTA_RULE_EXPRESSIONS`).
    static func decode(_ expressions: RawSpan) -> RuleDecoder {
        var decoder = RuleDecoder()
        AttributeReader.forEach(in: expressions) { _, expression in
            var name = ""
            AttributeReader.forEach(in: expression) { type, payload in
                if type == Int(NFTA_EXPR_NAME.rawValue) { name = payload.text }
            }
            var attributes: [Int: [UInt8]] = [:]
            AttributeReader.forEach(in: expression) { type, payload in
                guard type == Int(NFTA_EXPR_DATA.rawValue) else { return }
                AttributeReader.forEach(in: payload) { attributes[$0] = $1.array }
            }
            decoder.read(name, Attributes(attributes))
        }
        decoder.settleFamily(nil)
        return decoder
    }

    /// The register as the number of its first word of four bytes; nil for the verdict register.
    private static func word(_ register: UInt32) -> Int? {
        switch register {
        case UInt32(NFT_REG_1.rawValue)...UInt32(NFT_REG_4.rawValue): Int(register - 1) * 4
        case UInt32(NFT_REG32_00.rawValue)...: Int(register) - Int(NFT_REG32_00.rawValue)
        default: nil
        }
    }

    private mutating func read(_ name: String, _ attributes: Attributes) {
        switch name {
        case "payload": readPayload(attributes)
        case "meta": readMeta(attributes)
        case "ct":
            switch attributes.number(NFTA_CT_KEY.rawValue) {
            case NFT_CT_STATE.rawValue: load(.state, attributes.number(NFTA_CT_DREG.rawValue))
            case NFT_CT_STATUS.rawValue: load(.status, attributes.number(NFTA_CT_DREG.rawValue))
            default: isUnderstood = false
            }
        case "fib":
            let isType = attributes.number(NFTA_FIB_RESULT.rawValue) == NFT_FIB_RESULT_ADDRTYPE.rawValue
            let isDestination = attributes.number(NFTA_FIB_FLAGS.rawValue) == NFTA_FIB_F_DADDR.rawValue
            guard isType, isDestination else {
                isUnderstood = false
                return
            }
            load(.addressType, attributes.number(NFTA_FIB_DREG.rawValue))
        case "bitwise": mask = attributes.data(NFTA_BITWISE_MASK.rawValue)
        case "cmp": readComparison(attributes)
        case "lookup": readLookup(attributes)
        case "immediate": readImmediate(attributes)
        case "counter":
            packets = attributes.number64(NFTA_COUNTER_PACKETS.rawValue)
            append(.counter)
        case "masq": append(.masquerade)
        case "nat": readTranslation(attributes)
        case "reject", "target":
            isUnderstood = false
            if name == "reject" || attributes.text(NFTA_TARGET_NAME.rawValue) == "REJECT" { isRefusing = true }
        case "match":
            isUnderstood = false
            if attributes.text(NFTA_MATCH_NAME.rawValue) == "comment" {
                comment = attributes.text(NFTA_MATCH_INFO.rawValue)
            }
        default: isUnderstood = false
        }
    }

    // MARK: Loading

    private mutating func load(_ value: Loaded, _ register: UInt32?) {
        guard let register, let word = Self.word(register) else {
            isUnderstood = false
            return
        }
        registers[word] = value
    }

    private mutating func readPayload(_ attributes: Attributes) {
        guard let base = attributes.number(NFTA_PAYLOAD_BASE.rawValue),
            let offset = attributes.number(NFTA_PAYLOAD_OFFSET.rawValue),
            let length = attributes.number(NFTA_PAYLOAD_LEN.rawValue)
        else {
            isUnderstood = false
            return
        }
        let all: [Selector] = [
            .ipSource, .ipDestination, .ip6Source, .ip6Destination, .sourcePort, .destinationPort, .etherSource,
            .vxlanIdentifier,
        ]
        let fitting = all.filter { selector in
            guard let place = selector.payload else { return false }
            let isNetwork = selector.family != nil
            let fits = isNetwork ? length <= place.length : length == place.length
            return place.base == base && place.offset == offset && fits
                && (pendingFamily == nil || selector.family == nil || selector.family == pendingFamily)
        }
        // With the protocol unknown (a table of one family) the length decides.
        guard let selector = fitting.first(where: { $0.payload?.length == length }) ?? fitting.first else {
            isUnderstood = false
            return
        }
        load(.selector(selector, length: Int(length)), attributes.number(NFTA_PAYLOAD_DREG.rawValue))
    }

    private mutating func readMeta(_ attributes: Attributes) {
        let key = attributes.number(NFTA_META_KEY.rawValue)
        if let source = attributes.number(NFTA_META_SREG.rawValue) {
            guard key == NFT_META_MARK.rawValue, let word = Self.word(source),
                case .value(let bytes) = registers.removeValue(forKey: word), bytes.count == 4
            else {
                isUnderstood = false
                return
            }
            return append(.setMark(hostOrderNumber(bytes)))
        }
        let loaded: Loaded
        switch key {
        case NFT_META_NFPROTO.rawValue: loaded = .familyNumber
        case NFT_META_PROTOCOL.rawValue: loaded = .protocolNumber
        case NFT_META_L4PROTO.rawValue: loaded = .selector(.transport, length: 1)
        case NFT_META_IIFNAME.rawValue: loaded = .selector(.inputInterface, length: 16)
        case NFT_META_OIFNAME.rawValue: loaded = .selector(.outputInterface, length: 16)
        case NFT_META_MARK.rawValue: loaded = .selector(.mark, length: 4)
        default:
            isUnderstood = false
            return
        }
        load(loaded, attributes.number(NFTA_META_DREG.rawValue))
    }

    /// The fields that lie in the registers from the first on.
    private mutating func takeSelectors() -> [Selector]? {
        var result: [Selector] = []
        for word in registers.keys.sorted() {
            guard case .selector(let selector, _) = registers[word] else { return nil }
            result.append(selector)
        }
        registers = [:]
        return result.isEmpty ? nil : result
    }

    // MARK: Using

    private mutating func append(_ statement: Statement, family: AddressFamily? = nil) {
        settleFamily(family)
        statements.append(statement)
    }

    /// A check of the protocol that the next field needs is no statement of its own.
    private mutating func settleFamily(_ used: AddressFamily?) {
        if let pending = pendingFamily, pending != used { statements.append(.family(pending)) }
        pendingFamily = nil
    }

    private mutating func readComparison(_ attributes: Attributes) {
        defer { mask = nil }
        guard let register = attributes.number(NFTA_CMP_SREG.rawValue), let word = Self.word(register),
            let data = attributes.data(NFTA_CMP_DATA.rawValue), let loaded = registers.removeValue(forKey: word)
        else {
            isUnderstood = false
            return
        }
        let isNegated = attributes.number(NFTA_CMP_OP.rawValue) == NFT_CMP_NEQ.rawValue
        switch loaded {
        case .familyNumber: pendingFamily = data.first == TableFamily.ip6.rawValue ? .ipv6 : .ipv4
        case .protocolNumber: pendingFamily = data.first == 0x86 ? .ipv6 : .ipv4
        case .addressType:
            guard data.count == 4, hostOrderNumber(data) == UInt32(RuleEncoder.localRouteType) else {
                isUnderstood = false
                return
            }
            append(.isLocalDestination)
        case .state: append(.connectionState(ConnectionState(rawValue: mask.map(hostOrderNumber) ?? 0)))
        case .status:
            guard mask.map(hostOrderNumber) == IPS_DST_NAT.rawValue else {
                isUnderstood = false
                return
            }
            append(.isDestinationTranslated)
        case .selector(let selector, let length):
            if let family = selector.family, mask != nil || length < family.bits / 8 {
                let number = IPAddress(
                    bytes: data + [UInt8](repeating: 0, count: family.bits / 8 - min(data.count, family.bits / 8)))
                let prefixLength = mask.map { $0.reduce(0) { $0 + $1.nonzeroBitCount } } ?? length * 8
                guard let address = number, let network = IPPrefix(address, length: prefixLength) else {
                    isUnderstood = false
                    return
                }
                return append(.network(selector, network, isNegated: isNegated), family: family)
            }
            guard let datum = Datum(selector.type, data) else {
                isUnderstood = false
                return
            }
            append(.match(selector, datum, isNegated: isNegated), family: selector.family)
        case .value: isUnderstood = false
        }
    }

    private mutating func readLookup(_ attributes: Attributes) {
        guard let set = attributes.text(NFTA_LOOKUP_SET.rawValue), let selectors = takeSelectors() else {
            isUnderstood = false
            return
        }
        let family = selectors.lazy.compactMap(\.family).first
        switch attributes.number(NFTA_LOOKUP_DREG.rawValue) {
        case nil:
            let flags = attributes.number(NFTA_LOOKUP_FLAGS.rawValue) ?? 0
            append(
                .lookup(selectors, set: set, isNegated: flags & UInt32(NFT_LOOKUP_F_INV.rawValue) != 0), family: family)
        case UInt32(NFT_REG_VERDICT.rawValue): append(.verdictMap(selectors, map: set), family: family)
        default:
            settleFamily(family)
            translation = (selectors, set)
        }
    }

    private mutating func readImmediate(_ attributes: Attributes) {
        guard let register = attributes.number(NFTA_IMMEDIATE_DREG.rawValue),
            let data = attributes.nested(NFTA_IMMEDIATE_DATA.rawValue)
        else {
            isUnderstood = false
            return
        }
        if let word = Self.word(register) {
            guard let value = data.bytes(NFTA_DATA_VALUE.rawValue) else {
                isUnderstood = false
                return
            }
            registers[word] = .value(value)
        } else if let verdict = data.verdict {
            append(.verdict(verdict))
        } else {
            isUnderstood = false
        }
    }

    private mutating func readTranslation(_ attributes: Attributes) {
        let isDestination = attributes.number(NFTA_NAT_TYPE.rawValue) == NFT_NAT_DNAT.rawValue
        let family: AddressFamily =
            attributes.number(NFTA_NAT_FAMILY.rawValue) == UInt32(TableFamily.ip6.rawValue) ? .ipv6 : .ipv4
        if let (selectors, map) = translation {
            translation = nil
            guard isDestination else {
                isUnderstood = false
                return
            }
            return append(.destinationMap(family, selectors, map: map))
        }
        guard let register = attributes.number(NFTA_NAT_REG_ADDR_MIN.rawValue), let word = Self.word(register),
            case .value(let bytes) = registers.removeValue(forKey: word), let address = IPAddress(bytes: bytes)
        else {
            isUnderstood = false
            return
        }
        var port: UInt16?
        if let register = attributes.number(NFTA_NAT_REG_PROTO_MIN.rawValue), let word = Self.word(register) {
            guard case .value(let bytes) = registers.removeValue(forKey: word),
                case .port(let number) = Datum(.inet_service, bytes)
            else {
                isUnderstood = false
                return
            }
            port = number
        }
        if isDestination {
            append(.destinationTo(address, port: port))
        } else if port == nil {
            append(.sourceTo(address))
        } else {
            isUnderstood = false
        }
    }
}

/// An expression's attributes; numbers are in network order.
struct Attributes {
    private let values: [Int: [UInt8]]

    init(_ values: [Int: [UInt8]]) { self.values = values }

    /// Reads a list of attributes.
    init(of bytes: [UInt8]) {
        var values: [Int: [UInt8]] = [:]
        AttributeReader.forEach(in: unsafe bytes.span.bytes) { values[$0] = $1.array }
        self.values = values
    }

    func bytes(_ type: UInt32) -> [UInt8]? { values[Int(type)] }
    func nested(_ type: UInt32) -> Attributes? { bytes(type).map(Attributes.init(of:)) }
    func number(_ type: UInt32) -> UInt32? {
        guard let bytes = bytes(type), bytes.count == 4 else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }
    func number64(_ type: UInt32) -> UInt64? {
        guard let bytes = bytes(type), bytes.count == 8 else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
    func text(_ type: UInt32) -> String? {
        bytes(type).map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    /// The bytes of a nest of `NFTA_DATA_VALUE`.
    func data(_ type: UInt32) -> [UInt8]? { nested(type)?.bytes(NFTA_DATA_VALUE.rawValue) }
    /// The verdict in `NFTA_DATA_VERDICT`.
    var verdict: Verdict? {
        guard let nest = nested(NFTA_DATA_VERDICT.rawValue), let code = nest.number(NFTA_VERDICT_CODE.rawValue) else {
            return nil
        }
        return Verdict(code: Int32(bitPattern: code), chain: nest.text(NFTA_VERDICT_CHAIN.rawValue))
    }
}
