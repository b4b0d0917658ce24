internal import CLibNFTNL
internal import Netlink
internal import NetworkTypes

/// One command of a transaction.
public enum TableCommand: Sendable {
    /// `nft add table`; done when there already.
    case addTable(Table.Identifier, comment: String?)
    /// `nft add chain`, without its rules. `isNew`: refused when there already.
    case addChain(Table.Identifier, Chain, isNew: Bool)
    /// `nft add rule`.
    case addRule(Table.Identifier, chain: String, Rule)
    /// `nft add set` or `nft add map`, without its elements; done when there already with the same types.
    case addSet(Table.Identifier, ElementSet)
    /// `nft add element`. `isNew`: refused when one is there already, else only when its value differs.
    case addElements(Table.Identifier, set: String, [Element], isNew: Bool, isInterval: Bool = false)
    /// `nft delete element`; refused when there is none.
    case removeElements(Table.Identifier, set: String, [Element], isInterval: Bool = false)
    /// `nft delete set` or `nft delete map`; refused while a rule uses it. Elements in it go, too.
    case removeSet(Table.Identifier, String)
    /// `nft delete rule … handle`.
    case removeRule(Table.Identifier, chain: String, handle: UInt64)
    /// `nft flush chain`.
    case flushChain(Table.Identifier, String)
    /// `nft delete chain`; refused while it is jumped to. Rules in it go, too.
    case removeChain(Table.Identifier, String)
    /// `nft delete table`, with all that is in it.
    case removeTable(Table.Identifier)

    /// The commands that make a table as it is described.
    public static func commands(for table: Table, isNew: Bool = true) -> [TableCommand] {
        let identifier = table.identifier
        var commands: [TableCommand] = [.addTable(identifier, comment: table.comment)]
        commands += table.chains.map { .addChain(identifier, $0, isNew: isNew) }
        for set in table.sets {
            commands.append(.addSet(identifier, set))
            if !set.elements.isEmpty {
                let isInterval = set.flags.contains(.interval) && set.key.count == 1
                commands.append(
                    .addElements(identifier, set: set.name, set.elements, isNew: isNew, isInterval: isInterval))
            }
        }
        for chain in table.chains {
            commands += chain.rules.map { .addRule(identifier, chain: chain.name, $0) }
        }
        return commands
    }

    /// What it is about, for errors: "add element inet swiftlet masquerade4 { 10.1.0.5 }".
    var subject: String {
        switch self {
        case .addTable(let table, _): return "add table \(table)"
        case .addChain(let table, let chain, _): return "add chain \(table) \(chain.name)"
        case .addRule(let table, let chain, let rule): return "add rule \(table) \(chain) \(rule.nftText)"
        case .addSet(let table, let set): return "add \(set.value == nil ? "set" : "map") \(table) \(set.name)"
        case .addElements(let table, let set, let elements, _, _):
            return "add element \(table) \(set) { \(Self.list(elements)) }"
        case .removeElements(let table, let set, let elements, _):
            return "delete element \(table) \(set) { \(Self.list(elements)) }"
        case .removeSet(let table, let name): return "delete set \(table) \(name)"
        case .removeRule(let table, let chain, let handle): return "delete rule \(table) \(chain) handle \(handle)"
        case .flushChain(let table, let name): return "flush chain \(table) \(name)"
        case .removeChain(let table, let name): return "delete chain \(table) \(name)"
        case .removeTable(let table): return "delete table \(table)"
        }
    }

    private static func list(_ elements: [Element]) -> String {
        elements.prefix(4).map(\.nftText).joined(separator: ", ") + (elements.count > 4 ? ", …" : "")
    }

    // MARK: Encoding

    /// Elements in one message: with the longest keys, values and comments still under the 64 KiB a list may have.
    static let elementLimit = 128
    private static let elementRoom = 512
    private static let room = 16 << 10

    /// The messages it takes.
    var messageCount: Int {
        switch self {
        case .addElements(_, _, let elements, _, _), .removeElements(_, _, let elements, _):
            (elements.count + Self.elementLimit - 1) / Self.elementLimit
        default: 1
        }
    }

    /// Puts the command's messages into a batch.
    ///
    /// - Parameters:
    ///   - number: of the command in the batch, by which a set is known until it has a place in the kernel.
    ///   - isLast: the kernel is to acknowledge the last message.
    func encode(into builder: inout MessageBuilder, number: UInt32, isLast: Bool) {
        let acknowledge = isLast ? NLM_F_ACK : 0
        switch self {
        case .addTable(let table, let comment):
            let data = userData(type: UInt8(NFTNL_UDATA_TABLE_COMMENT.rawValue), text: comment)
            let object = LibraryTable(table, userData: data)
            begin(&builder, NFT_MSG_NEWTABLE, table, NLM_F_CREATE | acknowledge)
            unsafe builder.putPayload(room: Self.room) { unsafe object.build(into: $0) }
        case .removeTable(let table):
            let object = LibraryTable(table)
            begin(&builder, NFT_MSG_DELTABLE, table, acknowledge)
            unsafe builder.putPayload(room: Self.room) { unsafe object.build(into: $0) }
        case .addChain(let table, let chain, let isNew):
            let data = userData(type: UInt8(NFTNL_UDATA_CHAIN_COMMENT.rawValue), text: chain.comment)
            let object = LibraryChain(table, chain.name, hook: chain.hook, userData: data)
            begin(&builder, NFT_MSG_NEWCHAIN, table, NLM_F_CREATE | (isNew ? NLM_F_EXCL : 0) | acknowledge)
            unsafe builder.putPayload(room: Self.room) { unsafe object.build(into: $0) }
        case .removeChain(let table, let name):
            let object = LibraryChain(table, name)
            begin(&builder, NFT_MSG_DELCHAIN, table, acknowledge)
            unsafe builder.putPayload(room: Self.room) { unsafe object.build(into: $0) }
        case .addRule(let table, let chain, let rule):
            let object = RuleEncoder.encode(rule, in: table, chain: chain)
            begin(&builder, NFT_MSG_NEWRULE, table, NLM_F_CREATE | NLM_F_APPEND | acknowledge)
            unsafe builder.putPayload(room: Self.room) { unsafe object.build(into: $0) }
        case .removeRule(let table, let chain, let handle):
            let object = LibraryRule(table, chain: chain)
            object.set(handle: handle)
            begin(&builder, NFT_MSG_DELRULE, table, acknowledge)
            unsafe builder.putPayload(room: Self.room) { unsafe object.build(into: $0) }
        case .flushChain(let table, let name):
            let object = LibraryRule(table, chain: name)
            begin(&builder, NFT_MSG_DELRULE, table, acknowledge)
            unsafe builder.putPayload(room: Self.room) { unsafe object.build(into: $0) }
        case .addSet(let table, let set):
            let object = Self.object(table, set, number)
            begin(&builder, NFT_MSG_NEWSET, table, NLM_F_CREATE | acknowledge)
            unsafe builder.putPayload(room: Self.room) { unsafe object.build(into: $0) }
        case .removeSet(let table, let name):
            let object = LibrarySet(table, name)
            begin(&builder, NFT_MSG_DELSET, table, acknowledge)
            unsafe builder.putPayload(room: Self.room) { unsafe object.build(into: $0) }
        case .addElements(let table, let set, let elements, let isNew, let isInterval):
            let flags = NLM_F_CREATE | (isNew ? NLM_F_EXCL : 0)
            encode(elements, isInterval, of: set, table, NFT_MSG_NEWSETELEM, flags, acknowledge, &builder)
        case .removeElements(let table, let set, let elements, let isInterval):
            // The kernel takes an element's key and no more.
            let keys = elements.map { Element($0.key, through: $0.keyEnd) }
            encode(keys, isInterval, of: set, table, NFT_MSG_DELSETELEM, 0, acknowledge, &builder)
        }
    }

    private func begin(
        _ builder: inout MessageBuilder, _ message: nf_tables_msg_types, _ table: Table.Identifier, _ flags: Int32
    ) {
        builder.beginNetfilter(
            subsystem: NFNL_SUBSYS_NFTABLES, message: message.rawValue, flags: NLM_F_REQUEST | flags,
            family: table.family.rawValue)
    }

    private func encode(
        _ elements: [Element], _ isInterval: Bool, of set: String, _ table: Table.Identifier,
        _ message: nf_tables_msg_types, _ flags: Int32, _ acknowledge: Int32, _ builder: inout MessageBuilder
    ) {
        for start in stride(from: 0, to: elements.count, by: Self.elementLimit) {
            let end = min(start + Self.elementLimit, elements.count)
            let object = LibrarySet(table, set)
            for element in elements[start..<end] { Self.append(element, isInterval, to: object) }
            begin(&builder, message, table, flags | (end == elements.count ? acknowledge : 0))
            unsafe builder.putPayload(room: 1024 + (end - start) * 2 * Self.elementRoom) {
                unsafe object.buildElements(into: $0)
            }
        }
    }

    private static func append(_ element: Element, _ isInterval: Bool, to set: borrowing LibrarySet) {
        let data = userData(type: UInt8(NFTNL_UDATA_SET_ELEM_COMMENT.rawValue), text: element.comment)
        guard isInterval else {
            let end = element.keyEnd.map(registerBytes)
            return set.append(key: registerBytes(element.key), keyEnd: end, value: element.value, userData: data)
        }
        // The kernel's intervals are half open: an element for the first key, one with a flag for the key after the last.
        set.append(key: registerBytes(element.key), value: element.value, userData: data)
        var after = registerBytes(element.keyEnd ?? element.key)
        for index in after.indices.reversed() {
            after[index] &+= 1
            if after[index] != 0 {
                return set.append(key: after, flags: UInt32(NFT_SET_ELEM_INTERVAL_END.rawValue))
            }
        }
    }

    private static func object(_ table: Table.Identifier, _ set: ElementSet, _ number: UInt32) -> LibrarySet {
        let object = LibrarySet(table, set.name)
        object.set(NFTNL_SET_ID, number)
        var flags = set.flags.rawValue
        object.set(NFTNL_SET_KEY_TYPE, typeNumber(set.key))
        object.set(NFTNL_SET_KEY_LEN, UInt32(length(set.key)))
        switch set.value {
        case nil: break
        case .verdict:
            flags |= NFT_SET_MAP.rawValue
            object.set(NFTNL_SET_DATA_TYPE, UInt32(truncatingIfNeeded: Int64(NFT_DATA_VERDICT.rawValue)))
        case .data(let types):
            flags |= NFT_SET_MAP.rawValue
            object.set(NFTNL_SET_DATA_TYPE, typeNumber(types))
            object.set(NFTNL_SET_DATA_LEN, UInt32(length(types)))
        }
        if set.key.count > 1, set.flags.contains(.interval) {
            flags |= NFT_SET_CONCAT.rawValue
            object.set(NFTNL_SET_DESC_CONCAT, bytes: set.key.map { UInt8(($0.size + 3) & ~3) })
        }
        object.set(NFTNL_SET_FLAGS, flags)
        let order = byteOrder(set.key)
        var data: [UInt8] = [UInt8(NFTNL_UDATA_SET_KEYBYTEORDER.rawValue), 4] + hostOrderBytes(order)
        if case .data(let types) = set.value {
            data += [UInt8(NFTNL_UDATA_SET_DATABYTEORDER.rawValue), 4] + hostOrderBytes(byteOrder(types))
        }
        object.set(NFTNL_SET_USERDATA, bytes: data)
        return object
    }

    /// `nft`'s number of a joined type: six bits for each part.
    static func typeNumber(_ types: [DataType]) -> UInt32 {
        types.reduce(0) { $0 << 6 | $1.rawValue }
    }

    /// The types of a number; nil when one is not known.
    static func types(ofNumber number: UInt32) -> [DataType]? {
        var rest = number
        var types: [DataType] = []
        while rest != 0 {
            guard let type = DataType(rawValue: rest & 63) else { return nil }
            types.insert(type, at: 0)
            rest >>= 6
        }
        return types.isEmpty ? nil : types
    }

    private static func length(_ types: [DataType]) -> Int {
        types.count == 1 ? types[0].size : types.reduce(0) { $0 + (($1.size + 3) & ~3) }
    }

    /// `nft`'s `enum byteorder`: 1 host, 2 network; it writes 0 for joined types.
    private static func byteOrder(_ types: [DataType]) -> UInt32 {
        types.count > 1 ? 0 : types.allSatisfy(\.isBigEndian) ? 2 : 1
    }
}

extension MessageBuilder {
    /// Begins a message of a netfilter subsystem (`struct nfgenmsg`).
    mutating func beginNetfilter(
        subsystem: Int32, message: UInt32, flags: Int32, family: UInt8, resource: UInt16 = 0
    ) {
        begin(Int(subsystem) << 8 | Int(message), flags: flags)
        putHeader(nfgenmsg(nfgen_family: family, version: UInt8(NFNETLINK_V0), res_id: resource.bigEndian))
    }
}
