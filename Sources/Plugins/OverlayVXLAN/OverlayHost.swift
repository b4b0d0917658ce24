public import Attachment
internal import Control
public import JSON
internal import Netlink
public import NetworkTypes
public import Overlay
public import PluginKit
public import System

/// What the plugin touches beyond every plugin's ``HostSystem``: overlay namespaces, the VTEP filter, the daemon.
///
/// ``KernelOverlayHost`` is the real one; tests put a fake or a fault injector in its place.
public protocol OverlayHost {
    /// Takes the lock of an overlay namespace by its name, waiting.
    func lock(_ name: String, _ mode: FileLock.Mode) throws -> any HeldLock
    /// Opens an overlay namespace by its path; nil when there is none.
    func open(_ path: String) throws -> Container?
    /// Opens a network's overlay namespace, made when there is none; the lock is held alone.
    func make(_ identity: NetworkIdentity) throws -> Container
    /// Takes an overlay namespace away by its name; the lock is held alone.
    func remove(_ name: String) throws
    /// The paths of all overlay namespaces.
    func paths() throws -> [String]
    /// Who else on the host has a VNI and port.
    func holder(vni: UInt32, port: UInt16, except path: String) throws -> String?
    /// Lets the members' VXLAN in and nobody else's.
    func setMembers(_ members: [IPAddress], _ identity: NetworkIdentity, vni: UInt32, port: UInt16) throws
    /// The members let in; nil without a filter.
    func members(_ identity: NetworkIdentity) throws -> Set<IPAddress>?
    /// In what the filter differs from what lets exactly the members in; nil when in nothing.
    func filterDifference(
        _ identity: NetworkIdentity, vni: UInt32, port: UInt16, members: Set<IPAddress>
    ) throws -> String?
    /// Whether the kernel can make a VXLAN, found out by trying in a namespace that is thrown away.
    func hasVXLAN() throws -> Bool
    /// Takes a network's filter away.
    func removeMembers(shortIdentifier: String) throws
    /// Asks the daemon.
    func askDaemon(_ socket: String?, _ method: String, _ target: String, _ body: Value) throws -> Value
}

/// The real host.
public final class KernelOverlayHost: OverlayHost {
    private let system: any HostSystem
    private let namespaces: OverlayNamespaces
    private var filter: VTEPFilter?

    /// The overlay's part of a host.
    public init(system: any HostSystem, namespaces: OverlayNamespaces = OverlayNamespaces()) {
        self.system = system
        self.namespaces = namespaces
    }

    /// The lock file beside the namespace, which the daemon takes, too.
    public func lock(_ name: String, _ mode: FileLock.Mode) throws -> any HeldLock {
        LockHolder(try namespaces.lock(name, mode))
    }

    /// Opens the namespace and a session in it; a leftover that is none counts as nothing.
    public func open(_ path: String) throws -> Container? {
        do {
            return try system.container(at: path)
        } catch let error as NamespaceError {
            switch error.reason {
            case .gone, .notNamespace: return nil
            default: throw error
            }
        }
    }

    /// Pins a new namespace.
    public func make(_ identity: NetworkIdentity) throws -> Container {
        _ = try namespaces.make(identity)
        return try system.container(at: namespaces.path(identity))
    }

    /// Unpins the namespace.
    public func remove(_ name: String) throws { try namespaces.remove(name) }

    /// What is in `/run/swiftlet/netns`.
    public func paths() throws -> [String] { try namespaces.names().map { "\(namespaces.directory)/\($0)" } }

    /// Looks through the namespaces that have names.
    public func holder(vni: UInt32, port: UInt16, except path: String) throws -> String? {
        VNIHolder.find(vni: vni, port: port, host: try system.hostStack(), except: path)
    }

    /// Writes table `inet swiftlet`.
    public func setMembers(_ members: [IPAddress], _ identity: NetworkIdentity, vni: UInt32, port: UInt16) throws {
        try opened().set(identity, vni: vni, port: port, members: members)
    }

    /// Reads table `inet swiftlet`.
    public func members(_ identity: NetworkIdentity) throws -> Set<IPAddress>? { try opened().members(identity) }

    /// Compares table `inet swiftlet`.
    public func filterDifference(
        _ identity: NetworkIdentity, vni: UInt32, port: UInt16, members: Set<IPAddress>
    ) throws -> String? {
        try opened().difference(identity, vni: vni, port: port, members: members)
    }

    /// Makes one in a namespace of its own.
    public func hasVXLAN() throws -> Bool {
        try onThread {
            try NetworkNamespace.enterNew()
            return try OverlaySegment.isPossible(in: RouteSession())
        }
    }

    /// Writes table `inet swiftlet`.
    public func removeMembers(shortIdentifier: String) throws {
        try opened().remove(shortIdentifier: shortIdentifier)
    }

    private func opened() throws -> VTEPFilter {
        if let filter { return filter }
        let opened = try VTEPFilter()
        filter = opened
        return opened
    }

    /// Over the Unix socket.
    public func askDaemon(_ socket: String?, _ method: String, _ target: String, _ body: Value) throws -> Value {
        try ControlClient(socket: socket).ask(method, target, body)
    }
}

private final class LockHolder: HeldLock {
    private let lock: FileLock
    init(_ lock: consuming FileLock) { self.lock = lock }

    func tryChange(to mode: FileLock.Mode) -> Bool { lock.tryChange(to: mode) }
    func change(to mode: FileLock.Mode) throws { try lock.change(to: mode) }
}
