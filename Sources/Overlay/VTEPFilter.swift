public import Netfilter
public import NetworkTypes

/// Which hosts may send VXLAN to this one: for each network a pair of sets of its members' VTEPs. A packet of the network's
/// UDP port and VNI from anybody else is dropped and counted.
///
/// In table `inet swiftlet`, the chain `vxlan` looks at what comes in for local sockets, and sends each network's packets
/// into a chain of the network's own:
///
///     chain vxlan { type filter hook input priority raw; udp dport 4789 @th,96,24 0x1001 goto vteps-<short id> }
///     chain vteps-<short id> { ip saddr @vteps4-<short id> return; ip6 saddr @vteps6-<short id> return; counter drop }
public final class VTEPFilter {
    static let baseChain = "vxlan"
    private static let table = BaseLayout.inet
    private let session: NFTablesSession

    /// The filter of the calling thread's namespace.
    public init() throws(NetfilterError) { session = try NFTablesSession() }

    /// The parts of one network.
    struct Layout: Equatable {
        let chain: Chain
        let sets: [ElementSet]
        let entry: Rule

        init(_ identity: NetworkIdentity, vni: UInt32, port: UInt16, members: [IPAddress]) {
            let names = Self.names(identity.shortIdentifier)
            chain = Chain(
                names.chain, comment: "VTEPs of \(identity.name)",
                rules: [
                    Rule(.lookup(.ipSource, set: names.set4), .verdict(.return)),
                    Rule(.lookup(.ip6Source, set: names.set6), .verdict(.return)),
                    Rule(.counter, .verdict(.drop)),
                ])
            sets = [
                ElementSet(names.set4, key: [.ipv4_addr], elements: Self.elements(members, .ipv4)),
                ElementSet(names.set6, key: [.ipv6_addr], elements: Self.elements(members, .ipv6)),
            ]
            entry = Rule(
                .match(.transport, .transport(.udp)), .match(.destinationPort, .port(port)),
                .match(.vxlanIdentifier, .number(vni)), .verdict(.goto(names.chain)))
        }

        static func names(_ short: String) -> (chain: String, set4: String, set6: String) {
            ("vteps-\(short)", "vteps4-\(short)", "vteps6-\(short)")
        }

        private static func elements(_ members: [IPAddress], _ family: AddressFamily) -> [Element] {
            Set(members).filter { $0.family == family }.sorted().map { Element([.address($0)]) }
        }
    }

    /// Lets the members' VXLAN in and nobody else's, whatever was there before; in one transaction.
    ///
    /// - Parameter members: the VTEPs of the network's hosts; our own may be among them.
    public func set(
        _ identity: NetworkIdentity, vni: UInt32, port: UInt16, members: [IPAddress]
    ) throws(NetfilterError) {
        let wanted = Layout(identity, vni: vni, port: port, members: members)
        try session.change { () throws(NetfilterError) in try commands(for: wanted) }
    }

    private func commands(for wanted: Layout) throws(NetfilterError) -> [TableCommand] {
        // Before connection tracking and whatever else looks at what comes in.
        let hook = BaseHook(.filter, .input, priority: -300)
        let table = Table(Self.table, sets: wanted.sets, chains: [Chain(Self.baseChain, hook: hook), wanted.chain])
        // Every network has a rule of its own in the shared chain.
        var commands = try session.difference(
            to: .init(table, openChains: [Self.baseChain], comparesElements: true))
        let entries = try session.rules(of: Self.table, chain: Self.baseChain).filter {
            $0.leads(to: wanted.chain.name)
        }
        if entries.map(\.rule) != [wanted.entry] {
            commands += entries.map { .removeRule(Self.table, chain: $0.chain, handle: $0.handle) }
            commands.append(.addRule(Self.table, chain: Self.baseChain, wanted.entry))
        }
        return commands
    }

    /// What lets other VXLAN in than the members', or keeps theirs out, in words; nil when the filter is as ``set`` makes it.
    ///
    /// - Parameter isComplete: whether hosts let in that are not among the members are a difference.
    public func difference(
        _ identity: NetworkIdentity, vni: UInt32, port: UInt16, members wanted: Set<IPAddress>, isComplete: Bool = true
    ) throws(NetfilterError) -> String? {
        guard let present = try listedMembers(identity) else { return "the packet filter lets anybody's VXLAN in" }
        if let missing = wanted.subtracting(present).min() {
            return "the packet filter does not let VXLAN from \(missing) in"
        }
        if isComplete, let stranger = present.subtracting(wanted).min() {
            return "the packet filter lets VXLAN from \(stranger) in, no host of the network"
        }
        let layout = Layout(identity, vni: vni, port: port, members: Array(present))
        let chain = layout.chain.name
        return try commands(for: layout).isEmpty
            ? nil
            : "the packet filter's rules of VXLAN are not as they should be (nft list chain inet swiftlet \(chain))"
    }

    /// Takes a network's filter away, and what is shared with the last one. None is no error.
    public func remove(_ identity: NetworkIdentity) throws(NetfilterError) {
        try remove(shortIdentifier: identity.shortIdentifier)
    }

    /// Takes a filter away by the network's short id, see ``shortIdentifiers()``.
    public func remove(shortIdentifier short: String) throws(NetfilterError) {
        let table = Self.table
        let names = Layout.names(short)
        try session.change { () throws(NetfilterError) in
            guard try session.tables().contains(table) else { return [] }
            let chains = try session.chains(of: table).map(\.name)
            let rules = try session.rules(of: table)
            let sets = try session.sets(of: table).map(\.name)
            let mine = rules.filter { $0.leads(to: names.chain) }
            var commands: [TableCommand] = mine.map { .removeRule(table, chain: $0.chain, handle: $0.handle) }
            if chains.contains(names.chain) { commands.append(.removeChain(table, names.chain)) }
            for set in [names.set4, names.set6] where sets.contains(set) { commands.append(.removeSet(table, set)) }
            let others = rules.filter { $0.chain == Self.baseChain }.count - mine.count
            if chains.contains(Self.baseChain), others == 0 {
                commands.append(.removeChain(table, Self.baseChain))
                // A table of ours that held nothing else was made for this.
                if chains.allSatisfy({ $0 == Self.baseChain || $0 == names.chain }) {
                    commands = [.removeTable(table)]
                }
            }
            return commands
        }
    }

    /// The short ids of the networks that have a filter here.
    public func shortIdentifiers() throws(NetfilterError) -> [String] {
        let prefix = Layout.names("").chain
        return try session.chains(of: Self.table).map(\.name).filter { $0.hasPrefix(prefix) }.map {
            String($0.dropFirst(prefix.count))
        }.sorted()
    }

    /// The packets dropped that were no member's; nil when the network has no filter here.
    public func dropped(_ identity: NetworkIdentity) throws(NetfilterError) -> UInt64? {
        let chain = Layout.names(identity.shortIdentifier).chain
        return try session.rules(of: Self.table, chain: chain).lazy.compactMap(\.packets).first
    }

    /// The members let in; nil when the network has no filter here, or one that lacks a rule and so lets everybody in.
    public func members(_ identity: NetworkIdentity) throws(NetfilterError) -> Set<IPAddress>? {
        let wanted = Layout(identity, vni: 0, port: 0, members: []).chain
        let rules = try session.rules(of: Self.table)
        guard rules.filter({ $0.chain == wanted.name }).map(\.rule) == wanted.rules,
            rules.contains(where: { $0.chain == Self.baseChain && $0.leads(to: wanted.name) })
        else { return nil }
        return try listedMembers(identity)
    }

    /// The members in the sets, whether or not any rule looks there; nil when there are no sets.
    public func listedMembers(_ identity: NetworkIdentity) throws(NetfilterError) -> Set<IPAddress>? {
        let names = Layout.names(identity.shortIdentifier)
        guard try session.chains(of: Self.table).contains(where: { $0.name == names.chain }) else { return nil }
        var members: Set<IPAddress> = []
        for set in [
            ElementSet(names.set4, key: [.ipv4_addr]), ElementSet(names.set6, key: [.ipv6_addr]),
        ] {
            for element in try session.elements(of: set, in: Self.table) {
                if case .address(let address)? = element.key.first { members.insert(address) }
            }
        }
        return members
    }
}

extension NFTablesSession.InstalledRule {
    /// Whether it ends in a chain.
    fileprivate func leads(to chain: String) -> Bool {
        statements.contains(.verdict(.goto(chain))) || statements.contains(.verdict(.jump(chain)))
    }
}
