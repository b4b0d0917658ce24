internal import CLibNFTNL
internal import Netlink
internal import NetworkTypes
public import System

/// A conversation with the kernel's nf_tables in one network namespace: transactions and dumps.
///
/// Equivalent: `nft`, without the process.
public final class NFTablesSession {
    private let session: NetlinkSession

    /// Opens a session in the calling thread's namespace.
    ///
    /// - Throws: ``NetfilterError/unavailable(_:)`` when the kernel has no netfilter sockets.
    public init() throws(NetfilterError) {
        do {
            session = try NetlinkSession(protocolNumber: NETLINK_NETFILTER)
        } catch {
            throw NetfilterError.system(error).orUnavailable("nf_tables")
        }
    }

    /// Opens a session in `namespace`.
    public init(in namespace: borrowing NetworkNamespace) throws(NetfilterError) {
        do {
            session = try NetlinkSession(protocolNumber: NETLINK_NETFILTER, in: namespace)
        } catch {
            throw NetfilterError.system(error).orUnavailable("nf_tables")
        }
    }

    /// A session over an open conversation, for tests.
    init(over session: NetlinkSession) { self.session = session }

    // MARK: Transactions

    /// The number of the ruleset's present generation; each transaction of anybody's makes a new one.
    ///
    /// - Throws: ``NetfilterError/unavailable(_:)`` when the kernel has no nf_tables.
    public func generation() throws(NetfilterError) -> UInt32 {
        do {
            return try session.query {
                $0.beginNetfilter(
                    subsystem: NFNL_SUBSYS_NFTABLES, message: NFT_MSG_GETGEN.rawValue, flags: NLM_F_REQUEST, family: 0)
            } decode: { _, payload in
                Attributes(of: payload.extracting(payload.following(4)).array).number(NFTA_GEN_ID.rawValue)
            }
        } catch {
            let refusal = NetfilterError.kernel(
                subject: "read the ruleset's generation", errno: error.errno, message: error.message)
            throw refusal.orUnavailable("nf_tables")
        }
    }

    /// Carries commands out, all or none, in one transaction. Equivalent: `nft -f`.
    ///
    /// - Parameter generation: refuse with `ERESTART` when the ruleset is not of this generation any more.
    /// - Throws: the first refusal with the command it was for.
    public func commit(_ commands: [TableCommand], generation: UInt32? = nil) throws(NetfilterError) {
        guard !commands.isEmpty else { return }
        // A message's number leads to its command: the enclosing first message is 0.
        var owners: [Int] = []
        let refused: [Int: NetlinkFailure]
        do {
            refused = try session.transaction { builder in
                builder.beginNetfilter(
                    subsystem: 0, message: UInt32(NFNL_MSG_BATCH_BEGIN), flags: NLM_F_REQUEST, family: 0,
                    resource: UInt16(NFNL_SUBSYS_NFTABLES))
                if let generation { builder.put(Int(NFNL_BATCH_GENID.rawValue), networkOrder: generation) }
                for (index, command) in commands.enumerated() {
                    let isLast = index == commands.count - 1
                    command.encode(into: &builder, number: UInt32(truncatingIfNeeded: index) + 1, isLast: isLast)
                    owners += repeatElement(index, count: command.messageCount)
                }
                builder.beginNetfilter(
                    subsystem: 0, message: UInt32(NFNL_MSG_BATCH_END), flags: NLM_F_REQUEST, family: 0,
                    resource: UInt16(NFNL_SUBSYS_NFTABLES))
            }
        } catch {
            throw .kernel(subject: "transaction", errno: error.errno, message: error.message)
        }
        guard let first = refused.keys.min(), let failure = refused[first] else { return }
        let subject =
            first == 0
            ? "transaction" : owners.indices.contains(first - 1) ? commands[owners[first - 1]].subject : "transaction"
        throw .kernel(subject: subject, errno: failure.errno, message: failure.message)
    }

    // MARK: Reading

    /// All tables. Equivalent: `nft list tables`.
    ///
    /// - Throws: ``NetfilterError/unavailable(_:)`` when the kernel has no nf_tables.
    public func tables() throws(NetfilterError) -> [Table.Identifier] {
        do {
            return try dump("list tables", NFT_MSG_GETTABLE, family: 0) { family, attributes in
                guard let family = TableFamily(rawValue: family), let name = attributes.text(NFTA_TABLE_NAME.rawValue)
                else { return nil }
                return Table.Identifier(family, name)
            }
        } catch {
            throw error.orUnavailable("nf_tables")
        }
    }

    /// How often a chain is used: its rules, and the rules and elements that lead to it. Equivalent: `nft list chain`, of
    /// which only the chain's own line.
    ///
    /// - Returns: nil when there is no such chain, or no such table.
    public func uses(ofChain name: String, in table: Table.Identifier) throws(NetfilterError) -> UInt32? {
        do {
            return try session.query {
                $0.beginNetfilter(
                    subsystem: NFNL_SUBSYS_NFTABLES, message: NFT_MSG_GETCHAIN.rawValue, flags: NLM_F_REQUEST,
                    family: table.family.rawValue)
                $0.put(Int(NFTA_CHAIN_TABLE.rawValue), text: table.name)
                $0.put(Int(NFTA_CHAIN_NAME.rawValue), text: name)
            } decode: { _, payload in
                var uses: UInt32 = 0
                AttributeReader.forEach(in: payload.extracting(payload.following(4))) { type, value in
                    guard UInt32(type) == NFTA_CHAIN_USE.rawValue else { return }
                    uses = value.integer(UInt32.self).map(UInt32.init(bigEndian:)) ?? 0
                }
                return uses
            }
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw .kernel(
                subject: "get chain \(table) \(name)", errno: error.errno, message: error.message)
        }
    }

    /// How many rules a chain has; 0 when there is no such chain. Nothing of them is decoded.
    public func ruleCount(ofChain name: String, in table: Table.Identifier) throws(NetfilterError) -> Int {
        try dump("list chain \(table) \(name)", NFT_MSG_GETRULE, family: table.family.rawValue) { builder in
            builder.put(Int(NFTA_RULE_TABLE.rawValue), text: table.name)
            builder.put(Int(NFTA_RULE_CHAIN.rawValue), text: name)
        } decode: { _, attributes in
            attributes.text(NFTA_RULE_CHAIN.rawValue) == name ? true : nil
        }.count
    }

    /// The chains of a table, without their rules; empty when there is no such table.
    public func chains(of table: Table.Identifier) throws(NetfilterError) -> [Chain] {
        // The kernel does not filter chains by table before 6.x: all of the family come.
        try dump("list chains \(table)", NFT_MSG_GETCHAIN, family: table.family.rawValue) { family, attributes in
            guard family == table.family.rawValue, attributes.text(NFTA_CHAIN_TABLE.rawValue) == table.name else {
                return nil
            }
            return attributes.chain
        }
    }

    /// A rule of a table as it is in the kernel.
    public struct InstalledRule: Equatable, Sendable {
        /// The chain it is in.
        public let chain: String
        /// The kernel's number for it within the table.
        public let handle: UInt64
        /// The rule; nil when it holds what this suite does not write.
        public let rule: Rule?
        /// What was understood of it.
        public let statements: [Statement]
        /// Its comment.
        public let comment: String?
        /// Whether it ends in a drop or a reject, in the words of `iptables-nft`, too.
        public let isRefusing: Bool
        /// The packets its counter has seen; nil without one.
        public let packets: UInt64?

        /// The chains it leads to.
        var jumps: [String] {
            statements.compactMap { if case .verdict(let verdict) = $0 { verdict.chain } else { nil } }
        }
    }

    /// The rules of a table, or of one of its chains. Equivalent: `nft -a list table`.
    public func rules(of table: Table.Identifier, chain: String? = nil) throws(NetfilterError) -> [InstalledRule] {
        try dump("list rules \(table)", NFT_MSG_GETRULE, family: table.family.rawValue) { builder in
            builder.put(Int(NFTA_RULE_TABLE.rawValue), text: table.name)
            if let chain { builder.put(Int(NFTA_RULE_CHAIN.rawValue), text: chain) }
        } decode: { family, attributes in
            guard family == table.family.rawValue, attributes.text(NFTA_RULE_TABLE.rawValue) == table.name,
                let name = attributes.text(NFTA_RULE_CHAIN.rawValue), chain == nil || chain == name,
                let handle = attributes.number64(NFTA_RULE_HANDLE.rawValue)
            else { return nil }
            let comment = attributes.bytes(NFTA_RULE_USERDATA.rawValue).flatMap {
                userText(type: UInt8(NFTNL_UDATA_RULE_COMMENT.rawValue), inUserData: $0)
            }
            let decoder = attributes.bytes(NFTA_RULE_EXPRESSIONS.rawValue).map { bytes in
                RuleDecoder.decode(unsafe bytes.span.bytes)
            }
            let statements = decoder?.statements ?? []
            return InstalledRule(
                chain: name, handle: handle,
                rule: decoder?.isUnderstood == false ? nil : Rule(statements, comment: comment),
                statements: statements, comment: comment ?? decoder?.comment,
                isRefusing: decoder?.isRefusing == true || statements.contains(.verdict(.drop)),
                packets: decoder?.packets)
        }
    }

    /// The sets and maps of a table, without their elements; those of types not known here are left out.
    public func sets(of table: Table.Identifier) throws(NetfilterError) -> [ElementSet] {
        try dump("list sets \(table)", NFT_MSG_GETSET, family: table.family.rawValue) { builder in
            builder.put(Int(NFTA_SET_TABLE.rawValue), text: table.name)
        } decode: { _, attributes in
            attributes.text(NFTA_SET_TABLE.rawValue) == table.name ? attributes.elementSet : nil
        }
    }

    /// The elements of a set or map. Equivalent: `nft list set`.
    ///
    /// - Parameters:
    ///   - set: its name and types.
    ///   - tag: only elements whose comment begins so; not for sets of intervals, whose ends have no comment.
    /// - Throws: `ENOENT` when the table or set is not there.
    public func elements(
        of set: ElementSet, in table: Table.Identifier, tag: String? = nil
    ) throws(NetfilterError) -> [Element] {
        let parts = try dumpLists("list set \(table) \(set.name)", set, table, tag.map { Array($0.utf8) })
        guard set.flags.contains(.interval), set.key.count == 1 else { return parts.map(\.element) }
        return intervals(parts)
    }

    /// One element by its key; nil when there is none. Equivalent: `nft get element`.
    public func element(_ key: [Datum], of set: ElementSet, in table: Table.Identifier) throws(NetfilterError)
        -> Element?
    {
        do {
            return try session.query {
                $0.beginNetfilter(
                    subsystem: NFNL_SUBSYS_NFTABLES, message: NFT_MSG_GETSETELEM.rawValue, flags: NLM_F_REQUEST,
                    family: table.family.rawValue)
                let object = LibrarySet(table, set.name)
                object.append(key: registerBytes(key))
                unsafe $0.putPayload(room: 2048) { unsafe object.buildElements(into: $0) }
            } decode: { _, payload in
                payload.rawElements(of: set).first?.element
            }
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw .kernel(subject: "get element \(table) \(set.name)", errno: error.errno, message: error.message)
        }
    }

    /// A whole table as a value; nil when there is none. Rules not understood are left out. Equivalent: `nft list table`.
    public func table(_ identifier: Table.Identifier) throws(NetfilterError) -> Table? {
        let found = try dump("list tables", NFT_MSG_GETTABLE, family: identifier.family.rawValue) {
            family, attributes -> Table? in
            guard family == identifier.family.rawValue,
                attributes.text(NFTA_TABLE_NAME.rawValue) == identifier.name
            else { return nil }
            let comment = attributes.bytes(NFTA_TABLE_USERDATA.rawValue).flatMap {
                userText(type: UInt8(NFTNL_UDATA_TABLE_COMMENT.rawValue), inUserData: $0)
            }
            return Table(identifier, comment: comment)
        }
        guard var table = found.first else { return nil }
        table.chains = try chains(of: identifier)
        let installed = try rules(of: identifier)
        for index in table.chains.indices {
            table.chains[index].rules = installed.filter { $0.chain == table.chains[index].name }.compactMap(\.rule)
        }
        table.sets = try sets(of: identifier)
        for index in table.sets.indices {
            table.sets[index].elements = try elements(of: table.sets[index], in: identifier)
        }
        return table
    }

    // MARK: -

    private func dump<Value>(
        _ subject: @autoclosure () -> String, _ message: nf_tables_msg_types, family: UInt8,
        _ filter: (inout MessageBuilder) -> Void = { _ in }, decode: (UInt8, Attributes) -> Value?
    ) throws(NetfilterError) -> [Value] {
        do {
            return try session.dump { builder in
                builder.beginNetfilter(
                    subsystem: NFNL_SUBSYS_NFTABLES, message: message.rawValue, flags: NLM_F_REQUEST | NLM_F_DUMP,
                    family: family)
                filter(&builder)
            } decode: { (_, payload, values: inout [Value]) in
                guard let family = payload.integer(UInt8.self) else { return false }
                let attributes = Attributes(of: payload.extracting(payload.following(4)).array)
                if let value = decode(family, attributes) { values.append(value) }
                return true
            }
        } catch {
            if error.errno == .noSuchFileOrDirectory { return [] }
            throw .kernel(subject: subject(), errno: error.errno, message: error.message)
        }
    }

    private func dumpLists(
        _ subject: @autoclosure () -> String, _ set: ElementSet, _ table: Table.Identifier, _ tag: [UInt8]?
    ) throws(NetfilterError) -> [RawElement] {
        do {
            return try session.dump { builder in
                builder.beginNetfilter(
                    subsystem: NFNL_SUBSYS_NFTABLES, message: NFT_MSG_GETSETELEM.rawValue,
                    flags: NLM_F_REQUEST | NLM_F_DUMP, family: table.family.rawValue)
                builder.put(Int(NFTA_SET_ELEM_LIST_TABLE.rawValue), text: table.name)
                builder.put(Int(NFTA_SET_ELEM_LIST_SET.rawValue), text: set.name)
            } decode: { (_, payload, values: inout [RawElement]) in
                values += payload.rawElements(of: set, tag: tag)
                return true
            }
        } catch {
            throw .kernel(subject: subject(), errno: error.errno, message: error.message)
        }
    }
}
