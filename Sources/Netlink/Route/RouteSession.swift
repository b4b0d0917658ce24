internal import CLinux
public import NetworkTypes
public import System

/// One network namespace's links, addresses, routes and tables, over one `NETLINK_ROUTE` socket.
///
/// Every verb is one message to the kernel and its answer. Not for use by several threads at a time.
public final class RouteSession: NetworkStack {
    let session: NetlinkSession
    /// The namespace the session was opened in for somebody outside it; nil when it is the opener's own.
    let namespace: NetworkNamespace?

    /// Opens a session in the calling thread's network namespace; the thread must stay in it.
    public init() throws(SystemError) {
        session = try NetlinkSession(protocolNumber: NETLINK_ROUTE)
        namespace = nil
    }

    /// Opens a session in another namespace, which is kept open.
    public init(in namespace: borrowing NetworkNamespace) throws(SystemError) {
        session = try NetlinkSession(protocolNumber: NETLINK_ROUTE, in: namespace)
        self.namespace = try namespace.duplicated()
    }

    /// Carries out one request.
    public func perform(_ request: RouteRequest) throws(NetlinkError) {
        do {
            try session.change { $0.append(request) }
        } catch {
            throw NetlinkError(error, request.operation, request.subject)
        }
    }

    /// Carries out many requests in as few messages to the kernel as possible, each by itself and in order; a failure
    /// does not stop those after it.
    ///
    /// - Returns: for every request nil or its error.
    public func perform(_ requests: [RouteRequest]) -> [NetlinkError?] {
        let failures = session.batch(requests.count) { $1.append(requests[$0]) }
        return zip(requests, failures).map { request, failure in
            failure.map { NetlinkError($0, request.operation, request.subject) }
        }
    }

    private func dump<Value>(
        _ operation: String, _ subject: @autoclosure () -> String, _ build: (inout MessageBuilder) -> Void,
        _ decode: (Int, RawSpan, inout [Value]) -> Bool
    ) throws(NetlinkError) -> [Value] {
        do {
            return try session.dump(build, decode: decode)
        } catch {
            throw NetlinkError(error, operation, subject())
        }
    }

    // MARK: Links

    /// The link of that name, nil when there is none. Equivalent: `ip -d link show NAME`.
    public func link(named name: String) throws(NetlinkError) -> Link? {
        try oneLink(name) { $0.appendGetLink(name: name) }
    }

    /// The link of that index, nil when there is none.
    public func link(index: Int32) throws(NetlinkError) -> Link? {
        // The kernel takes index 0 for "no index given".
        index == 0 ? nil : try oneLink("\(index)") { $0.appendGetLink(index: index) }
    }

    private func oneLink(
        _ subject: @autoclosure () -> String, _ build: (inout MessageBuilder) -> Void
    ) throws(NetlinkError) -> Link? {
        do {
            return try session.query(build) { _, payload in Link(payload) }
        } catch {
            if error.errno == .noSuchDevice { return nil }
            throw NetlinkError(error, "read link", subject())
        }
    }

    /// What a name stands for, nil when there is no such link. It does not wait for those who are changing links; meant for
    /// links that are known to be there, as the kernel looks for a driver for any other name.
    public func summary(ofLink name: String) throws(NetlinkError) -> LinkSummary? {
        var index: Int32 = 0
        var mtu: Int32 = 0
        var mac = [UInt8](repeating: 0, count: 6)
        var isRunning: Int32 = 0
        let found = unsafe swiftlet_link_summary(session.descriptor, name, &index, &mtu, &mac, &isRunning)
        guard found >= 0 else {
            let errno = Errno.current
            if errno == .noSuchDevice { return nil }
            throw NetlinkError(operation: "read link", subject: name, errno: errno)
        }
        return LinkSummary(
            index: index, mtu: UInt32(clamping: mtu), mac: found == 0 ? nil : MACAddress(bytes: mac),
            isRunning: isRunning != 0)
    }

    /// All links. Equivalent: `ip -d link show`.
    public func links() throws(NetlinkError) -> [Link] {
        try dump("list", "links") {
            $0.appendDumpLinks()
        } _: { type, payload, links in
            guard let link = Link(payload) else { return false }
            links.append(link)
            return true
        }
    }

    /// Makes a link; `EEXIST` when the name is taken. Equivalent: `ip link add …`.
    ///
    /// A kernel without VLAN filtering (`CONFIG_BRIDGE_VLAN_FILTERING`) refuses a bridge with it: `EOPNOTSUPP`, no link.
    public func createLink(_ spec: LinkSpec) throws(NetlinkError) {
        try perform(.createLink(spec))
    }

    /// Changes a link, all in one message; when a part is refused, those before it stay. Equivalent: `ip link set …`.
    ///
    /// Setting `vlanFiltering`, to either value, is `EOPNOTSUPP` on a kernel without VLAN filtering.
    public func changeLink(index: Int32, _ change: LinkChange) throws(NetlinkError) {
        do {
            try perform(.changeLink(index: index, change))
        } catch {
            // The kernel looks at this before it does anything: no IPv6 at all, or an MTU that is too small for it.
            guard change.addressGeneration != nil, error.errno == .addressFamilyNotSupported else { throw error }
            var rest = change
            rest.addressGeneration = nil
            try perform(.changeLink(index: index, rest))
        }
    }

    /// Removes a link, a veth with its other end. Equivalent: `ip link delete …`.
    public func deleteLink(index: Int32) throws(NetlinkError) {
        try perform(.deleteLink(index: index))
    }

    // MARK: Bridge ports

    /// Changes a bridge port; `EOPNOTSUPP` when the link is no port. Equivalent: `bridge link set dev …`.
    public func changePort(index: Int32, _ change: BridgePortChange) throws(NetlinkError) {
        try perform(.changePort(index: index, change))
    }

    /// The VLANs of a port or, for a bridge's own index, of the bridge; none on a kernel without VLAN filtering.
    /// Equivalent: `bridge vlan show dev …`.
    public func vlans(port index: Int32) throws(NetlinkError) -> [PortVLAN] {
        try dump("list", "VLANs of link \(index)") {
            $0.appendDumpVLANs()
        } _: { _, payload, vlans in
            PortVLAN.read(payload, of: index, into: &vlans)
        }
    }

    /// Adds a VLAN to a port or to the bridge itself; `EOPNOTSUPP` on a kernel without VLAN filtering. Equivalent:
    /// `bridge vlan add dev … vid …`, for a bridge with `self`.
    public func addVLAN(_ vlan: PortVLAN, port index: Int32) throws(NetlinkError) {
        try performOnPortOrBridge { .addVLAN(vlan, index: index, ofBridge: $0) }
    }

    /// Removes a VLAN from a port or from the bridge itself; `EOPNOTSUPP` on a kernel without VLAN filtering. Equivalent:
    /// `bridge vlan delete dev … vid …`, for a bridge with `self`.
    public func removeVLAN(_ identifier: UInt16, port index: Int32) throws(NetlinkError) {
        try performOnPortOrBridge { .removeVLAN(identifier, index: index, ofBridge: $0) }
    }

    /// Asks the port's bridge; a bridge, which is no port, is asked itself.
    private func performOnPortOrBridge(_ request: (Bool) -> RouteRequest) throws(NetlinkError) {
        do {
            try perform(request(false))
        } catch {
            guard error.errno == .notSupported else { throw error }
            try perform(request(true))
        }
    }

    // MARK: Addresses

    /// The addresses of a link, or of all links when nil; `ENODEV` when there is no such link. Equivalent:
    /// `ip address show`.
    public func addresses(link index: Int32?) throws(NetlinkError) -> [InterfaceAddress] {
        try dump("list addresses of", index.map { "link \($0)" } ?? "all links") {
            $0.appendDumpAddresses(link: index)
        } _: { _, payload, addresses in
            // Kernels before 4.20 send all links' addresses, and other families may have addresses, too.
            if let address = InterfaceAddress(payload), index == nil || address.link == index {
                addresses.append(address)
            }
            return payload.byteCount >= 8
        }
    }

    /// Adds an address, for IPv4 prefixes shorter than /31 with its broadcast address; `EEXIST` when it is there.
    /// Equivalent: `ip address add … brd +`.
    public func addAddress(_ address: InterfaceAddress) throws(NetlinkError) {
        try perform(.addAddress(address))
    }

    /// Removes an address; `EADDRNOTAVAIL` when it is not there. Equivalent: `ip address delete …`.
    public func removeAddress(_ address: InterfaceAddress) throws(NetlinkError) {
        try perform(.removeAddress(address))
    }

    // MARK: Routes and rules

    /// The unicast routes of one family, all tables but local; a multipath route is as many routes as it has next hops.
    /// Equivalent: `ip route show table all`.
    ///
    /// Scope, metric and table are nil where they are what nil asks for when adding.
    public func routes(family: AddressFamily) throws(NetlinkError) -> [Route] {
        try dump("list", "routes") {
            $0.appendDumpRoutes(family)
        } _: { _, payload, routes in
            Route.read(payload, into: &routes)
        }
    }

    /// Adds a route behind others to the same destination; `EEXIST` when the very same is there. Equivalent:
    /// `ip route append …`.
    ///
    /// IPv6 makes one route with several next hops of those with one metric, and spreads connections over them. A route
    /// without a metric gets one more than those that are there, so that the first stays the one that is used.
    public func addRoute(_ route: Route) throws(NetlinkError) {
        do {
            try perform(.addRoute(route))
        } catch {
            guard error.isAlreadyThere, route.destination.family == .ipv6, route.metric == nil else { throw error }
            try addBehindOthers(route, error)
        }
    }

    private func addBehindOthers(_ route: Route, _ refusal: NetlinkError) throws(NetlinkError) {
        let others = try routes(family: .ipv6).filter { $0.destination == route.destination && $0.table == route.table }
        if others.contains(where: { $0.gateway == route.gateway && $0.link == route.link }) { throw refusal }
        var behind = route
        behind.metric = (others.map { $0.metric ?? Route.usualMetricIPv6 }.max() ?? Route.usualMetricIPv6) &+ 1
        try perform(.addRoute(behind))
    }

    /// Removes the first route that matches: any scope unless one is given, any protocol, any MTU; `ESRCH` when none does.
    /// Equivalent: `ip route delete …`.
    public func removeRoute(_ route: Route) throws(NetlinkError) {
        try perform(.removeRoute(route))
    }

    /// The rules of one family that look a table up. Equivalent: `ip rule`.
    public func rules(family: AddressFamily) throws(NetlinkError) -> [RoutingRule] {
        try dump("list", "rules") {
            $0.appendDumpRules(family)
        } _: { _, payload, rules in
            RoutingRule.read(payload, into: &rules)
        }
    }

    /// Adds a rule; `EEXIST` when an equal one is there. Equivalent: `ip rule add …`.
    public func addRule(_ rule: RoutingRule) throws(NetlinkError) {
        try perform(.addRule(rule))
    }

    /// Removes the first rule that matches; `ENOENT` when none does. Equivalent: `ip rule delete …`.
    public func removeRule(_ rule: RoutingRule) throws(NetlinkError) {
        try perform(.removeRule(rule))
    }
}

extension NetlinkError {
    /// A failure with the verb and its object.
    init(_ failure: NetlinkFailure, _ operation: String, _ subject: String) {
        self.init(operation: operation, subject: subject, errno: failure.errno, kernelMessage: failure.message)
    }
}

// MARK: - Neighbours, forwarding, namespaces

extension RouteSession {
    /// The neighbours of one family, of one link or of all. Equivalent: `ip neighbour show nud all`.
    public func neighbours(family: AddressFamily, link index: Int32? = nil) throws(NetlinkError) -> [Neighbour] {
        try dump("list", "neighbours") {
            $0.appendDumpNeighbours(family, link: index)
        } _: { _, payload, neighbours in
            guard let neighbour = Neighbour(payload) else { return false }
            if index == nil || neighbour.link == index { neighbours.append(neighbour) }
            return true
        }
    }

    /// Adds a neighbour; `EEXIST` when its address is there. Equivalent: `ip neighbour add …`.
    public func addNeighbour(_ entry: Neighbour) throws(NetlinkError) {
        try perform(.addNeighbour(entry))
    }

    /// Adds or overwrites a neighbour. Equivalent: `ip neighbour replace …`.
    public func replaceNeighbour(_ entry: Neighbour) throws(NetlinkError) {
        try perform(.replaceNeighbour(entry))
    }

    /// Removes a neighbour; `ENOENT` when it is not there. Equivalent: `ip neighbour delete …`.
    public func removeNeighbour(_ entry: Neighbour) throws(NetlinkError) {
        try perform(.removeNeighbour(entry))
    }

    /// The forwarding entries of one bridge port or VXLAN, or of all. Equivalent: `bridge fdb show`.
    ///
    /// A VXLAN's MAC with several remotes is as many entries; entries without an Ethernet address are passed over.
    public func forwardingEntries(link index: Int32? = nil) throws(NetlinkError) -> [ForwardingEntry] {
        try dump("list", "forwarding entries") {
            $0.appendDumpForwarding(link: index)
        } _: { _, payload, entries in
            if let entry = ForwardingEntry(payload), index == nil || entry.link == index { entries.append(entry) }
            return payload.byteCount >= 12
        }
    }

    /// Adds a forwarding entry; `EEXIST` when the MAC is there. Equivalent: `bridge fdb add …`.
    public func addForwarding(_ entry: ForwardingEntry) throws(NetlinkError) {
        try perform(.addForwarding(entry))
    }

    /// Adds one more remote to a VXLAN's entry for the all-zero or a multicast MAC. Equivalent: `bridge fdb append …`.
    ///
    /// For a unicast MAC that has a remote the kernel does nothing and reports success.
    public func appendForwarding(_ entry: ForwardingEntry) throws(NetlinkError) {
        try perform(.appendForwarding(entry))
    }

    /// Adds or overwrites a forwarding entry. Equivalent: `bridge fdb replace …`.
    public func replaceForwarding(_ entry: ForwardingEntry) throws(NetlinkError) {
        try perform(.replaceForwarding(entry))
    }

    /// Removes a forwarding entry; `ENOENT` when it is not there. Equivalent: `bridge fdb delete …`.
    public func removeForwarding(_ entry: ForwardingEntry) throws(NetlinkError) {
        try perform(.removeForwarding(entry))
    }

    /// The number this namespace knows `other` by, as in ``Link/peerNamespace``; nil when it has none.
    /// Equivalent: `ip netns list-id`.
    public func namespaceIdentifier(of other: borrowing NetworkNamespace) throws(NetlinkError) -> Int32? {
        let descriptor = other.descriptor
        do {
            let identifier = try session.query {
                $0.appendGetNamespaceIdentifier(descriptor: descriptor)
            } decode: { _, payload in
                readNamespaceIdentifier(payload)
            }
            return identifier < 0 ? nil : identifier
        } catch {
            throw NetlinkError(error, "read namespace id of", other.path)
        }
    }

    /// Gives `other` a number in this namespace; `EEXIST` when it has one. Equivalent: `ip netns set …`.
    ///
    /// - Parameter identifier: nil lets the kernel choose.
    public func assignNamespaceIdentifier(
        _ identifier: Int32? = nil, to other: borrowing NetworkNamespace
    ) throws(NetlinkError) {
        try perform(.assignNamespaceIdentifier(namespace: other.descriptor, identifier: identifier))
    }
}
