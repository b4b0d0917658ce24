public import NetworkTypes
public import System

/// What the kernel refused, or how talking to it failed.
public struct NetlinkError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The verb, for example "create link".
    public let operation: String
    /// The object, for example "veth1a2b3c4d5e6".
    public let subject: String
    /// The cause.
    public let errno: Errno
    /// The kernel's own words from the extended ack, when it had any.
    public let kernelMessage: String?

    /// Describes a refusal.
    public init(operation: String, subject: String, errno: Errno, kernelMessage: String? = nil) {
        self.operation = operation
        self.subject = subject
        self.errno = errno
        self.kernelMessage = kernelMessage
    }

    /// For example "create link eth0: file exists (EEXIST): Device already exists".
    public var description: String {
        "\(operation) \(subject): \(errno) (\(errno.name))" + (kernelMessage.map { ": \($0)" } ?? "")
    }

    /// The object was already there (`EEXIST`).
    public var isAlreadyThere: Bool { errno == .fileExists }

    /// The object, or what it hung on, is gone (`ENODEV`, `ENOENT`, `ESRCH`, `EADDRNOTAVAIL`).
    public var isGone: Bool {
        [.noSuchDevice, .noSuchFileOrDirectory, .noSuchProcess, .addressNotAvailable].contains(errno)
    }
}

/// One network namespace's links, addresses, routes and neighbours: the verbs the suite needs.
///
/// ``RouteSession`` speaks to the kernel; tests put a fake or a fault injector in its place. Every verb is one request
/// that either happened or did not.
public protocol NetworkStack: TrafficControl, ForwardingTables {
    // MARK: Links

    /// The link of that name, nil when there is none. Equivalent: `ip -d link show NAME`.
    func link(named name: String) throws(NetlinkError) -> Link?
    /// The link of that index, nil when there is none.
    func link(index: Int32) throws(NetlinkError) -> Link?
    /// What a name stands for, nil when there is no such link. It does not wait for those who are changing links; meant for
    /// links that are known to be there, as the kernel looks for a driver for any other name.
    func summary(ofLink name: String) throws(NetlinkError) -> LinkSummary?
    /// All links. Equivalent: `ip -d link show`.
    func links() throws(NetlinkError) -> [Link]
    /// Makes a link; `EEXIST` when the name is taken. Equivalent: `ip link add …`.
    func createLink(_ spec: LinkSpec) throws(NetlinkError)
    /// Changes a link. Equivalent: `ip link set …`.
    func changeLink(index: Int32, _ change: LinkChange) throws(NetlinkError)
    /// Removes a link, a veth with its other end. Equivalent: `ip link delete …`.
    func deleteLink(index: Int32) throws(NetlinkError)

    /// Whether a bridge keeps its MAC when ports come and go: it was given one. Else it has the lowest among its ports'.
    /// Equivalent: `cat /sys/class/net/NAME/addr_assign_type`.
    func hasFixedMAC(bridge: Link) throws(NetlinkError) -> Bool

    // MARK: Bridge ports

    /// Changes a bridge port. Equivalent: `bridge link set dev …`.
    func changePort(index: Int32, _ change: BridgePortChange) throws(NetlinkError)
    /// The VLANs of a port (or, for a bridge's own index, of the bridge). Equivalent: `bridge vlan show dev …`.
    func vlans(port index: Int32) throws(NetlinkError) -> [PortVLAN]
    /// Adds a VLAN to a port. Equivalent: `bridge vlan add dev … vid …`.
    func addVLAN(_ vlan: PortVLAN, port index: Int32) throws(NetlinkError)
    /// Removes a VLAN from a port. Equivalent: `bridge vlan delete dev … vid …`.
    func removeVLAN(_ identifier: UInt16, port index: Int32) throws(NetlinkError)

    // MARK: Addresses

    /// The addresses of a link, or of all links when nil; `ENODEV` when there is no such link. Equivalent:
    /// `ip address show`.
    func addresses(link index: Int32?) throws(NetlinkError) -> [InterfaceAddress]
    /// Adds an address; `EEXIST` when it is there. Equivalent: `ip address add …`.
    func addAddress(_ address: InterfaceAddress) throws(NetlinkError)
    /// Removes an address. Equivalent: `ip address delete …`.
    func removeAddress(_ address: InterfaceAddress) throws(NetlinkError)

    // MARK: Routes

    /// The unicast routes of one family, all tables but local. Equivalent: `ip route show table all`.
    func routes(family: AddressFamily) throws(NetlinkError) -> [Route]
    /// Adds a route; those to one destination by other gateways may coexist, and the first stays the one that is used.
    /// Equivalent: `ip route append …`.
    func addRoute(_ route: Route) throws(NetlinkError)
    /// Removes a route. Equivalent: `ip route delete …`.
    func removeRoute(_ route: Route) throws(NetlinkError)

    // MARK: Waiting

    /// Waits for link notifications until the link meets `condition`; a link that already does costs one request.
    /// Equivalent: `ip monitor link`.
    ///
    /// - Returns: false when `milliseconds` passed first, or the link went away.
    func awaitLink(index: Int32, milliseconds: Int, until condition: (Link) -> Bool) throws(NetlinkError) -> Bool
    /// Waits for address notifications until the link's addresses meet `condition`. Equivalent: `ip monitor address`.
    ///
    /// - Returns: false when `milliseconds` passed first.
    func awaitAddresses(link index: Int32, milliseconds: Int, until condition: ([InterfaceAddress]) -> Bool)
        throws(NetlinkError) -> Bool

    /// Waits until packets to addresses of the namespace's own are taken in: the kernel adds an IPv6 address's route in its own
    /// time, also without duplicate detection. Equivalent: `ip route get ADDRESS`.
    ///
    /// - Returns: false when `milliseconds` passed first.
    func awaitLocal(_ addresses: [IPAddress], milliseconds: Int) throws(NetlinkError) -> Bool

    // MARK: Parameters

    /// Whether packets of a family are forwarded between the namespace's links. Equivalent: `ip netconf show`, of `all`.
    func forwards(_ family: AddressFamily) throws(NetlinkError) -> Bool
    /// Reads a kernel parameter in this namespace ("net/ipv4/ip_forward"). Equivalent: `sysctl -n`.
    func parameter(_ key: String) throws(SystemError) -> String
    /// Writes a kernel parameter in this namespace. Equivalent: `sysctl -w`.
    func setParameter(_ key: String, _ value: String) throws(SystemError)
    /// Writes several parameters in order, those that have another value. All or none: when one fails, those written
    /// before it get their old values back; with `passingOverFailures` a parameter that cannot be read or written is
    /// left alone instead.
    ///
    /// - Returns: the replaced values, in the order they were replaced.
    func exchangeParameters(_ parameters: [(key: String, value: String)], passingOverFailures: Bool)
        throws(SystemError) -> [(key: String, value: String)]
    /// Writes several parameters in order without looking at the values they have: for those of a link the caller has
    /// just made, which go away with it. Stops at the first failure; with `passingOverFailures` a parameter that cannot be
    /// written is left alone instead.
    func writeParameters(_ parameters: [(key: String, value: String)], passingOverFailures: Bool) throws(SystemError)
}

extension NetworkStack {
    /// Removes a link; one that went away by itself meanwhile, with its other end or its namespace, is no error.
    public func removeLink(index: Int32) throws(NetlinkError) {
        do {
            try deleteLink(index: index)
        } catch {
            if !error.isGone { throw error }
        }
    }
}
