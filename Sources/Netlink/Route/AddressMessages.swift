internal import CLinux
internal import NetworkTypes

// RTM_*ADDR: linux/if_addr.h.

extension MessageBuilder {
    /// Asks for the addresses of a link, or of all.
    mutating func appendDumpAddresses(link index: Int32?) {
        begin(RTM_GETADDR, flags: NLM_F_REQUEST | NLM_F_DUMP)
        var header = ifaddrmsg()
        header.ifa_index = UInt32(bitPattern: index ?? 0)
        putHeader(header)
    }

    mutating func append(_ address: InterfaceAddress, _ type: Int, _ flags: Int32) {
        let prefix = address.prefix
        begin(type, flags: acknowledged | flags)
        putHeader(
            ifaddrmsg(
                ifa_family: prefix.family.number, ifa_prefixlen: UInt8(truncatingIfNeeded: prefix.length),
                ifa_flags: UInt8(truncatingIfNeeded: address.flags), ifa_scope: address.scope,
                ifa_index: UInt32(bitPattern: address.link)))
        put(IFA_LOCAL, prefix.address)
        put(IFA_ADDRESS, prefix.address)
        if type == RTM_NEWADDR {
            // The kernel sets no broadcast address by itself; /31 and /32 have none (RFC 3021).
            if prefix.family == .ipv4, prefix.length < 31 { put(IFA_BROADCAST, prefix.last) }
            if address.flags != 0 { put(IFA_FLAGS, address.flags) }
        }
    }
}

extension InterfaceAddress {
    /// Reads an `RTM_NEWADDR` or `RTM_DELADDR` message; nil when it is of another family or too short.
    init?(_ payload: RawSpan) {
        guard let number = payload.integer(UInt8.self), AddressFamily(number: number) != nil,
            let length = payload.integer(UInt8.self, at: 1), let flags = payload.integer(UInt8.self, at: 2),
            let scope = payload.integer(UInt8.self, at: 3), let index = payload.integer(Int32.self, at: 4)
        else { return nil }
        var local: IPAddress?
        var remote: IPAddress?
        var allFlags = UInt32(flags)
        AttributeReader.forEach(in: payload.extracting(payload.following(8))) { type, value in
            switch type {
            case IFA_LOCAL: local = value.ipAddress
            case IFA_ADDRESS: remote = value.ipAddress
            case IFA_FLAGS: allFlags = value.integer(UInt32.self) ?? allFlags
            default: break
            }
        }
        // IPv6 without a peer has IFA_ADDRESS alone; with a peer, IFA_ADDRESS is the peer's.
        guard let address = local ?? remote, let prefix = IPPrefix(address, length: Int(length)) else { return nil }
        self.init(link: index, prefix: prefix, scope: scope, flags: allFlags)
    }
}
