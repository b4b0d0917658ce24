import NetworkTypes

@testable import Netlink

/// One request of every kind, by the name of its file in `Tests/Golden/netlink`.
enum GoldenRequests {
    static let all: [(name: String, build: @Sendable (inout MessageBuilder) -> Void)] =
        queries
        + changes.map { change in
            (change.name, { $0.append(change.request) })
        }

    private static let queries: [(name: String, build: @Sendable (inout MessageBuilder) -> Void)] = [
        ("get-link-by-name", { $0.appendGetLink(name: "eth0") }),
        ("get-link-by-index", { $0.appendGetLink(index: 7) }),
        ("dump-links", { $0.appendDumpLinks() }),
        ("dump-vlans", { $0.appendDumpVLANs() }),
        ("dump-addresses", { $0.appendDumpAddresses(link: 7) }),
        ("dump-routes", { $0.appendDumpRoutes(.ipv6) }),
        ("dump-rules", { $0.appendDumpRules(.ipv4) }),
        ("dump-neighbours", { $0.appendDumpNeighbours(.ipv4, link: 7) }),
        ("dump-forwarding", { $0.appendDumpForwarding(link: 7) }),
        ("get-namespace-id", { $0.appendGetNamespaceIdentifier(descriptor: 5) }),
    ]

    private static let mac = MACAddress(number: 0x0242_0A01_0203)
    private static func prefix(_ text: String) -> IPPrefix { IPPrefix(text) ?? .any(.ipv4) }
    private static func address(_ text: String) -> IPAddress { IPAddress(text) ?? prefix("0.0.0.0/0").address }
    private static let remote = ForwardingEntry(
        link: 7, mac: mac, remote: address("192.0.2.9"), port: 4790, vni: 4097, state: 0x80, flags: 0x02)

    private static let changes: [(name: String, request: RouteRequest)] = [
        ("create-bridge", .createLink(LinkSpec(name: "cni0", kind: .bridge(BridgeState()), mtu: 1450))),
        (
            "create-bridge-vlan-filtering",
            .createLink(
                LinkSpec(name: "cni0", kind: .bridge(BridgeState(vlanFiltering: true, ageingTime: 0)), isUp: true))
        ),
        (
            "create-veth",
            .createLink(
                LinkSpec(
                    name: "veth1a2b3c4d", kind: .veth(peer: .init(name: "eth0", mac: mac, mtu: 1400, namespace: 5)),
                    mtu: 1400, isUp: true))
        ),
        (
            "create-vxlan",
            .createLink(
                LinkSpec(
                    name: "vxlan0",
                    kind: .vxlan(
                        VXLANState(
                            identifier: 4097, local: address("192.0.2.1"), learning: false, proxy: true, l2Miss: true,
                            l3Miss: true, underlay: 2)), mac: mac))
        ),
        (
            "create-vxlan-ipv6",
            .createLink(
                LinkSpec(
                    name: "vxlan0",
                    kind: .vxlan(
                        VXLANState(
                            identifier: 4097, port: 8472, local: address("2001:db8::1"), group: address("ff05::100")))))
        ),
        ("create-macvlan", .createLink(LinkSpec(name: "mac0", kind: .macvlan(parent: 2, mode: .bridge)))),
        (
            "change-link",
            .changeLink(
                index: 7,
                LinkChange {
                    $0.isUp = true
                    $0.isPromiscuous = false
                    $0.isAllMulticast = true
                    $0.mac = mac
                    $0.mtu = 9000
                    $0.transmitQueueLength = 0
                    $0.master = 3
                    $0.alias = "pod"
                    $0.name = "eth1"
                    $0.namespace = 5
                })
        ),
        ("change-link-empty-alias", .changeLink(index: 7, LinkChange { $0.alias = "" })),
        ("change-link-vlan-filtering", .changeLink(index: 7, LinkChange { $0.vlanFiltering = true })),
        (
            "change-link-families",
            .changeLink(
                index: 7,
                LinkChange {
                    $0.addressGeneration = IPv6AddressGeneration.none
                    $0.announcesAddresses = true
                })
        ),
        ("delete-link", .deleteLink(index: 7)),
        (
            "change-port",
            .changePort(
                index: 7,
                BridgePortChange(
                    hairpin: true, isolated: true, learning: false, flood: true, neighbourSuppression: false))
        ),
        ("add-vlan", .addVLAN(PortVLAN(identifier: 100, isNative: true, isUntagged: true), index: 7)),
        ("remove-vlan-of-bridge", .removeVLAN(100, index: 7, ofBridge: true)),
        ("add-address", .addAddress(InterfaceAddress(link: 7, prefix: prefix("10.1.2.3/24")))),
        ("add-address-31", .addAddress(InterfaceAddress(link: 7, prefix: prefix("10.1.2.2/31")))),
        ("add-address-nodad", .addAddress(InterfaceAddress(link: 7, prefix: prefix("2001:db8::3/64"), flags: 2))),
        ("remove-address", .removeAddress(InterfaceAddress(link: 7, prefix: prefix("10.1.2.3/24")))),
        (
            "add-route-default",
            .addRoute(Route(destination: .any(.ipv4), gateway: address("10.1.2.1"), link: 7))
        ),
        (
            "add-route-everything",
            .addRoute(
                Route(
                    destination: prefix("10.9.0.0/16"), link: 7, metric: 50, table: 1000, source: address("10.1.2.3"),
                    mtu: 1300, advertisedMSS: 1260, routingProtocol: 4))
        ),
        (
            "add-route-ipv6",
            .addRoute(Route(destination: prefix("2001:db8:9::/48"), gateway: address("2001:db8::1"), link: 7))
        ),
        (
            "add-route-via-ipv6",
            .addRoute(Route(destination: prefix("10.9.0.0/16"), gateway: address("fe80::1"), link: 7))
        ),
        ("remove-route", .removeRoute(Route(destination: prefix("10.9.0.0/16"), gateway: address("10.1.2.1")))),
        (
            "add-rule",
            .addRule(
                RoutingRule(
                    family: .ipv4, priority: 100, source: prefix("10.1.0.0/16"), destination: prefix("10.2.0.0/16"),
                    inputInterface: "cni0", mark: 0x2000, table: 1000))
        ),
        ("remove-rule", .removeRule(RoutingRule(family: .ipv6, priority: 100, table: 254))),
        ("add-neighbour", .addNeighbour(Neighbour(link: 7, address: address("10.1.2.3"), mac: mac))),
        ("replace-neighbour", .replaceNeighbour(Neighbour(link: 7, address: address("2001:db8::3"), mac: mac))),
        ("remove-neighbour", .removeNeighbour(Neighbour(link: 7, address: address("10.1.2.3"), mac: nil))),
        ("add-forwarding", .addForwarding(ForwardingEntry(link: 7, mac: mac, vlan: 100, flags: 0x04))),
        ("append-forwarding", .appendForwarding(remote)),
        ("replace-forwarding", .replaceForwarding(remote)),
        ("remove-forwarding", .removeForwarding(remote)),
        ("assign-namespace-id", .assignNamespaceIdentifier(namespace: 5, identifier: nil)),
    ]
}
