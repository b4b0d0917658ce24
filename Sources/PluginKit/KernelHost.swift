public import Attachment
public import CNI
internal import DBus
public import Netfilter
public import Netlink
public import NetworkTypes
public import System

/// The real host: the kernel of the namespace the process runs in, lock files under `/run`, delegates from `CNI_PATH`.
public final class KernelHost: HostSystem {
    private var session: RouteSession?
    // Kept to the end of the process: closing a netfilter socket waits until the kernel has freed what was removed, some
    // milliseconds that pass meanwhile where other work is left.
    private var filterSession: NFTablesSession?
    private let lockDirectory: String?
    private var busFailure: BusError?

    /// The host; nothing is opened before it is needed.
    ///
    /// - Parameter lockDirectory: where lock files are, for tests; nil for `/run/swiftlet/lock`.
    public init(lockDirectory: String? = nil) {
        self.lockDirectory = lockDirectory
    }

    /// One session for the whole command.
    public func hostStack() throws -> any NetworkStack {
        if let session { return session }
        let opened = try RouteSession()
        session = opened
        return opened
    }

    /// Opens the namespace and a session in it.
    public func container(at path: String) throws -> Container {
        let box = NamespaceBox(try NetworkNamespace(path: path))
        let stack = try RouteSession(in: box.namespace)
        return Container(stack: stack, descriptor: box.namespace.descriptor, owner: box)
    }

    /// A `flock` on a file under `/run/swiftlet/lock`, of this network namespace.
    public func lock(_ name: String, _ mode: FileLock.Mode) throws -> any HeldLock {
        LockHolder(try FileLock(try LockFiles.path(name, in: lockDirectory), mode: mode))
    }

    /// Runs the delegate, in process where it is our own `host-local`.
    public func allocateAddresses(_ request: Request) throws -> CNIResult { try AddressDelegate(request).add() }

    /// Runs the delegate's DEL.
    public func releaseAddresses(_ request: Request) throws { try AddressDelegate(request).delete() }

    /// Runs the delegate's CHECK.
    public func checkAddresses(_ request: Request) throws { try AddressDelegate(request).check() }

    /// Runs the delegate's GC.
    public func collectAddresses(_ request: Request) throws { try AddressDelegate(request).collectGarbage() }

    /// Runs the delegate's STATUS.
    public func addressStatus(_ request: Request) throws { try AddressDelegate(request).status() }

    /// Opens the chosen back end in this namespace.
    public func packetFilter(_ choice: BackendChoice) throws -> any PacketFilter {
        // Without nf_tables the choice finds out why.
        try choice.open(session: try? nftables()).0
    }

    /// One nf_tables session for the whole command.
    private func nftables() throws(NetfilterError) -> NFTablesSession {
        if let filterSession { return filterSession }
        let opened = try NFTablesSession()
        filterSession = opened
        return opened
    }

    /// Cleans our own tables, then what the reference plugins or the iptables back end left under the same names.
    public func removeFilterEntries(_ parts: FilterParts, of owner: FilterOwner, addresses: [IPAddress]) throws {
        var errors = ErrorCollector()
        errors.attempt {
            try NetfilterError.whereAvailable { () throws(NetfilterError) in
                try NFTables(session: nftables()).remove(parts, of: owner)
            }
        }
        inIPTables(&errors) { try $0.remove(parts, of: owner) }
        errors.attempt {
            let session = try NetfilterError.whereAvailable { () throws(NetfilterError) in try nftables() }
            try ReferenceLeftovers(session: session).clean(owner, addresses: addresses, parts: parts)
        }
        try errors.throwIfAny()
    }

    /// Collects in our own tables, and where iptables has chains of ours in those.
    public func collectFilterEntries(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws {
        var errors = ErrorCollector()
        errors.attempt {
            try NetfilterError.whereAvailable { () throws(NetfilterError) in
                try NFTables(session: nftables()).collect(parts, network: network, keeping: owners)
            }
        }
        inIPTables(&errors) { try $0.collect(parts, network: network, keeping: owners) }
        try errors.throwIfAny()
    }

    /// Cleans in iptables where it has chains of ours and its programs are there.
    private func inIPTables(_ errors: inout ErrorCollector, _ clean: (IPTables) throws -> Void) {
        for variant in errors.attempt({ try IPTables.variantsInUse(nftables()) }) ?? [] {
            guard let iptables = try? IPTables(variant) else { continue }
            errors.attempt { try clean(iptables) }
        }
    }

    /// Asks the system bus. One that refused or did not answer is not asked again by this process: who asks for many
    /// containers would wait each time.
    public func firewalld() throws -> (any FirewallZones)? {
        if let busFailure { throw busFailure }
        do {
            return try Firewalld.running(environment: .current())
        } catch {
            busFailure = error
            throw error
        }
    }

    /// Deletes conntrack entries over netlink, where the kernel lets them be listed.
    public func forgetConnections(_ matches: [ConnectionMatch]) throws {
        try NetfilterError.whereAvailable { () throws(NetfilterError) in try Conntrack().remove(matches) }
    }

    /// Makes a filtering bridge in a namespace of its own and looks whether it filters.
    public func filtersVLANs() throws -> Bool {
        try onThread {
            try NetworkNamespace.enterNew()
            let stack = try RouteSession()
            do throws(NetlinkError) {
                try stack.createLink(LinkSpec(name: "probe", kind: .bridge(BridgeState(vlanFiltering: true))))
            } catch {
                if error.errno == .notSupported { return false }
                throw error
            }
            return try stack.link(named: "probe")?.bridge?.vlanFiltering ?? false
        }
    }
}

private final class NamespaceBox {
    let namespace: NetworkNamespace
    init(_ namespace: consuming NetworkNamespace) { self.namespace = namespace }
}

private final class LockHolder: HeldLock {
    private let lock: FileLock
    init(_ lock: consuming FileLock) { self.lock = lock }

    func tryChange(to mode: FileLock.Mode) -> Bool { lock.tryChange(to: mode) }
    func change(to mode: FileLock.Mode) throws { try lock.change(to: mode) }
}
