public import NetworkTypes

/// What a namespace knows about where addresses are: neighbours, and the forwarding entries of bridges and VXLANs.
public protocol ForwardingTables {
    /// The neighbours of one family, of one link or of all. Equivalent: `ip neighbour show nud all`.
    func neighbours(family: AddressFamily, link index: Int32?) throws(NetlinkError) -> [Neighbour]
    /// The forwarding entries of one bridge port or VXLAN, or of all. Equivalent: `bridge fdb show`.
    func forwardingEntries(link index: Int32?) throws(NetlinkError) -> [ForwardingEntry]
    /// Sends, by each of the links, the frames by which whoever keeps a MAC for one of the addresses learns that it is this one
    /// now: a gratuitous ARP reply, an unsolicited neighbour advertisement. Nobody makes an entry of them. Equivalent:
    /// `arping -A -c 1 -I LINK ADDRESS`. Closing the socket waits for the kernel, some milliseconds.
    func announce(_ entries: [IPAddress: MACAddress], by links: [Int32]) throws(NetlinkError)
    /// Carries out many requests in as few messages to the kernel as possible, each by itself and in order; a failure
    /// does not stop those after it.
    ///
    /// - Returns: for every request nil or its error.
    func perform(_ requests: [RouteRequest]) -> [NetlinkError?]
}
