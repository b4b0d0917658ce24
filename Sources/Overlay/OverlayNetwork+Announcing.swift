internal import Netlink
public import NetworkTypes

extension OverlayNetwork {
    /// Tells this host's containers, and the gateways on `br0`, that addresses have these MACs now. Nothing goes to other
    /// hosts. Containers keep what they once resolved for half a minute and more, and the neighbours of `vxlan0` answer only
    /// those who ask.
    ///
    /// - Parameter except: the host end of the container that has the addresses.
    public func announce(_ entries: [IPAddress: MACAddress], except: String? = nil) throws(OverlayError) {
        if entries.isEmpty { return }
        do throws(NetlinkError) {
            let links = try stack.links()
            guard let bridge = links.first(where: { $0.name == OverlaySegment.bridgeName }) else { return }
            // The gateway resolves anew. That it has none is what is usual.
            _ = stack.perform(
                entries.map { .removeNeighbour(Neighbour(link: bridge.index, address: $0.key, mac: $0.value)) })
            let ports = links.filter { $0.master == bridge.index && $0.kind == "veth" && $0.name != except }
            try stack.announce(entries, by: ports.map(\.index))
        } catch {
            throw .netlink(error)
        }
    }
}
