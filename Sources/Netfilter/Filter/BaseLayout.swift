internal import NetworkTypes

/// The tables of the nftables back end: what is there once per host. `docs/packet-filter.md` gives the reasons.
public enum BaseLayout {
    /// The table for IP packets.
    public static let inet = Table.Identifier(.inet, "swiftlet")
    /// The table for bridged frames.
    public static let bridge = Table.Identifier(.bridge, "swiftlet")
    /// The chain that belongs to the user and is never touched.
    public static let adminChain = "admin"
    static let masqueradeAllChain = "masquerade-all"

    /// A set or map with the table it is in.
    struct Place: Sendable {
        let table: Table.Identifier
        let set: ElementSet
    }

    /// The name's variant for a family: "masquerade4".
    static func name(_ base: String, _ family: AddressFamily) -> String { base + (family == .ipv4 ? "4" : "6") }

    private static func address(_ family: AddressFamily) -> DataType { family == .ipv4 ? .ipv4_addr : .ipv6_addr }

    static func masquerade(_ family: AddressFamily) -> Place {
        Place(table: inet, set: ElementSet(name("masquerade", family), key: [address(family)], value: .verdict))
    }
    static func hairpin(_ family: AddressFamily) -> Place {
        Place(table: inet, set: ElementSet(name("hairpin", family), key: [address(family)], value: .verdict))
    }
    static func hostPorts(_ family: AddressFamily) -> Place {
        let value = ElementSet.ValueType.data([address(family), .inet_service])
        return Place(
            table: inet, set: ElementSet(name("hostports", family), key: [.inet_proto, .inet_service], value: value))
    }
    static func hostAddressPorts(_ family: AddressFamily) -> Place {
        let value = ElementSet.ValueType.data([address(family), .inet_service])
        let key = [address(family), .inet_proto, .inet_service]
        return Place(table: inet, set: ElementSet(name("hostip_hostports", family), key: key, value: value))
    }
    static func conditionalPorts(_ family: AddressFamily) -> Place {
        let set = ElementSet(
            name("conditional_hostports", family), key: [.inet_proto, .inet_service], value: .verdict)
        return Place(table: inet, set: set)
    }
    /// Ports that wait for another attachment of the same container to give them up; no rule looks here.
    ///
    /// Host address (unspecified for all), protocol, host port, container address, container port (0: the owner's chain).
    static func standbyPorts(_ family: AddressFamily) -> Place {
        let key = [address(family), .inet_proto, .inet_service, address(family), .inet_service]
        return Place(table: inet, set: ElementSet(name("standby_hostports", family), key: key))
    }
    static func containers(_ family: AddressFamily) -> Place {
        Place(table: inet, set: ElementSet(name("containers", family), key: [address(family)]))
    }
    static let bridges = Place(table: inet, set: ElementSet("bridges", key: [.ifname]))
    static let bridgePairs = Place(
        table: inet, set: ElementSet("bridge_pairs", key: [.ifname, .ifname], value: .verdict))
    static let boundPorts = Place(table: bridge, set: ElementSet("bound_ports", key: [.ifname]))
    static let boundAddresses = Place(table: bridge, set: ElementSet("bound_macs", key: [.ifname, .ether_addr]))
    static let isolatedPorts = Place(table: bridge, set: ElementSet("isolated_ports", key: [.ifname]))

    /// The sets with entries of owners.
    static func places(_ parts: FilterParts) -> [Place] {
        var places: [Place] = []
        for family in [AddressFamily.ipv4, .ipv6] {
            if parts.contains(.masquerade) { places.append(masquerade(family)) }
            if parts.contains(.portForward) {
                places += [hostPorts(family), hostAddressPorts(family), conditionalPorts(family), hairpin(family)]
                places.append(standbyPorts(family))
            }
            if parts.contains(.firewall) { places.append(containers(family)) }
        }
        if parts.contains(.firewall) { places.append(isolatedPorts) }
        if parts.contains(.antiSpoof) { places += [boundPorts, boundAddresses] }
        return places
    }

    /// The table `inet swiftlet` without elements and without networks' chains.
    public static var inetTable: Table {
        let families = [AddressFamily.ipv4, .ipv6]
        let sets = families.flatMap { family in
            [masquerade, hostPorts, hostAddressPorts, conditionalPorts, standbyPorts, hairpin, containers].map {
                $0(family).set
            }
        }
        let port: [Selector] = [.transport, .destinationPort]
        let hostPortRules = families.flatMap { family in
            [
                Rule(
                    .destinationMap(
                        family, [.destination(family)] + port, map: hostAddressPorts(family).set.name)),
                Rule(.family(family), .verdictMap(port, map: conditionalPorts(family).set.name)),
                Rule(.family(family), .destinationMap(family, port, map: hostPorts(family).set.name)),
            ]
        }
        let toHostPorts = [Rule(.isLocalDestination, .verdict(.jump("hostports")))]
        return Table(
            inet, comment: "Swiftlet: see docs/packet-filter.md; the chain admin is yours",
            sets: sets + [bridges.set, bridgePairs.set],
            chains: [
                Chain("hostports", rules: hostPortRules),
                Chain(masqueradeAllChain, rules: [Rule(.masquerade)]),
                Chain(adminChain),
                Chain(
                    "isolation",
                    rules: [
                        Rule(.verdictMap(.inputInterface, .outputInterface, map: bridgePairs.set.name)),
                        Rule(
                            .lookup(.inputInterface, set: bridges.set.name),
                            .lookup(.outputInterface, set: bridges.set.name), .verdict(.drop)),
                    ]),
                // A bridge with route_localnet, which ports published on 127.0.0.1 need, would let its containers reach
                // what listens on the host's loopback only.
                Chain(
                    "loopback-guard", hook: BaseHook(.filter, .prerouting, priority: -300),
                    rules: [
                        Rule(
                            .match(.inputInterface, .interface("lo"), isNegated: true),
                            .to(Entries.loopback(.ipv4)), .verdict(.drop))
                    ]),
                Chain("prerouting", hook: BaseHook(.nat, .prerouting, priority: -100), rules: toHostPorts),
                Chain("output", hook: BaseHook(.nat, .output, priority: -100), rules: toHostPorts),
                Chain(
                    "postrouting", hook: BaseHook(.nat, .postrouting, priority: 100),
                    rules: families.map {
                        Rule(.isDestinationTranslated, .verdictMap(.destination($0), map: hairpin($0).set.name))
                    } + families.map { Rule(.verdictMap(.source($0), map: masquerade($0).set.name)) }),
                Chain(
                    "forward", hook: BaseHook(.filter, .forward, priority: 0),
                    rules: [Rule(.verdict(.jump(adminChain))), Rule(.verdict(.jump("isolation")))]
                        + families.flatMap { family in
                            let set = containers(family).set.name
                            return [
                                Rule(
                                    .connectionState([.established, .related]),
                                    .lookup(.destination(family), set: set), .verdict(.accept)),
                                Rule(.lookup(.source(family), set: set), .verdict(.accept)),
                            ]
                        }),
            ])
    }

    /// The table `bridge swiftlet` without elements.
    public static var bridgeTable: Table {
        Table(
            bridge, comment: "Swiftlet: see docs/packet-filter.md",
            sets: [boundPorts.set, boundAddresses.set, isolatedPorts.set],
            chains: [
                Chain(
                    "prerouting", hook: BaseHook(.filter, .prerouting, priority: -300),
                    rules: [
                        Rule(
                            .lookup(.inputInterface, .etherSource, set: boundAddresses.set.name), .verdict(.accept)),
                        Rule(.lookup(.inputInterface, set: boundPorts.set.name), .verdict(.drop)),
                    ]),
                Chain(
                    "forward", hook: BaseHook(.filter, .forward, priority: -200),
                    rules: [
                        Rule(
                            .lookup(.inputInterface, set: isolatedPorts.set.name),
                            .lookup(.outputInterface, set: isolatedPorts.set.name), .verdict(.drop))
                    ]),
            ])
    }

    static func table(_ identifier: Table.Identifier) -> Table {
        identifier == bridge ? bridgeTable : inetTable
    }

    /// The chains of the base that a set's packets pass, the hooks' first.
    static func passedChains(_ place: Table.Identifier, _ set: String) -> [String] {
        if place == bridge { return set == isolatedPorts.set.name ? ["forward"] : ["prerouting"] }
        if set.hasPrefix("masquerade") || set.hasPrefix("hairpin") { return ["postrouting"] }
        if set.hasPrefix("containers") { return ["forward"] }
        if set.hasPrefix("bridge") { return ["forward", "isolation"] }
        return ["loopback-guard", "prerouting", "output", "hostports"]
    }

    /// How often a chain of the base is used at least: its rules, and the base's jumps to it. A constant, because to make
    /// the layout and count takes longer than to ask the kernel.
    static func uses(of chain: String, in table: Table.Identifier) -> UInt32 {
        switch (table.family, chain) {
        case (.bridge, "prerouting"): 2
        case (.bridge, _): 1
        case (_, "hostports"): 8
        case (_, "isolation"): 3
        case (_, "postrouting"): 4
        case (_, "forward"): 6
        default: 1
        }
    }
}
