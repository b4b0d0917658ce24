internal import Netlink
internal import NetworkTypes

extension StepExecutor {
    /// A route that the kernel made of a router's advertisement (`RTPROT_RA`).
    private static let advertised: UInt8 = 9
    /// `IFF_LOOPBACK`.
    private static let loopback: UInt32 = 8

    /// Lets packets of a family be forwarded, unless they are.
    func enableForwarding(_ family: AddressFamily, _ place: Place) throws -> Undo? {
        let stack = try stack(place)
        // Where it cannot be asked for it is tried.
        if (try? stack.forwards(family)) == true { return nil }
        if family == .ipv4 { return try set([.init("net/ipv4/ip_forward", "1")], place, isOptional: false) }
        let kept = try set(try advertisementKeepers(of: stack), place, isOptional: true)
        let forwarding: Undo?
        do {
            forwarding = try set([.init("net/ipv6/conf/all/forwarding", "1")], place, isOptional: false)
        } catch {
            try? kept?()
            throw error
        }
        return {
            try forwarding?()
            try kept?()
        }
    }

    /// A host that forwards does not hear routers' advertisements with `accept_ra` 1, and the kernel drops the default routes
    /// that it learned from them when forwarding is switched on. 2 hears them all the same.
    ///
    /// Meant are the interfaces that have such a route, and all that lead elsewhere than to containers: who is in a
    /// container must not become the host's router.
    private func advertisementKeepers(of stack: any NetworkStack) throws -> [Step.Parameter] {
        let learned = Set(
            (try? stack.routes(family: .ipv6))?.filter { $0.routingProtocol == Self.advertised }.compactMap(\.link)
                ?? []
        )
        return try stack.links().compactMap { link in
            let leadsElsewhere = link.kind != "bridge" && link.master == nil && link.peerNamespace == nil
            guard learned.contains(link.index) || (leadsElsewhere && link.flags & Self.loopback == 0) else {
                return nil
            }
            let key = "net/ipv6/conf/\(link.name)/accept_ra"
            return (try? stack.parameter(key)) == "1" ? .init(key, "2") : nil
        }
    }
}
