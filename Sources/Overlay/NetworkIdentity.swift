public import NetworkTypes

/// What a cluster-wide network is called: everything follows from the cluster's and the network's name, so that hosts
/// agree without asking each other (docs/overlay.md, "Identities").
public struct NetworkIdentity: Hashable, Sendable {
    /// The cluster when nothing else is configured.
    public static let defaultCluster = "swiftlet"

    /// The cluster's name.
    public let cluster: String
    /// The network's name, as the conflist has it.
    public let name: String
    /// The network's id: 64 hexadecimal digits, the first 32 bytes of SHA-512 of `swiftlet/<cluster>/<name>`.
    public let identifier: String

    /// Names a network. Neither name holds a "/".
    public init(network name: String, cluster: String = NetworkIdentity.defaultCluster) {
        self.cluster = cluster
        self.name = name
        identifier = SHA512.hex("swiftlet/\(cluster)/\(name)", length: 64)
    }

    /// The network of an overlay namespace, as far as the namespace's path tells: the cluster is not known, and of the id no
    /// more than ``shortIdentifier``. Nil for a path that is no overlay namespace's.
    public init?(network name: String, namespacePath path: String) {
        guard let last = path.split(separator: "/").last, last.hasPrefix("1-"), last.utf8.count == 12 else {
            return nil
        }
        cluster = ""
        self.name = name
        identifier = String(last.dropFirst(2))
    }

    /// The first ten digits of the id, which name the overlay namespace.
    public var shortIdentifier: String { String(identifier.prefix(10)) }

    /// The overlay namespace's name in ``OverlayNamespaces``: `1-<short id>`, as Docker calls its own.
    public var namespaceName: String { "1-\(shortIdentifier)" }

    /// The overlay namespace's usual path.
    public var namespacePath: String { "\(OverlayNamespaces.usualDirectory)/\(namespaceName)" }

    /// The VNI unless the configuration gives one: 4097 and the id's first eight bytes modulo what is left of 24 bits.
    /// Numbers below are those that flannel (1), Calico and Docker (4096) use.
    public var derivedVNI: UInt32 {
        let first: UInt64 = 4097
        let number = UInt64(identifier.prefix(16), radix: 16) ?? 0
        return UInt32(truncatingIfNeeded: first + number % (1 << 24 - first))
    }

    /// The MAC of `br0` on one host, the same for as long as the host has its VTEP: derived from the network and the VTEP, by
    /// which the network's hosts are told apart with a daemon and without. Containers know the gateway by it, and keep it for
    /// half a minute and more.
    public func bridgeMAC(vtep: IPAddress) -> MACAddress {
        let digits = SHA512.hex("\(identifier)/br0/\(vtep)", length: 12)
        return MACAddress(locallyAdministered: UInt64(digits, radix: 16) ?? 0)
    }

    /// An endpoint's id: 64 hexadecimal digits, the first 32 bytes of SHA-512 of `<network id>/<container>/<interface>`.
    public func endpointIdentifier(containerID: String, interfaceName: String) -> String {
        SHA512.hex("\(identifier)/\(containerID)/\(interfaceName)", length: 64)
    }

    /// The MAC of a container's interface: 02:42 and the IPv4 address, as Docker's; of a container without one, 02:42 and
    /// the last four bytes of the address.
    public static func containerMAC(_ address: IPAddress) -> MACAddress {
        MACAddress(following: address)
    }
}
