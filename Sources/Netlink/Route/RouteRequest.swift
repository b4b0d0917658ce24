internal import CLinux
internal import NetworkTypes

/// One change of a namespace's links, addresses, routes and tables, as a value: sent alone or in a batch.
public enum RouteRequest: Equatable, Sendable {
    /// `ip link add …`
    case createLink(LinkSpec)
    /// `ip link set …`
    case changeLink(index: Int32, LinkChange)
    /// `ip link delete …`
    case deleteLink(index: Int32)
    /// `bridge link set dev …`
    case changePort(index: Int32, BridgePortChange)
    /// `bridge vlan add …`; `ofBridge` asks for the bridge's own entry (`self`).
    case addVLAN(PortVLAN, index: Int32, ofBridge: Bool = false)
    /// `bridge vlan delete …`; `ofBridge` asks for the bridge's own entry (`self`).
    case removeVLAN(UInt16, index: Int32, ofBridge: Bool = false)
    /// `ip address add …`
    case addAddress(InterfaceAddress)
    /// `ip address delete …`
    case removeAddress(InterfaceAddress)
    /// `ip route append …`; for IPv6 without a metric, `ip route add …`
    case addRoute(Route)
    /// `ip route delete …`; matches any scope unless one is given, and any protocol.
    case removeRoute(Route)
    /// `ip rule add …`
    case addRule(RoutingRule)
    /// `ip rule delete …`
    case removeRule(RoutingRule)
    /// `ip neighbour add …`
    case addNeighbour(Neighbour)
    /// `ip neighbour replace …`
    case replaceNeighbour(Neighbour)
    /// `ip neighbour delete …`
    case removeNeighbour(Neighbour)
    /// `bridge fdb add …`
    case addForwarding(ForwardingEntry)
    /// `bridge fdb append …`: one more remote of a VXLAN for the all-zero or a multicast MAC.
    case appendForwarding(ForwardingEntry)
    /// `bridge fdb replace …`
    case replaceForwarding(ForwardingEntry)
    /// `bridge fdb delete …`
    case removeForwarding(ForwardingEntry)
    /// `ip netns set … …` by descriptor; nil lets the kernel choose.
    case assignNamespaceIdentifier(namespace: Int32, identifier: Int32?)

    /// The verb, for messages.
    public var operation: String {
        switch self {
        case .createLink: "create link"
        case .changeLink: "change link"
        case .deleteLink: "delete link"
        case .changePort: "change bridge port"
        case .addVLAN: "add VLAN"
        case .removeVLAN: "remove VLAN"
        case .addAddress: "add address"
        case .removeAddress: "remove address"
        case .addRoute: "add route"
        case .removeRoute: "remove route"
        case .addRule: "add rule"
        case .removeRule: "remove rule"
        case .addNeighbour: "add neighbour"
        case .replaceNeighbour: "replace neighbour"
        case .removeNeighbour: "remove neighbour"
        case .addForwarding: "add forwarding entry"
        case .appendForwarding: "append forwarding entry"
        case .replaceForwarding: "replace forwarding entry"
        case .removeForwarding: "remove forwarding entry"
        case .assignNamespaceIdentifier: "assign namespace id"
        }
    }

    /// The object, for messages: links by index, since a name would cost a question to the kernel.
    public var subject: String {
        switch self {
        case .createLink(let spec): spec.name
        case .changeLink(let index, let change): change.name.map { "\(index) (to \($0))" } ?? "\(index)"
        case .deleteLink(let index), .changePort(let index, _): "\(index)"
        case .addVLAN(let vlan, let index, _): "\(vlan.identifier) on link \(index)"
        case .removeVLAN(let identifier, let index, _): "\(identifier) on link \(index)"
        case .addAddress(let address), .removeAddress(let address): "\(address.prefix) on link \(address.link)"
        case .addRoute(let route), .removeRoute(let route): route.summary
        case .addRule(let rule), .removeRule(let rule): rule.summary
        case .addNeighbour(let entry), .replaceNeighbour(let entry), .removeNeighbour(let entry):
            "\(entry.address) on link \(entry.link)"
        case .addForwarding(let entry), .appendForwarding(let entry), .replaceForwarding(let entry),
            .removeForwarding(let entry):
            "\(entry.mac)" + (entry.remote.map { " to \($0)" } ?? "") + " on link \(entry.link)"
        case .assignNamespaceIdentifier(let namespace, let identifier):
            "\(identifier.map(String.init) ?? "auto") to descriptor \(namespace)"
        }
    }
}

/// `NLM_F_REQUEST | NLM_F_ACK`, what every change carries.
let acknowledged = NLM_F_REQUEST | NLM_F_ACK

extension MessageBuilder {
    /// Encodes a request as one message.
    mutating func append(_ request: RouteRequest) {
        switch request {
        case .createLink(let spec): appendCreate(spec)
        case .changeLink(let index, let change): appendChange(index: index, change)
        case .deleteLink(let index): appendDelete(index: index)
        case .changePort(let index, let change): appendPortChange(index: index, change)
        case .addVLAN(let vlan, let index, let ofBridge): appendVLAN(vlan, index: index, ofBridge, RTM_SETLINK)
        case .removeVLAN(let identifier, let index, let ofBridge):
            appendVLAN(PortVLAN(identifier: identifier), index: index, ofBridge, RTM_DELLINK)
        case .addAddress(let address): append(address, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL)
        case .removeAddress(let address): append(address, RTM_DELADDR, 0)
        case .addRoute(let route): appendAdd(route)
        case .removeRoute(let route): appendRemove(route)
        case .addRule(let rule): append(rule, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL)
        case .removeRule(let rule): append(rule, RTM_DELRULE, 0)
        case .addNeighbour(let entry): append(entry, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL)
        case .replaceNeighbour(let entry): append(entry, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE)
        case .removeNeighbour(let entry): append(entry, RTM_DELNEIGH, 0)
        case .addForwarding(let entry): append(entry, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL)
        case .appendForwarding(let entry): append(entry, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND)
        case .replaceForwarding(let entry): append(entry, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE)
        case .removeForwarding(let entry): append(entry, RTM_DELNEIGH, 0)
        case .assignNamespaceIdentifier(let namespace, let identifier):
            appendNamespaceIdentifier(descriptor: namespace, identifier: identifier)
        }
    }
}

extension AddressFamily {
    /// `AF_INET` or `AF_INET6`.
    var number: UInt8 { UInt8(truncatingIfNeeded: self == .ipv4 ? AF_INET : AF_INET6) }

    init?(number: UInt8) {
        switch Int32(number) {
        case AF_INET: self = .ipv4
        case AF_INET6: self = .ipv6
        default: return nil
        }
    }
}
