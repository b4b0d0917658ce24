public import Netlink
internal import System

/// One network's overlay namespace, open: what a daemon keeps for each network its host is on.
///
/// Not for use by several threads at a time.
public final class OverlayNetwork {
    /// The network.
    public let identity: NetworkIdentity
    /// Netlink in the overlay namespace.
    public let stack: RouteSession
    /// The overlay namespace's descriptor, for `IFLA_NET_NS_FD`; valid as long as this object lives.
    public var descriptor: Int32 { namespace.descriptor }

    let namespace: NetworkNamespace
    private let namespaces: OverlayNamespaces
    private let host: any NetworkStack

    private init(
        _ identity: NetworkIdentity, _ namespace: consuming NetworkNamespace, _ namespaces: OverlayNamespaces,
        _ host: any NetworkStack
    ) throws(SystemError) {
        stack = try RouteSession(in: namespace)
        self.identity = identity
        self.namespace = namespace
        self.namespaces = namespaces
        self.host = host
    }

    /// Opens a network's namespace; nil when there is none.
    ///
    /// - Parameter host: netlink in the host's namespace, by which VXLAN packets leave.
    public static func open(
        _ identity: NetworkIdentity, host: any NetworkStack, in namespaces: OverlayNamespaces = OverlayNamespaces()
    ) throws(OverlayError) -> OverlayNetwork? {
        guard let namespace = try namespaces.open(identity) else { return nil }
        do { return try OverlayNetwork(identity, namespace, namespaces, host) } catch { throw .system(error) }
    }

    /// Opens a network's namespace, made when there is none, with `br0` and `vxlan0` as wanted: makes what is missing,
    /// changes what differs, adopts what somebody killed half way has left. Takes the network's lock
    /// when something has to be done.
    ///
    /// - Parameter waits: whether to wait for the lock; without, ``OverlayError/locked(_:)`` says that somebody has it.
    /// - Returns: the network; its entries for other hosts are as they were, or none when `vxlan0` was made anew.
    public static func prepare(
        _ identity: NetworkIdentity, _ segment: OverlaySegment, host: any NetworkStack,
        in namespaces: OverlayNamespaces = OverlayNamespaces(), waits: Bool = true
    ) throws(OverlayError) -> OverlayNetwork {
        // As it should be already: no need to wait until nobody is connecting a container.
        if let found = try open(identity, host: host, in: namespaces), try found.isAsWanted(segment) { return found }
        let lock = try namespaces.lock(identity, .exclusive, waits: waits)
        return try withExtendedLifetime(lock) { () throws(OverlayError) in
            let namespace = try namespaces.make(identity)
            let network: OverlayNetwork
            do throws(SystemError) {
                network = try OverlayNetwork(identity, namespace, namespaces, host)
            } catch {
                throw OverlayError.system(error)
            }
            try network.apply(segment)
            return network
        }
    }

    private func isAsWanted(_ segment: OverlaySegment) throws(OverlayError) -> Bool {
        do { return segment.changes(from: try ObservedSegment(stack)).isEmpty } catch { throw .netlink(error) }
    }

    /// Changes `br0` and `vxlan0` to what is wanted; the caller sees to the entries afterwards. Without the lock: for a caller
    /// that has it, or is the only one to change the network.
    @discardableResult
    public func apply(_ segment: OverlaySegment) throws(OverlayError) -> [SegmentChange] {
        try segment.apply(host: host, overlay: stack, descriptor: namespace.descriptor) {
            [host, namespaces, identity] in
            VNIHolder.find(
                vni: segment.vni, port: segment.port, host: host, except: namespaces.path(identity),
                directories: [namespaces.directory] + VNIHolder.usualDirectories)
        }
    }

    /// Index of `vxlan0`; nil when it is not there.
    public func vxlanIndex() throws(NetlinkError) -> Int32? {
        try stack.link(named: OverlaySegment.vxlanName)?.index
    }

    /// Makes the entries for other hosts exactly what is wanted.
    ///
    /// - Returns: how many entries were written or removed.
    @discardableResult
    public func program(_ wanted: PeerEntries) throws(NetlinkError) -> Int {
        guard let index = try vxlanIndex() else {
            throw NetlinkError(operation: "find link", subject: OverlaySegment.vxlanName, errno: .noSuchDevice)
        }
        let requests = wanted.requests(from: try PeerEntries(stack, vxlan: index), vxlan: index)
        try PeerEntries.apply(requests, to: stack)
        return requests.count
    }

    /// The host ends of containers' interfaces here, and the host's own port (``HostAccess``): the ports of `br0` but for `vxlan0`.
    public func containerPorts() throws(NetlinkError) -> [Link] {
        let links = try stack.links()
        guard let bridge = links.first(where: { $0.name == OverlaySegment.bridgeName }) else { return [] }
        return links.filter { $0.master == bridge.index && $0.kind == "veth" }
    }

    /// Takes the network's namespace away, unless a container is still connected. Takes the network's lock.
    ///
    /// `vxlan0` is removed first, so that its VNI is free at once.
    /// - Parameter waits: whether to wait for the lock; without, ``OverlayError/locked(_:)`` says that somebody has it.
    /// - Returns: false when a container is connected; true also when there was no namespace.
    @discardableResult
    public static func remove(
        _ identity: NetworkIdentity, in namespaces: OverlayNamespaces = OverlayNamespaces(), force: Bool = false,
        waits: Bool = true
    ) throws(OverlayError) -> Bool {
        let lock = try namespaces.lock(identity, .exclusive, waits: waits)
        return try withExtendedLifetime(lock) { () throws(OverlayError) in
            if let namespace = try namespaces.open(identity) {
                guard try empty(namespace, force: force) else { return false }
            }
            try namespaces.remove(identity)
            return true
        }
    }

    /// Removes the links of a namespace that is to go; false, and nothing removed, when a container is connected.
    private static func empty(_ namespace: borrowing NetworkNamespace, force: Bool) throws(OverlayError) -> Bool {
        let stack: RouteSession
        do { stack = try RouteSession(in: namespace) } catch { throw .system(error) }
        do {
            let links = try stack.links()
            if !force, links.contains(where: \.isContainerPort) { return false }
            for link in links where link.kind == "vxlan" || link.kind == "veth" {
                try stack.removeLink(index: link.index)
            }
            return true
        } catch {
            throw .netlink(error)
        }
    }
}
