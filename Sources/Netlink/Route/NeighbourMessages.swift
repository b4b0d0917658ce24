internal import CLinux
internal import NetworkTypes

// RTM_*NEIGH, for neighbours and, with AF_BRIDGE, for forwarding entries: linux/neighbour.h.

extension MessageBuilder {
    private mutating func beginNeighbour(
        _ type: Int, _ flags: Int32, family: UInt8, link: Int32 = 0, state: UInt16 = 0, entryFlags: UInt8 = 0
    ) {
        begin(type, flags: flags)
        var header = ndmsg()
        header.ndm_family = family
        header.ndm_ifindex = link
        header.ndm_state = state
        header.ndm_flags = entryFlags
        putHeader(header)
    }

    /// Asks for the neighbours of a family, of one link or of all.
    mutating func appendDumpNeighbours(_ family: AddressFamily, link index: Int32?) {
        beginNeighbour(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, family: family.number)
        if let index { put(NDA_IFINDEX, index) }
    }

    /// Asks for the forwarding entries of one link or of all.
    mutating func appendDumpForwarding(link index: Int32?) {
        let family = UInt8(truncatingIfNeeded: AF_BRIDGE)
        beginNeighbour(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, family: family, link: index ?? 0)
    }

    /// Asks for a bridge's entry for one MAC.
    mutating func appendGetForwarding(_ mac: MACAddress, bridge index: Int32) {
        beginNeighbour(RTM_GETNEIGH, NLM_F_REQUEST, family: UInt8(truncatingIfNeeded: AF_BRIDGE))
        put(NDA_LLADDR, mac)
        put(NDA_MASTER, index)
    }

    mutating func append(_ entry: Neighbour, _ type: Int, _ flags: Int32) {
        beginNeighbour(
            type, acknowledged | flags, family: entry.address.family.number, link: entry.link, state: entry.state)
        put(NDA_DST, entry.address)
        if let mac = entry.mac { put(NDA_LLADDR, mac) }
    }

    mutating func append(_ entry: ForwardingEntry, _ type: Int, _ flags: Int32) {
        beginNeighbour(
            type, acknowledged | flags, family: UInt8(truncatingIfNeeded: AF_BRIDGE), link: entry.link,
            state: entry.state, entryFlags: entry.flags)
        put(NDA_LLADDR, entry.mac)
        if let remote = entry.remote { put(NDA_DST, remote) }
        if let vlan = entry.vlan { put(NDA_VLAN, vlan) }
        if let port = entry.port { put(NDA_PORT, networkOrder: port) }
        if let vni = entry.vni { put(NDA_VNI, vni) }
    }
}

extension Neighbour {
    /// Reads an `RTM_NEWNEIGH` or `RTM_DELNEIGH` message; nil when it is of another family or too short.
    init?(_ payload: RawSpan) {
        guard let number = payload.integer(UInt8.self), AddressFamily(number: number) != nil,
            let link = payload.integer(Int32.self, at: 4), let state = payload.integer(UInt16.self, at: 8)
        else { return nil }
        var address: IPAddress?
        var mac: MACAddress?
        AttributeReader.forEach(in: payload.extracting(payload.following(12))) { type, value in
            switch type {
            case NDA_DST: address = value.ipAddress
            case NDA_LLADDR: mac = value.macAddress
            default: break
            }
        }
        guard let address else { return nil }
        self.init(link: link, address: address, mac: mac, state: state)
    }
}

extension ForwardingEntry {
    /// Reads an `AF_BRIDGE` `RTM_NEWNEIGH` or `RTM_DELNEIGH` message; nil when it is of another family, too short or
    /// has no Ethernet address.
    init?(_ payload: RawSpan) {
        guard let number = payload.integer(UInt8.self), Int32(number) == AF_BRIDGE,
            let link = payload.integer(Int32.self, at: 4), let state = payload.integer(UInt16.self, at: 8),
            let flags = payload.integer(UInt8.self, at: 10)
        else { return nil }
        var entry = ForwardingEntry(link: link, mac: .zero, state: state, flags: flags)
        var mac: MACAddress?
        AttributeReader.forEach(in: payload.extracting(payload.following(12))) { type, value in
            switch type {
            case NDA_LLADDR: mac = value.macAddress
            case NDA_DST: entry.remote = value.ipAddress
            case NDA_VLAN: entry.vlan = value.integer(UInt16.self)
            case NDA_PORT: entry.port = value.integer(UInt16.self).map { UInt16(bigEndian: $0) }
            case NDA_VNI: entry.vni = value.integer(UInt32.self)
            default: break
            }
        }
        guard let mac else { return nil }
        entry.mac = mac
        self = entry
    }
}
