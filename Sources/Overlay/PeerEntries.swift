public import Netlink
public import NetworkTypes

/// A container's interface on another host, as far as the kernel has to know of it.
public struct RemoteEndpoint: Hashable, Sendable {
    /// Its addresses.
    public var addresses: [IPAddress]
    /// Its MAC.
    public var mac: MACAddress
    /// The VTEP of its host.
    public var vtep: IPAddress

    /// Describes an endpoint.
    public init(addresses: [IPAddress], mac: MACAddress, vtep: IPAddress) {
        self.addresses = addresses
        self.mac = mac
        self.vtep = vtep
    }
}

/// The entries of an overlay namespace that lead to other hosts: as they are, or as they should be.
///
/// For each remote endpoint: a permanent neighbour of `vxlan0` per address, from which ARP and ND are answered; a
/// permanent forwarding entry of `vxlan0` with the VTEP; a static entry of `br0` to `vxlan0`. With flooding, an all-zero
/// entry of `vxlan0` for each member.
public struct PeerEntries: Equatable, Sendable {
    /// The MACs by address.
    public var neighbours: [IPAddress: MACAddress] = [:]
    /// The VTEPs by MAC; several only where somebody else added them.
    public var forwarding: [MACAddress: Set<IPAddress>] = [:]
    /// The MACs that `br0` sends to `vxlan0`.
    public var bridged: Set<MACAddress> = []
    /// The VTEPs that get what goes to many or to nobody known.
    public var flooding: Set<IPAddress> = []

    /// No entries.
    public init() {}

    /// The entries for endpoints, and for `members` when broadcast and multicast are to reach them.
    ///
    /// Of two endpoints with one MAC or address the first has it.
    public init(_ endpoints: [RemoteEndpoint], flooding members: [IPAddress] = []) {
        for endpoint in endpoints {
            guard forwarding[endpoint.mac] == nil else { continue }
            forwarding[endpoint.mac] = [endpoint.vtep]
            bridged.insert(endpoint.mac)
            for address in endpoint.addresses where neighbours[address] == nil {
                neighbours[address] = endpoint.mac
            }
        }
        flooding = Set(members)
    }

    /// Reads the entries of a namespace. Equivalent: `ip neighbour show dev vxlan0 nud permanent; bridge fdb show dev vxlan0`.
    ///
    /// Entries the kernel made or learned by itself are left out, but for those of a VXLAN: what it learned goes, too.
    public init(_ stack: any NetworkStack, vxlan index: Int32) throws(NetlinkError) {
        for family in [AddressFamily.ipv4, .ipv6] {
            for entry in try stack.neighbours(family: family, link: index) where entry.state & 0x80 != 0 {
                neighbours[entry.address] = entry.mac ?? .zero
            }
        }
        for entry in try stack.forwardingEntries(link: index) {
            if entry.flags & Self.ownTable != 0 {
                guard let remote = entry.remote else { continue }
                if entry.mac == .zero {
                    flooding.insert(remote)
                } else {
                    forwarding[entry.mac, default: []].insert(remote)
                }
            } else if entry.state & 0x80 == 0 {
                // The bridge's permanent entries are its ports' own addresses.
                bridged.insert(entry.mac)
            }
        }
    }

    /// `NTF_SELF`: the entry is in the device's own table, not in its bridge's.
    private static let ownTable: UInt8 = 0x02
    /// `NTF_MASTER`.
    private static let bridgesTable: UInt8 = 0x04
    /// `NUD_NOARP`, which `bridge fdb` calls static.
    private static let isStatic: UInt16 = 0x40

    /// The requests that make `observed` into this, removals first. Everything is written with *replace*; carry them out
    /// with ``apply(_:to:)``.
    public func requests(from observed: PeerEntries, vxlan index: Int32) -> [RouteRequest] {
        var requests: [RouteRequest] = []
        for (address, mac) in observed.neighbours where neighbours[address] == nil {
            requests.append(.removeNeighbour(Neighbour(link: index, address: address, mac: mac)))
        }
        for (mac, remotes) in observed.forwarding {
            let wanted = forwarding[mac] ?? []
            // Replacing changes a MAC's first remote only; with several there, each stranger has to go by itself.
            guard wanted.isEmpty || remotes.count > 1 else { continue }
            for remote in remotes.subtracting(wanted) {
                requests.append(.removeForwarding(ForwardingEntry(link: index, mac: mac, remote: remote)))
            }
        }
        for mac in observed.bridged.subtracting(bridged) {
            requests.append(.removeForwarding(ForwardingEntry(link: index, mac: mac, flags: Self.bridgesTable)))
        }
        for member in observed.flooding.subtracting(flooding) {
            requests.append(.removeForwarding(ForwardingEntry(link: index, mac: .zero, remote: member)))
        }
        requests += additions(to: observed, vxlan: index)
        return requests
    }

    private func additions(to observed: PeerEntries, vxlan index: Int32) -> [RouteRequest] {
        var requests: [RouteRequest] = []
        // Where a frame goes before whom it is for: nothing is sent to an address whose VTEP is not known.
        for (mac, remotes) in forwarding where observed.forwarding[mac] != remotes {
            for remote in remotes {
                requests.append(.replaceForwarding(ForwardingEntry(link: index, mac: mac, remote: remote)))
            }
        }
        for mac in bridged.subtracting(observed.bridged) {
            requests.append(
                .replaceForwarding(
                    ForwardingEntry(link: index, mac: mac, state: Self.isStatic, flags: Self.bridgesTable)))
        }
        for (address, mac) in neighbours where observed.neighbours[address] != mac {
            requests.append(.replaceNeighbour(Neighbour(link: index, address: address, mac: mac)))
        }
        for member in flooding.subtracting(observed.flooding) {
            requests.append(.appendForwarding(ForwardingEntry(link: index, mac: .zero, remote: member)))
        }
        return requests
    }

    /// The requests for one endpoint that came, or changed: everything of it is written anew.
    public static func requests(adding endpoint: RemoteEndpoint, vxlan index: Int32) -> [RouteRequest] {
        PeerEntries([endpoint]).additions(to: PeerEntries(), vxlan: index)
    }

    /// The requests for one endpoint that went and that no other of the network's replaces.
    ///
    /// - Parameter addresses: those of its addresses that are nobody else's now; all of its own when nil.
    public static func requests(
        removing endpoint: RemoteEndpoint, addresses: [IPAddress]? = nil, vxlan index: Int32
    ) -> [RouteRequest] {
        var gone = endpoint
        gone.addresses = addresses ?? endpoint.addresses
        return PeerEntries().requests(from: PeerEntries([gone]), vxlan: index)
    }

    /// Carries requests out in batches; removing what is gone is no error.
    ///
    /// - Throws: the first refusal, after all have been tried.
    public static func apply(_ requests: [RouteRequest], to stack: any NetworkStack) throws(NetlinkError) {
        if requests.isEmpty { return }
        for (request, failure) in zip(requests, stack.perform(requests)) {
            guard let failure else { continue }
            switch request {
            case .removeForwarding, .removeNeighbour: if failure.isGone { continue }
            case .appendForwarding: if failure.isAlreadyThere { continue }
            default: break
            }
            throw failure
        }
    }
}
