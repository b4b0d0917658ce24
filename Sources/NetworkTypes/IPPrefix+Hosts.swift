extension IPPrefix {
    /// What an address of the subnet is for, if no host can have it.
    public enum Purpose: String, Sendable {
        /// IPv4: all host bits 0.
        case network = "the network's own address"
        /// IPv4: all host bits 1.
        case broadcast = "the broadcast address"
        /// IPv6: all host bits 0; every router of the subnet answers to it (RFC 4291, 2.6.1).
        case anyRouter = "the address of all routers"
    }

    /// What the address is for in this subnet, if no host can have it; nil for an address of a host, and for one outside.
    ///
    /// The two addresses of a /31 or a /127 and the one of a /32 or a /128 are hosts' (RFC 3021, RFC 6164).
    public func purpose(of other: IPAddress) -> Purpose? {
        guard contains(other), length <= family.bits - 2 else { return nil }
        if other == first { return family == .ipv4 ? .network : .anyRouter }
        return family == .ipv4 && other == last ? .broadcast : nil
    }
}
