internal import CLinux
internal import NetworkTypes

// RTM_*NETCONF: linux/netconf.h.

extension MessageBuilder {
    /// Asks for what holds for all links of a family.
    mutating func appendGetConfiguration(_ family: AddressFamily) {
        begin(RTM_GETNETCONF, flags: NLM_F_REQUEST)
        putHeader(netconfmsg(ncm_family: family.number))
        put(Int(NETCONFA_IFINDEX), Int32(NETCONFA_IFINDEX_ALL))
    }
}

/// Reads an `RTM_NEWNETCONF` message: whether packets are forwarded; nil when it does not say so.
func readForwarding(_ payload: RawSpan) -> Bool? {
    var forwards: Bool?
    AttributeReader.forEach(in: payload.extracting(payload.following(4))) { type, value in
        if type == Int(NETCONFA_FORWARDING) { forwards = value.integer(Int32.self).map { $0 != 0 } }
    }
    return forwards
}
