internal import Netfilter
internal import Netlink
internal import NetworkTypes
internal import Overlay
internal import System

/// What one network needs on this host.
struct NetworkPlan: Equatable, Sendable {
    let identity: NetworkIdentity
    /// `br0` and `vxlan0`; its underlay's index is filled in by the kernel's side.
    var segment: OverlaySegment
    /// The interface VXLAN leaves by; nil to leave it to the routes.
    var interface: String?
    /// The entries for endpoints of other hosts.
    var entries: PeerEntries
    /// The MACs of this host's own endpoints.
    var own: [IPAddress: MACAddress]
    /// The VTEPs VXLAN is accepted from, our own among them.
    var members: Set<IPAddress>
    /// The VTEPs that are known to be none any more.
    var dismissed: Set<IPAddress> = []
    /// Whether what is not in the plan is removed. Before the other hosts were heard after a start, it is not: what is in
    /// the kernel then is the best that is known.
    var isComplete: Bool
}

/// What was found and done for a network.
struct NetworkReport: Equatable, Sendable {
    /// The containers' links by name.
    var ports: [String: PortInfo] = [:]
    /// How many entries were written or removed.
    var corrections = 0

    /// A container's link.
    struct PortInfo: Equatable, Sendable {
        let alias: String?
        let index: Int32
        let mtu: UInt32
    }
}

/// Where this host's VXLAN leaves.
struct Underlay: Equatable, Sendable {
    let address: IPAddress
    let mtu: UInt32
    let interface: String
}

/// The daemon's side of the kernel, on its one thread.
struct Kernel {
    let namespaces: OverlayNamespaces
    private var session: RouteSession?
    private var filter: VTEPFilter?
    private var networks: [String: OverlayNetwork] = [:]
    /// By network, the MACs that containers may keep for addresses, where it is not the one that follows from the address.
    private var told: [String: [IPAddress: MACAddress]] = [:]

    init(namespaces: OverlayNamespaces = OverlayNamespaces()) { self.namespaces = namespaces }

    mutating func host() throws -> RouteSession {
        if let session { return session }
        let opened = try RouteSession()
        session = opened
        return opened
    }

    mutating func packetFilter() throws -> VTEPFilter {
        if let filter { return filter }
        let opened = try VTEPFilter()
        filter = opened
        return opened
    }

    /// Finds where an address of ours is, or an interface's first address, and how large its packets may be.
    mutating func underlay(address: IPAddress, interface: String?) throws -> Underlay {
        let host = try host()
        let links = try host.links()
        let addresses = try host.addresses(link: nil)
        if let interface {
            guard let link = links.first(where: { $0.name == interface }) else {
                throw StartFault("interface: there is no '\(interface)' on this host")
            }
            let own = addresses.filter { $0.link == link.index }.map(\.prefix.address)
            // An address of the daemon's family first; a link-local one is no VTEP.
            let usable = own.filter { !$0.isLinkLocal }
            let chosen =
                usable.first { $0 == address } ?? usable.first { $0.family == address.family } ?? usable.first
            guard let chosen else {
                throw StartFault("interface: '\(interface)' has no address that other hosts can use")
            }
            return Underlay(address: chosen, mtu: link.mtu, interface: link.name)
        }
        guard let index = addresses.first(where: { $0.prefix.address == address })?.link,
            let link = links.first(where: { $0.index == index })
        else {
            throw StartFault("no interface has \(address), which is to be the VTEP; set \"vtep\" or \"interface\"")
        }
        return Underlay(address: address, mtu: link.mtu, interface: link.name)
    }

    /// Makes a network's namespace as planned: nothing is flushed, every entry is replaced or left as it is. Does not wait for
    /// the network's lock; nor does what else takes it here.
    mutating func apply(_ plan: NetworkPlan) throws -> NetworkReport {
        let host = try host()
        var segment = plan.segment
        if let interface = plan.interface { segment.underlay = try host.link(named: interface)?.index }
        // The filter first: no packet of a stranger is ever let in.
        try setFilter(plan)
        let network = try OverlayNetwork.prepare(plan.identity, segment, host: host, in: namespaces, waits: false)
        networks[plan.identity.identifier] = network
        var report = NetworkReport()
        report.corrections = try program(plan, network)
        for port in try network.containerPorts() {
            report.ports[port.name] = NetworkReport.PortInfo(alias: port.alias, index: port.index, mtu: port.mtu)
        }
        return report
    }

    private mutating func setFilter(_ plan: NetworkPlan) throws {
        let filter = try packetFilter()
        var members = plan.members
        if !plan.isComplete {
            members.formUnion((try filter.listedMembers(plan.identity) ?? []).subtracting(plan.dismissed))
        }
        try filter.set(
            plan.identity, vni: plan.segment.vni, port: plan.segment.port, members: Array(members))
    }

    private mutating func program(_ plan: NetworkPlan, _ network: OverlayNetwork) throws -> Int {
        guard let index = try network.vxlanIndex() else { return try network.program(plan.entries) }
        let observed = try PeerEntries(network.stack, vxlan: index)
        let wanted = plan.isComplete ? plan.entries : plan.entries.completed(by: observed)
        let requests = wanted.requests(from: observed, vxlan: index)
        try PeerEntries.apply(requests, to: network.stack)
        // After a start nothing is known of what was told before, but what was written.
        remember(observed.neighbours.merging(plan.own) { _, own in own }, network.identity)
        announce(plan.entries.neighbours, network)
        return requests.count
    }

    /// Containers of this host that have spoken to an address learn that it has another MAC now.
    private mutating func announce(
        _ entries: [IPAddress: MACAddress], _ network: OverlayNetwork, except link: String? = nil
    ) {
        var known = told.removeValue(forKey: network.identity.identifier) ?? [:]
        // Having forgotten, it tells what need not be told.
        if known.count > Self.toldLimit { known = [:] }
        var changed: [IPAddress: MACAddress] = [:]
        for (address, mac) in entries {
            let derived = NetworkIdentity.containerMAC(address)
            guard known[address] ?? derived != mac else { continue }
            known[address] = mac == derived ? nil : mac
            changed[address] = mac
        }
        told[network.identity.identifier] = known
        // Whoever was not told asks again in half a minute.
        try? network.announce(changed, except: link)
    }

    private static let toldLimit = 65_536

    /// Notes what containers may know of addresses of which nothing was told yet.
    private mutating func remember(_ entries: [IPAddress: MACAddress], _ identity: NetworkIdentity) {
        var known = told.removeValue(forKey: identity.identifier) ?? [:]
        for (address, mac) in entries where known[address] == nil && mac != NetworkIdentity.containerMAC(address) {
            known[address] = mac
        }
        told[identity.identifier] = known
    }

    /// A container of this host has addresses now; the others learn that its MAC is another one than before.
    mutating func tell(_ identity: NetworkIdentity, _ entries: [IPAddress: MACAddress], except link: String?) {
        if let network = networks[identity.identifier] { announce(entries, network, except: link) }
    }

    /// Changes a network's entries from what they were, as far as is known here, to what they should be.
    mutating func change(_ identity: NetworkIdentity, from old: PeerEntries, to new: PeerEntries) throws {
        guard let network = networks[identity.identifier], let index = try network.vxlanIndex() else { return }
        try PeerEntries.apply(new.requests(from: old, vxlan: index), to: network.stack)
        remember(old.neighbours, identity)
        announce(new.neighbours, network)
    }

    /// Lets the members' VXLAN in.
    mutating func admit(_ plan: NetworkPlan) throws { try setFilter(plan) }

    /// Whether a network is there as far as a look tells: its namespace has its name, and `vxlan0` is in it.
    func isThere(_ identity: NetworkIdentity) throws -> Bool {
        guard let network = networks[identity.identifier], try namespaces.open(identity) != nil else { return false }
        return try network.vxlanIndex() != nil
    }

    /// Takes a network away from this host.
    ///
    /// - Returns: false when a container is still connected.
    mutating func remove(_ identity: NetworkIdentity) throws -> Bool {
        guard try OverlayNetwork.remove(identity, in: namespaces, waits: false) else { return false }
        networks[identity.identifier] = nil
        told[identity.identifier] = nil
        try packetFilter().remove(identity)
        return true
    }

    /// Removes namespaces and filters that no network of ours has and that no container uses; those in use are returned.
    mutating func removeLeftovers(except known: Set<String>) throws -> [String] {
        var inUse: [String] = []
        for name in try namespaces.names() where !known.contains(String(name.dropFirst(2))) {
            // A plugin may be about to put a container into a network that it keeps without us.
            // It holds the lock then, and is looked at another time.
            guard
                let lock = try unlessLocked({ () throws(OverlayError) in
                    try namespaces.lock(name, .exclusive, waits: false)
                })
            else {
                inUse.append(name)
                continue
            }
            if try isUsed(name) {
                inUse.append(name)
            } else {
                try namespaces.remove(name)
            }
            withExtendedLifetime(lock) {}
        }
        let used = Set(inUse.map { String($0.dropFirst(2)) })
        let filter = try packetFilter()
        for short in try filter.shortIdentifiers() where !known.contains(short) && !used.contains(short) {
            try filter.remove(shortIdentifier: short)
        }
        return inUse
    }

    private func unlessLocked(_ body: () throws(OverlayError) -> FileLock) throws(OverlayError) -> FileLock? {
        do {
            return try body()
        } catch {
            if case .locked = error { return nil }
            throw error
        }
    }

    /// Has a network's lock alone for a moment: then no plugin that took it earlier is at work.
    ///
    /// - Throws: ``OverlayError/locked(_:)`` when somebody holds it.
    func passLock(_ identity: NetworkIdentity) throws(OverlayError) {
        _ = try namespaces.lock(identity, .exclusive, waits: false)
    }

    private func isUsed(_ name: String) throws -> Bool {
        guard let namespace = try? NetworkNamespace(path: "\(namespaces.directory)/\(name)"),
            let stack = try? RouteSession(in: namespace)
        else { return false }
        return try stack.links().contains(where: \.isContainerPort)
    }

    /// The packets of strangers that were dropped, by network id.
    mutating func dropped(_ identities: [NetworkIdentity]) throws -> [String: UInt64] {
        let filter = try packetFilter()
        var counts: [String: UInt64] = [:]
        for identity in identities { counts[identity.name] = try filter.dropped(identity) }
        return counts
    }

    /// Whose an address is that `host-local` reserved: the first two lines of its file.
    func owner(of address: IPAddress, in directory: String) -> (containerID: String, interface: String)? {
        guard let text = try? Files.text("\(directory)/\(address)") else { return nil }
        let lines = text.split { $0.isNewline }.map(String.init)
        return lines.count == 2 ? (lines[0], lines[1]) : nil
    }

    /// The MAC that the bridge learned on a container's link; nil when it learned none, or several.
    func learnedMAC(_ identity: NetworkIdentity, port index: Int32) throws -> MACAddress? {
        guard let network = networks[identity.identifier] else { return nil }
        let learned = try network.stack.forwardingEntries(link: index).filter { $0.state & Self.permanent == 0 }
        return Set(learned.map(\.mac)).count == 1 ? learned.first?.mac : nil
    }

    /// `NUD_PERMANENT` of <linux/neighbour.h>: a port's own address.
    private static let permanent: UInt16 = 0x80

    /// The addresses that a `host-local` directory has reserved.
    ///
    /// - Throws: when they cannot be told; then nothing is free. Without the directory there are none.
    func reservations(_ directory: String) throws(SystemError) -> [IPAddress] {
        do {
            return try Files.list(directory).compactMap { IPAddress($0) }
        } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw error }
            return []
        }
    }
}

extension PeerEntries {
    /// These entries, and for whatever they say nothing about those that were observed.
    func completed(by observed: PeerEntries) -> PeerEntries {
        var all = self
        all.neighbours.merge(observed.neighbours) { own, _ in own }
        all.forwarding.merge(observed.forwarding) { own, _ in own }
        all.bridged.formUnion(observed.bridged)
        all.flooding.formUnion(observed.flooding)
        return all
    }
}
