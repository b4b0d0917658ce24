public import Netlink

/// The host's own part in a network (`hostAccess`): a veth pair from the host's namespace to `br0`, with an address of the
/// network's own, known to the other hosts as a container's is.
public enum HostAccess {
    /// The container id under which the host's address is reserved and announced.
    public static let containerID = "swiftlet-host"
    /// The end in the overlay namespace, a port of `br0`. It is the host's interface name in reservations, too.
    public static let portName = "host0"

    /// The end in the host's namespace, fourteen characters: `swh-` and the network's short id.
    ///
    /// - Parameter namespace: the overlay namespace's name, `1-<short id>`.
    public static func linkName(namespace: String) -> String { "swh-\(namespace.dropFirst(2))" }
}

extension Link {
    /// Whether this link of an overlay namespace is a container's, which keeps the network on the host.
    public var isContainerPort: Bool { kind == "veth" && name != HostAccess.portName }
}
