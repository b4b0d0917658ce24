internal import NetworkTypes
internal import Overlay
internal import System

/// What the daemon asks of the kernel for its networks, and of the delegate's files. ``Kernel`` is the real one.
protocol OverlayKernel {
    /// Finds where an address of ours is, or an interface's first address, and how large its packets may be.
    mutating func underlay(address: IPAddress, interface: String?) throws -> Underlay
    /// Makes a network's namespace as planned: nothing is flushed, every entry is replaced or left as it is. Does not wait
    /// for the network's lock; nor does what else takes it here.
    mutating func apply(_ plan: NetworkPlan) throws -> NetworkReport
    /// Changes a network's entries from what they were, as far as is known here, to what they should be.
    mutating func change(_ identity: NetworkIdentity, from old: PeerEntries, to new: PeerEntries) throws
    /// Lets the members' VXLAN in.
    mutating func admit(_ plan: NetworkPlan) throws
    /// A container of this host has addresses now; the others learn that its MAC is another one than before.
    mutating func tell(_ identity: NetworkIdentity, _ entries: [IPAddress: MACAddress], except link: String?)
    /// Whether a network is there as far as a look tells: its namespace has its name, and `vxlan0` is in it.
    func isThere(_ identity: NetworkIdentity) throws -> Bool
    /// Takes a network away from this host.
    ///
    /// - Returns: false when a container is still connected.
    mutating func remove(_ identity: NetworkIdentity) throws -> Bool
    /// Removes namespaces and filters that no network of ours has and that no container uses; those in use are returned.
    mutating func removeLeftovers(except known: Set<String>) throws -> [String]
    /// Has a network's lock alone for a moment: then no plugin that took it earlier is at work.
    ///
    /// - Throws: ``OverlayError/locked(_:)`` when somebody holds it.
    func passLock(_ identity: NetworkIdentity) throws(OverlayError)
    /// In what the kernel differs from a network's plan, in words, the first of each kind.
    mutating func differences(_ plan: NetworkPlan) throws -> [String]
    /// The packets of strangers that were dropped, by network id.
    mutating func dropped(_ identities: [NetworkIdentity]) throws -> [String: UInt64]
    /// Whose an address is that `host-local` reserved: the first two lines of its file.
    func owner(of address: IPAddress, in directory: String) -> (containerID: String, interface: String)?
    /// The MAC that the bridge learned on a container's link; nil when it learned none, or several.
    func learnedMAC(_ identity: NetworkIdentity, port index: Int32) throws -> MACAddress?
    /// The addresses that a `host-local` directory has reserved.
    ///
    /// - Throws: when they cannot be told; then nothing is free. Without the directory there are none.
    func reservations(_ directory: String) throws(SystemError) -> [IPAddress]
}

extension Kernel: OverlayKernel {}
