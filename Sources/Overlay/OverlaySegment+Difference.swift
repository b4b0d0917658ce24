internal import Netlink
internal import NetworkTypes

extension OverlaySegment {
    /// The first thing in which a namespace differs from what is wanted, in words; nil when it is as wanted. Pure.
    ///
    /// The bridge's MAC is passed over: one of an earlier release stays until something else has to be changed.
    public func difference(from observed: ObservedSegment) -> String? {
        var wanted = self
        wanted.bridgeMAC = nil
        let changes = wanted.changes(from: observed)
        // The bridge follows the smallest MTU among its ports; the one that was changed is the one to name.
        let smaller = changes.first { change in
            guard case .change(Self.vxlanName, let change, _) = change else { return false }
            return change.mtu != nil
        }
        return (smaller ?? changes.first).map { wanted.words(for: $0, observed) }
    }

    private func words(for change: SegmentChange, _ observed: ObservedSegment) -> String {
        switch change {
        case .remove(Self.vxlanName): "\(Self.vxlanName) has \(Self.difference(observed.vxlan?.vxlan, vxlan))"
        case .remove(let name): "\(name) is no bridge"
        case .createBridge: "\(Self.bridgeName) is not there"
        case .createVXLAN: "\(Self.vxlanName) is not there"
        case .change(let name, let change, let joinsBridge): words(name, change, joinsBridge, observed)
        case .changePort: "\(Self.vxlanName) \(learns ? "does not learn" : "learns") as a port of \(Self.bridgeName)"
        case .addAddress(let prefix): "gateway address \(prefix) is not on \(Self.bridgeName)"
        case .removeAddress(let prefix): "\(Self.bridgeName) has address \(prefix), which is no gateway's"
        case .setParameters(let assignments): "kernel parameters are not set: \(assignments.joined(separator: ", "))"
        }
    }

    private func words(_ name: String, _ change: LinkChange, _ joinsBridge: Bool, _ observed: ObservedSegment) -> String
    {
        let found =
            switch name {
            case Self.bridgeName: observed.bridge
            case Self.vxlanName: observed.vxlan
            default: observed.loopback
            }
        if joinsBridge { return "\(name) is no port of \(Self.bridgeName)" }
        if let mtu = change.mtu { return "\(name) has MTU \(found?.mtu ?? 0), not \(mtu)" }
        if change.isUp == true { return "\(name) is down" }
        return "the network \(isInternal ? "is not" : "is") internal on this host"
    }

    private static func difference(_ found: VXLANState?, _ wanted: VXLANState) -> String {
        guard let found else { return "no VXLAN settings" }
        func text(_ address: IPAddress?) -> String { address.map { "\($0)" } ?? "none" }
        if found.identifier != wanted.identifier { return "VNI \(found.identifier), not \(wanted.identifier)" }
        if found.port != wanted.port { return "UDP port \(found.port), not \(wanted.port)" }
        if found.local != wanted.local { return "VTEP \(text(found.local)), not \(text(wanted.local))" }
        if found.group != wanted.group { return "group \(text(found.group)), not \(text(wanted.group))" }
        if found.underlay != wanted.underlay { return "another underlay interface" }
        return "other settings of learning, proxy, l2miss or l3miss"
    }
}

extension PeerEntries {
    /// The first entry that differs from this one's, in words; nil when none does. Pure.
    ///
    /// - Parameter isComplete: whether entries that are not in this one are differences, too.
    public func difference(from observed: PeerEntries, isComplete: Bool) -> String? {
        let vxlan = OverlaySegment.vxlanName
        func list(_ addresses: Set<IPAddress>?) -> String {
            let sorted = (addresses ?? []).sorted()
            return sorted.isEmpty ? "nowhere" : sorted.map { "\($0)" }.joined(separator: ", ")
        }
        for (address, mac) in neighbours.sorted(by: { $0.key < $1.key }) where observed.neighbours[address] != mac {
            guard let found = observed.neighbours[address] else { return "\(vxlan) has no neighbour \(address)" }
            return "\(vxlan) has neighbour \(address) with MAC \(found), not \(mac)"
        }
        for (mac, remotes) in forwarding.sorted(by: { "\($0.key)" < "\($1.key)" })
        where observed.forwarding[mac] != remotes {
            return "\(vxlan) sends frames for \(mac) to \(list(observed.forwarding[mac])), not to \(list(remotes))"
        }
        if let mac = bridged.subtracting(observed.bridged).min(by: { "\($0)" < "\($1)" }) {
            return "\(OverlaySegment.bridgeName) does not send frames for \(mac) to \(vxlan)"
        }
        if let member = flooding.subtracting(observed.flooding).min() { return "\(vxlan) does not send to \(member)" }
        guard isComplete else { return nil }
        if let address = observed.neighbours.keys.filter({ neighbours[$0] == nil }).min() {
            return "\(vxlan) has neighbour \(address), which is no container's"
        }
        if let mac = observed.forwarding.keys.filter({ forwarding[$0] == nil }).min(by: { "\($0)" < "\($1)" }) {
            return "\(vxlan) sends frames for \(mac), which is no container's, to \(list(observed.forwarding[mac]))"
        }
        return observed.flooding.subtracting(flooding).min().map { "\(vxlan) sends to \($0), no host of the network" }
    }
}
