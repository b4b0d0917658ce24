public import CNI
public import DBus
public import Netfilter
public import Netlink
public import NetworkTypes
public import System

/// What a plugin touches besides its standard streams: namespaces, locks, address management.
///
/// ``KernelHost`` is the real one; tests put a fake or a fault injector in its place.
public protocol HostSystem {
    /// The network stack of the namespace the plugin runs in.
    func hostStack() throws -> any NetworkStack
    /// The container's namespace at `path`.
    ///
    /// - Throws: ``NamespaceError`` when the path is gone or is not a namespace.
    func container(at path: String) throws -> Container
    /// Takes the lock that guards a shared object ("bridge-br0"), waiting for it.
    func lock(_ name: String, _ mode: FileLock.Mode) throws -> any HeldLock
    /// Allocates addresses through the configuration's `ipam` delegate.
    func allocateAddresses(_ request: Request) throws -> CNIResult
    /// Releases the attachment's addresses through the delegate.
    func releaseAddresses(_ request: Request) throws
    /// Asks the delegate to check the attachment's addresses.
    func checkAddresses(_ request: Request) throws
    /// Asks the delegate to release everything not in the request's list.
    func collectAddresses(_ request: Request) throws
    /// Asks the delegate whether it could serve an ADD.
    func addressStatus(_ request: Request) throws
    /// Opens the packet filter to add to and to compare with.
    ///
    /// - Throws: ``NetfilterError/unavailable(_:)`` with what the host lacks.
    func packetFilter(_ choice: BackendChoice) throws -> any PacketFilter
    /// Removes what an attachment has in the packet filter, whichever back end or suite made it.
    ///
    /// - Parameter addresses: the container's, as far as known; needed only for rules that carry nothing else.
    func removeFilterEntries(_ parts: FilterParts, of owner: FilterOwner, addresses: [IPAddress]) throws
    /// Removes what a network's attachments that are not in the list have in the packet filter.
    func collectFilterEntries(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws
    /// The running firewalld; nil when none runs.
    func firewalld() throws -> (any FirewallZones)?
    /// Who listens on a host port in a way that a mapping of it would cut off; nil when nobody does.
    func holder(of mapping: PortMapping) throws -> String?
    /// Makes the kernel forget connections, so that their next packets are looked at afresh.
    func forgetConnections(_ matches: [ConnectionMatch]) throws
    /// Whether the kernel filters VLANs on bridges (`CONFIG_BRIDGE_VLAN_FILTERING`), found out by trying in a namespace
    /// that is thrown away.
    func filtersVLANs() throws -> Bool
    /// What the kernel lacks to hold a link to a rate, and if `redirects` to do so with what comes in by it; nil when
    /// nothing. Found out by trying, as before.
    func shapingGap(redirects: Bool) throws -> StepError?
}

/// firewalld's zones, as far as a container's address is concerned. Equivalent: `firewall-cmd --zone … --add-source …`.
public protocol FirewallZones {
    /// Makes a source part of a zone; false when it was.
    func addSource(_ source: IPPrefix, zone: String) throws(BusError) -> Bool
    /// Takes a source out of a zone; false when it was not in it.
    func removeSource(_ source: IPPrefix, zone: String) throws(BusError) -> Bool
    /// Whether a source is part of a zone.
    func hasSource(_ source: IPPrefix, zone: String) throws(BusError) -> Bool
}

extension Firewalld: FirewallZones {}

/// A lock while it is held; it is given back when the object goes away.
public protocol HeldLock: AnyObject {
    /// Changes the mode without waiting; false, and nothing changed for the holder, when somebody else is in.
    func tryChange(to mode: FileLock.Mode) -> Bool
    /// Changes the mode, waiting. Others may have had the lock in between.
    func change(to mode: FileLock.Mode) throws
}

/// A container's namespace, open.
public struct Container {
    /// Its network stack.
    public let stack: any NetworkStack
    /// A descriptor of the namespace for `IFLA_NET_NS_FD`; valid as long as this value lives.
    public let descriptor: Int32
    private let owner: AnyObject?

    /// A container whose descriptor `owner` keeps open.
    public init(stack: any NetworkStack, descriptor: Int32, owner: AnyObject? = nil) {
        self.stack = stack
        self.descriptor = descriptor
        self.owner = owner
    }
}
