import Attachment
import Netlink
import NetworkTypes
import PluginKit
import System

/// Network namespaces in memory: enough of the kernel's behaviour to run a plugin on, and a world that can be compared.
final class FakeKernel {
    /// One namespace.
    struct Namespace: Equatable {
        var links: [Int32: Link] = [:]
        var addresses: [InterfaceAddress] = []
        var routes: [Route] = []
        var parameters: [String: String] = [:]
        var vlans: [Int32: Set<PortVLAN>] = [:]
        var disciplines: [Int32: [DisciplinePosition: QueueDiscipline]] = [:]
        var filters: [Int32: [TrafficFilter]] = [:]
        var neighbours: [Neighbour] = []
        var forwarding: [ForwardingEntry] = []
        /// Bridges that were given a MAC.
        var fixedMACs: Set<Int32> = []
        /// Links that make no link-local address.
        var withoutLinkLocal: Set<Int32> = []
    }

    /// The namespaces by descriptor; 0 is the host's.
    var namespaces: [Int32: Namespace] = [0: Namespace()]
    /// Whether bridges filter VLANs.
    var filtersVLANs = true
    /// What the kernel was built without: "ifb", "tbf", "ingress", "u32", "vxlan".
    var lacking: Set<String>
    /// The change that fails, counted from 1; nil for none.
    var failingChange: Int?
    /// The change from which on all fail, as if the process had been killed; nil for none.
    var killingChange: Int?
    /// The changes asked for so far.
    private(set) var changes = 0
    /// The verbs of the changes asked for so far.
    private(set) var log: [String] = []
    private var nextIndex: Int32 = 10

    init(lacking: Set<String> = []) {
        self.lacking = lacking
    }

    /// The stack of a namespace.
    func stack(_ descriptor: Int32) -> FakeStack {
        if namespaces[descriptor] == nil { namespaces[descriptor] = Namespace() }
        return FakeStack(self, descriptor)
    }

    func resetCount() {
        changes = 0
        log = []
    }

    /// Counts a change, and fails it when it is its turn.
    func count(_ operation: String, _ subject: String) throws(NetlinkError) {
        changes += 1
        log.append("\(operation) \(subject)")
        if changes == failingChange || changes >= killingChange ?? .max {
            throw NetlinkError(operation: operation, subject: subject, errno: .inputOutput, kernelMessage: "injected")
        }
    }

    func newIndex() -> Int32 {
        nextIndex += 1
        return nextIndex
    }

    func remove(_ index: Int32, in descriptor: Int32) {
        guard var namespace = namespaces[descriptor], let link = namespace.links[index] else { return }
        namespace.links[index] = nil
        namespace.addresses.removeAll { $0.link == index }
        namespace.routes.removeAll { $0.link == index }
        namespace.vlans[index] = nil
        namespace.disciplines[index] = nil
        namespace.filters[index] = nil
        namespace.neighbours.removeAll { $0.link == index }
        namespace.forwarding.removeAll { $0.link == index }
        namespace.fixedMACs.remove(index)
        namespace.withoutLinkLocal.remove(index)
        for (other, port) in namespace.links where port.master == index { namespace.links[other]?.master = nil }
        let parts = "/\(link.name)/"
        namespace.parameters = namespace.parameters.filter { !$0.key.contains(parts) }
        namespaces[descriptor] = namespace
        guard link.kind == "veth", let peer = link.peer else { return }
        for (other, candidate) in namespaces where candidate.links[peer]?.peer == index { remove(peer, in: other) }
    }
}

/// One namespace of a ``FakeKernel``.
final class FakeStack: NetworkStack {
    let kernel: FakeKernel
    private let descriptor: Int32

    init(_ kernel: FakeKernel, _ descriptor: Int32) {
        self.kernel = kernel
        self.descriptor = descriptor
    }

    var here: FakeKernel.Namespace {
        get { kernel.namespaces[descriptor] ?? FakeKernel.Namespace() }
        set { kernel.namespaces[descriptor] = newValue }
    }

    func error(_ operation: String, _ subject: String, _ errno: Errno) -> NetlinkError {
        NetlinkError(operation: operation, subject: subject, errno: errno)
    }

    func link(named name: String) throws(NetlinkError) -> Link? { here.links.values.first { $0.name == name } }

    func link(index: Int32) throws(NetlinkError) -> Link? { here.links[index] }

    func summary(ofLink name: String) throws(NetlinkError) -> LinkSummary? {
        try link(named: name).map { LinkSummary(index: $0.index, mtu: $0.mtu, mac: $0.mac) }
    }

    func forwards(_ family: AddressFamily) throws(NetlinkError) -> Bool {
        here.parameters[family == .ipv4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"] == "1"
    }

    func links() throws(NetlinkError) -> [Link] { here.links.values.sorted { $0.index < $1.index } }

    func createLink(_ spec: LinkSpec) throws(NetlinkError) {
        try kernel.count("create link", spec.name)
        if spec.namespace == nil, try link(named: spec.name) != nil {
            throw error("create link", spec.name, .fileExists)
        }
        var link = Link(index: kernel.newIndex(), name: spec.name)
        link.mac = spec.mac ?? MACAddress(locallyAdministered: UInt64(link.index))
        link.mtu = spec.mtu ?? 1500
        if spec.isUp { link.flags |= 1 }
        switch spec.kind {
        case .bridge(let state):
            link.kind = "bridge"
            link.bridge = BridgeState(vlanFiltering: state.vlanFiltering && kernel.filtersVLANs)
        case .veth(let peer):
            link.kind = "veth"
            let place = peer.namespace ?? descriptor
            var there = kernel.namespaces[place] ?? FakeKernel.Namespace()
            if there.links.values.contains(where: { $0.name == peer.name }) {
                throw error("create link", spec.name, .fileExists)
            }
            var other = Link(index: kernel.newIndex(), name: peer.name, kind: "veth")
            other.mac = peer.mac ?? MACAddress(locallyAdministered: UInt64(other.index))
            other.mtu = peer.mtu ?? 1500
            other.peer = link.index
            link.peer = other.index
            there.links[other.index] = other
            kernel.namespaces[place] = there
        case .vxlan(let state):
            if kernel.lacking.contains("vxlan") { throw error("create link", spec.name, .notSupported) }
            link.kind = "vxlan"
            link.vxlan = state
        case .macvlan(let parent, _):
            link.kind = "macvlan"
            link.peer = parent
        case .ifb:
            if kernel.lacking.contains("ifb") { throw error("create link", spec.name, .notSupported) }
            link.kind = "ifb"
        }
        let place = spec.namespace ?? descriptor
        if spec.namespace != nil,
            kernel.namespaces[place]?.links.values.contains(where: { $0.name == spec.name }) == true
        {
            throw error("create link", spec.name, .fileExists)
        }
        kernel.namespaces[place, default: FakeKernel.Namespace()].links[link.index] = link
        if link.kind == "bridge", spec.mac != nil { kernel.namespaces[place]?.fixedMACs.insert(link.index) }
        kernel.namespaces[place]?.parameters["net/ipv6/conf/\(link.name)/accept_ra"] = "1"
    }

    func changeLink(index: Int32, _ change: LinkChange) throws(NetlinkError) {
        try kernel.count("change link", "\(here.links[index]?.name ?? "\(index)")")
        guard var link = here.links[index] else { throw error("change link", "\(index)", .noSuchDevice) }
        func set(_ flag: UInt32, _ on: Bool?) {
            guard let on else { return }
            link.flags = on ? link.flags | flag : link.flags & ~flag
        }
        set(0x1, change.isUp)
        set(0x100, change.isPromiscuous)
        set(0x200, change.isAllMulticast)
        link.mac = change.mac ?? link.mac
        if link.kind == "bridge", change.mac != nil { here.fixedMACs.insert(index) }
        if change.addressGeneration == IPv6AddressGeneration.none { here.withoutLinkLocal.insert(index) }
        link.mtu = change.mtu ?? link.mtu
        link.transmitQueueLength = change.transmitQueueLength ?? link.transmitQueueLength
        link.name = change.name ?? link.name
        if let alias = change.alias { link.alias = alias.isEmpty ? nil : alias }
        if let master = change.master {
            link.master = master == 0 ? nil : master
            link.port = master == 0 ? nil : BridgePort()
            here.vlans[index] = master == 0 ? nil : [PortVLAN(identifier: 1, isNative: true, isUntagged: true)]
        }
        if let filtering = change.vlanFiltering { link.bridge?.vlanFiltering = filtering && kernel.filtersVLANs }
        here.links[index] = link
    }

    func deleteLink(index: Int32) throws(NetlinkError) {
        try kernel.count("delete link", "\(here.links[index]?.name ?? "\(index)")")
        guard here.links[index] != nil else { throw error("delete link", "\(index)", .noSuchDevice) }
        kernel.remove(index, in: descriptor)
    }

    func changePort(index: Int32, _ change: BridgePortChange) throws(NetlinkError) {
        try kernel.count("change port", "\(index)")
        guard var port = here.links[index]?.port else { throw error("change port", "\(index)", .notSupported) }
        port.hairpin = change.hairpin ?? port.hairpin
        port.isolated = change.isolated ?? port.isolated
        port.learning = change.learning ?? port.learning
        port.flood = change.flood ?? port.flood
        port.neighbourSuppression = change.neighbourSuppression ?? port.neighbourSuppression
        here.links[index]?.port = port
    }

    func vlans(port index: Int32) throws(NetlinkError) -> [PortVLAN] {
        (here.vlans[index] ?? []).sorted { $0.identifier < $1.identifier }
    }

    func addVLAN(_ vlan: PortVLAN, port index: Int32) throws(NetlinkError) {
        try kernel.count("add VLAN", "\(vlan.identifier)")
        here.vlans[index, default: []].insert(vlan)
    }

    func removeVLAN(_ identifier: UInt16, port index: Int32) throws(NetlinkError) {
        try kernel.count("remove VLAN", "\(identifier)")
        here.vlans[index] = here.vlans[index]?.filter { $0.identifier != identifier }
    }

    func addresses(link index: Int32?) throws(NetlinkError) -> [InterfaceAddress] {
        here.addresses.filter { index == nil || $0.link == index }
    }

    func addAddress(_ address: InterfaceAddress) throws(NetlinkError) {
        try kernel.count("add address", "\(address.prefix)")
        if here.addresses.contains(where: { $0.link == address.link && $0.prefix == address.prefix }) {
            throw error("add address", "\(address.prefix)", .fileExists)
        }
        var settled = address
        settled.flags = 0x80
        here.addresses.append(settled)
        here.routes.append(Route(destination: address.prefix.network, link: address.link, routingProtocol: 2))
    }

    func removeAddress(_ address: InterfaceAddress) throws(NetlinkError) {
        try kernel.count("remove address", "\(address.prefix)")
        here.addresses.removeAll { $0.link == address.link && $0.prefix == address.prefix }
        here.routes.removeAll {
            $0.link == address.link && $0.destination == address.prefix.network && $0.routingProtocol == 2
        }
    }

    func routes(family: AddressFamily) throws(NetlinkError) -> [Route] {
        here.routes.filter { $0.destination.family == family }
    }

    func addRoute(_ route: Route) throws(NetlinkError) {
        try kernel.count("add route", "\(route.destination)")
        here.routes.append(route)
    }

    func removeRoute(_ route: Route) throws(NetlinkError) {
        try kernel.count("remove route", "\(route.destination)")
        here.routes.removeAll { $0 == route }
    }

    func awaitLink(index: Int32, milliseconds: Int, until condition: (Link) -> Bool) throws(NetlinkError) -> Bool {
        try kernel.count("await link", "\(index)")
        guard let link = here.links[index] else { return false }
        return condition(link)
    }

    func awaitAddresses(link index: Int32, milliseconds: Int, until condition: ([InterfaceAddress]) -> Bool)
        throws(NetlinkError) -> Bool
    {
        try kernel.count("await addresses", "\(index)")
        return condition(try addresses(link: index))
    }

    func parameter(_ key: String) throws(SystemError) -> String { here.parameters[key] ?? "0" }

    func setParameter(_ key: String, _ value: String) throws(SystemError) {
        do {
            try kernel.count("set parameter", key)
        } catch {
            throw SystemError("write", key, .inputOutput)
        }
        write(key, value)
    }

    /// A parameter that was never written reads 0; links' own parameters are kept, whatever they are.
    private func write(_ key: String, _ value: String) {
        let isDefault = value == "0" && !key.contains("/conf/")
        here.parameters[key] = isDefault ? nil : value
    }

    func exchangeParameters(_ parameters: [(key: String, value: String)], passingOverFailures: Bool)
        throws(SystemError) -> [(key: String, value: String)]
    {
        var old: [(key: String, value: String)] = []
        for (key, value) in parameters {
            let before = try parameter(key)
            if before == value { continue }
            do {
                try setParameter(key, value)
            } catch {
                if passingOverFailures { continue }
                for (key, value) in old.reversed() { write(key, value) }
                throw error
            }
            old.append((key, before))
        }
        return old
    }

    func writeParameters(_ parameters: [(key: String, value: String)], passingOverFailures: Bool) throws(SystemError) {
        for (key, value) in parameters {
            do {
                try setParameter(key, value)
            } catch {
                if !passingOverFailures { throw error }
            }
        }
    }
}
