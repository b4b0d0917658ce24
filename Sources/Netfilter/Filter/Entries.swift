internal import NetworkTypes

/// What an owner's rules are in the tables of the nftables back end: elements and the chains they lead to.
struct Entries: Equatable {
    /// What is done when an element with the key is there already and is another owner's.
    enum Clash: Equatable {
        /// It is replaced: an address is used by one container at a time, so the other one's is left over.
        case takeOver
        /// It is an error, unless the other one is an attachment of the same container: then an element with the key
        /// given here waits until the other gives the port up.
        case refuse(waitingAs: [Datum])
        /// It is shared by the network's attachments; `drop` wins.
        case share
    }

    /// An element and where it belongs.
    struct Entry: Equatable {
        let table: Table.Identifier
        let set: ElementSet
        let element: Element
        let clash: Clash
    }

    /// Elements.
    private(set) var entries: [Entry] = []
    /// Chains in the table for IP packets that the elements lead to. Those of a network have their content in their
    /// name, so one that is there is as it should be.
    private(set) var chains: [Chain] = []

    /// Works out the entries of rules.
    ///
    /// - Throws: ``NetfilterError/unsupported(_:)`` for what the back end cannot express.
    init(_ rules: [FilterRule], for owner: FilterOwner) throws(NetfilterError) {
        for rule in rules {
            switch rule {
            case .masquerade(let masquerade): add(masquerade, owner)
            case .portForward(let forward): try add(forward, owner)
            case .firewall(let firewall): try add(firewall, owner)
            case .antiSpoof(let bound):
                add(
                    BaseLayout.boundAddresses, [.interface(bound.link), .mac(bound.mac)], nil, owner.comment, .takeOver)
                add(BaseLayout.boundPorts, [.interface(bound.link)], nil, owner.comment, .takeOver)
            }
        }
        for (index, entry) in entries.enumerated()
        where entries[..<index].contains(where: { $0.set.name == entry.set.name && $0.element.key == entry.element.key }
        ) {
            let words = entry.element.key.map(\.nftText).joined(separator: " . ")
            throw .conflict(subject: "\(entry.set.name) \(words)", owner: "the same attachment twice")
        }
    }

    /// Whether an element with the key is one of these, in its own place or waiting for it.
    func mayHave(_ key: [Datum], in place: BaseLayout.Place) -> Bool {
        entries.contains { entry in
            if entry.set.name == place.set.name { return entry.element.key == key }
            guard case .refuse(let waiting) = entry.clash, place.set.name.hasPrefix("standby_") else { return false }
            return waiting == key
        }
    }

    /// The tables needed.
    var tables: [Table.Identifier] {
        [BaseLayout.inet, BaseLayout.bridge].filter { table in entries.contains { $0.table == table } }
    }

    /// The chains of the base that packets pass on their way to the entries.
    var passedChains: [(table: Table.Identifier, chain: String)] {
        var chains: [(table: Table.Identifier, chain: String)] = []
        for entry in entries {
            for chain in BaseLayout.passedChains(entry.table, entry.set.name)
            where !chains.contains(where: { $0.table == entry.table && $0.chain == chain }) {
                chains.append((entry.table, chain))
            }
        }
        return chains
    }

    private mutating func add(
        _ place: BaseLayout.Place, _ key: [Datum], _ value: Element.Value?, _ comment: String, _ clash: Clash
    ) {
        let entry = Entry(
            table: place.table, set: place.set, element: Element(key, value: value, comment: comment), clash: clash)
        if !entries.contains(entry) { entries.append(entry) }
    }

    private mutating func add(_ chain: Chain) {
        if !chains.contains(where: { $0.name == chain.name }) { chains.append(chain) }
    }

    // MARK: Masquerade

    private mutating func add(_ masquerade: Masquerade, _ owner: FilterOwner) {
        for address in masquerade.addresses {
            let family = address.family
            var own = [address.network]
            own += masquerade.exempt.filter { $0.family == family }.map(\.network).sorted { $0.first < $1.first }
            let multicast = Self.multicast(family)
            let source = masquerade.source.flatMap { $0.family == family ? $0 : nil }
            let rewrite = source.map { Rule(.sourceTo($0)) } ?? Rule(.masquerade)
            let rules = (own + [multicast]).map { Rule(.to($0), .verdict(.return)) } + [rewrite]
            let content = own + (source.map { [IPPrefix(host: $0)] } ?? [])
            let chain = Self.networkChain("masquerade", owner.network, content, rules)
            add(chain)
            add(
                BaseLayout.masquerade(family), [.address(address.address)], .verdict(.goto(chain.name)), owner.comment,
                .takeOver)
        }
    }

    /// 224.0.0.0/4 or ff00::/8.
    static func multicast(_ family: AddressFamily) -> IPPrefix {
        let number: UInt128 = family == .ipv4 ? 0xE000_0000 : 0xFF << 120
        return IPPrefix(IPAddress(family: family, number: number), length: family == .ipv4 ? 4 : 8) ?? .any(family)
    }

    /// 127.0.0.0/8 or ::1.
    static func loopback(_ family: AddressFamily) -> IPPrefix {
        let number: UInt128 = family == .ipv4 ? 0x7F00_0000 : 1
        return IPPrefix(IPAddress(family: family, number: number), length: family == .ipv4 ? 8 : 128) ?? .any(family)
    }

    /// A chain that a network's attachments with the same subnets share: its name says what is in it.
    static func networkChain(_ kind: String, _ network: String, _ subnets: [IPPrefix], _ rules: [Rule]) -> Chain {
        // Not `joined`, which searches the whole process for a conformance.
        var words = ""
        for subnet in subnets { words += words.isEmpty ? subnet.description : " " + subnet.description }
        let content = SHA512.hex(words, length: 16)
        return Chain(
            "\(kind)-\(FilterOwner.networkTag(network))-\(content)", comment: FilterOwner.networkComment(network),
            rules: rules)
    }

    // MARK: Port forwarding

    private mutating func add(_ forward: PortForward, _ owner: FilterOwner) throws(NetfilterError) {
        if forward.externalSetMarkChain != nil {
            throw .unsupported("externalSetMarkChain needs the iptables back end")
        }
        var conditional: [Rule] = []
        for family in [AddressFamily.ipv4, .ipv6] {
            guard let address = forward.address(family) else { continue }
            let conditions = try Conditions.parse(forward.conditions(family), family)
            let mappings = forward.mappings(family)
            for mapping in mappings {
                let key: [Datum] = [.transport(mapping.transport), .port(mapping.hostPort)]
                func clash(_ host: IPAddress?, port: UInt16) -> Clash {
                    let any = IPAddress(family: family, number: 0)
                    return .refuse(waitingAs: [.address(host ?? any)] + key + [.address(address.address), .port(port)])
                }
                if !conditions.isEmpty {
                    let name = Self.ownerChain(owner)
                    add(
                        BaseLayout.conditionalPorts(family), key, .verdict(.jump(name)), owner.comment,
                        clash(nil, port: 0))
                    var statements: [Statement] = [.match(.transport, key[0]), .match(.destinationPort, key[1])]
                    if let host = mapping.certainAddress { statements.insert(.to(IPPrefix(host: host)), at: 0) }
                    statements += conditions + [.destinationTo(address.address, port: mapping.containerPort)]
                    conditional.append(Rule(statements, comment: owner.comment))
                    continue
                }
                let value = Element.Value.data([.address(address.address), .port(mapping.containerPort)])
                if let host = mapping.certainAddress {
                    add(
                        BaseLayout.hostAddressPorts(family), [.address(host)] + key, value, owner.comment,
                        clash(host, port: mapping.containerPort))
                } else {
                    add(
                        BaseLayout.hostPorts(family), key, value, owner.comment,
                        clash(nil, port: mapping.containerPort))
                }
            }
            if !mappings.isEmpty { add(forward.sourceRewrite, address, owner) }
        }
        if !conditional.isEmpty {
            add(Chain(Self.ownerChain(owner), comment: owner.comment, rules: conditional))
        }
    }

    /// The chain of an owner whose ports have conditions.
    static func ownerChain(_ owner: FilterOwner) -> String { ownerChain(tag: owner.tag) }

    static func ownerChain(tag: some StringProtocol) -> String { "hostports-\(tag)" }

    private mutating func add(_ rewrite: PortForward.SourceRewrite, _ address: IPPrefix, _ owner: FilterOwner) {
        let target: String
        switch rewrite {
        case .none: return
        case .all: target = BaseLayout.masqueradeAllChain
        case .hairpin:
            let sources = [address.network, Self.loopback(address.family)]
            let chain = Self.networkChain(
                "hairpin", owner.network, sources, sources.map { Rule(.from($0), .masquerade) })
            add(chain)
            target = chain.name
        }
        add(
            BaseLayout.hairpin(address.family), [.address(address.address)], .verdict(.goto(target)), owner.comment,
            .takeOver)
    }

    // MARK: Firewall

    /// What becomes of packets that go out where they came in.
    private mutating func verdict(within firewall: Firewall, _ owner: FilterOwner) -> Verdict {
        guard firewall.ingress == .isolated else { return .return }
        guard firewall.admitsPublished else { return .drop }
        let chain = Self.networkChain(
            "published", owner.network, [], [Rule(.isDestinationTranslated, .verdict(.return)), Rule(.verdict(.drop))])
        add(chain)
        return .goto(chain.name)
    }

    private mutating func add(_ firewall: Firewall, _ owner: FilterOwner) throws(NetfilterError) {
        for address in firewall.addresses where firewall.accepts {
            add(BaseLayout.containers(address.family), [.address(address)], nil, owner.comment, .takeOver)
        }
        guard firewall.ingress != .open else { return }
        guard let bridge = firewall.bridge else {
            throw .unsupported(
                "interface needs to be set for ingress policy \"\(firewall.ingress.rawValue)\", "
                    + "make sure to chain \"firewall\" plugin with \"bridge\"")
        }
        let comment = FilterOwner.networkComment(owner.network)
        let name = Datum.interface(bridge)
        let verdict = verdict(within: firewall, owner)
        add(BaseLayout.bridgePairs, [name, name], .verdict(verdict), comment, .share)
        add(BaseLayout.bridges, [name], nil, comment, .share)
        if firewall.ingress == .isolated, let port = firewall.port {
            add(BaseLayout.isolatedPorts, [.interface(port)], nil, owner.comment, .takeOver)
        }
    }
}
