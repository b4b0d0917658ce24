internal import Cluster
internal import Logging
internal import NIOCore
internal import NetworkTypes
internal import Overlay

/// What the daemon knows of one network; it belongs to the cluster node's actor.
final class NetworkState {
    let identity: NetworkIdentity
    let id: NetworkID
    var local: LocalNetwork

    // What is in the kernel.
    /// Whether this host is on the network: the namespace is there, or being made.
    var isOn = false
    /// Whether the namespace is being removed.
    var isLeaving = false
    /// Where our VXLAN leaves; known while the host is on the network.
    var underlay: Underlay?
    /// The entries that are wanted for other hosts' endpoints.
    var wanted: [IPAddress: AddressBook.Entry] = [:]
    var addressesByMAC: [MACAddress: Set<IPAddress>] = [:]
    /// When an entry last changed.
    var lastChange: UInt64 = 0
    /// What changed since the last batch, with what it was.
    var touched: [IPAddress: AddressBook.Entry?] = [:]
    var membersChanged = false
    /// The VTEPs of members that have said since our start that they are none any more: what is in the kernel for them goes
    /// also while it is not known yet what else does.
    var dismissed: Set<IPAddress> = []
    var needsReconciling = false
    var isReconciling = false
    var lastReconciled: UInt64 = 0
    /// The MTU that the kernel was last given, which follows some time after the members, and whether what was not in the plan
    /// was removed then; nil before the first time.
    var applied: (mtu: UInt32, isComplete: Bool)?
    /// Why the last attempt failed.
    var fault: String?
    /// Since when the network's lock is wanted and not had, and who holds it when that has lasted.
    var lockWanted: UInt64?
    var lockHolder = ""
    /// The containers here whose MTU is larger than the network's by now, with it; and what is said about them.
    var oversized: [String: UInt32] = [:]
    var oversizedText = ""
    /// Links in the namespace that no endpoint of ours has.
    var unknownPorts: [String] = []

    // This host's endpoints and the ADDs under way, by endpoint id.
    var endpoints: [String: LocalEndpoint] = [:]
    var preparing: [String: Preparation] = [:]
    /// Whether a container of this host is on the network; the host's own endpoint keeps nothing here.
    var hasContainers: Bool { endpoints.values.contains { $0.containerID != HostAccess.containerID } }

    /// Whether an ADD is under way. One that prepared the host's own endpoint has prepared its container's, too.
    var isPreparing: Bool { preparing.keys.contains { $0 != hostEndpoint } }
    /// The id of the host's own endpoint.
    var hostEndpoint: String {
        identity.endpointIdentifier(containerID: HostAccess.containerID, interfaceName: HostAccess.portName)
    }

    // The address blocks.
    var allocator: BlockAllocator?
    var allocatorsMade: UInt64 = 0
    var blockEvents: [BlockAllocator.Event] = []
    var isWritingBlocks = false
    var blocksBeingWritten: [UInt8]?
    var isFillingUsage = false
    var isUsageDue = false
    /// How many addresses were in use when the allocator was last told, and how many ADDs ended since.
    var knownUse = 0
    var endedSince = 0
    /// Until when the delegate may still be giving addresses up: after a DEL it does so when we have answered.
    var usageIsMovingUntil: UInt64 = 0
    var blockWake: Scheduled<Void>?
    var withdrawals: [Withdrawal] = []
    /// Whether no plugin is at work any more that an earlier run of the daemon told which addresses are this host's.
    var isPastOldAdditions = false
    var isAwaitingOldAdditions = false

    /// An ADD that was told which addresses it may use.
    struct Preparation {
        /// When it is taken for dead.
        let deadline: UInt64
        /// The addresses that it wants or was lent, of which some may be borrowed.
        var addresses: [IPAddress]
    }

    /// Addresses that are to be given up when the ADDs that began before have ended.
    struct Withdrawal {
        let span: AddressSpan
        let token: UInt64
        var waitingFor: Set<String>
    }

    init(_ identity: NetworkIdentity, _ id: NetworkID, _ local: LocalNetwork) {
        self.identity = identity
        self.id = id
        self.local = local
    }

    /// The borrowed addresses that no endpoint and no ADD has, or none but this one: an ADD that failed or was killed left them.
    func unusedLoans(except endpoint: String? = nil) -> [IPAddress] {
        guard let borrowed = allocator?.borrowed, !borrowed.isEmpty else { return [] }
        let wanted = preparing.flatMap { $0.key == endpoint ? [] : $0.value.addresses }
        let used = Set(endpoints.values.flatMap(\.addresses) + wanted)
        return borrowed.filter { !used.contains($0) }
    }

    /// Notes an entry, and what was there before since the last batch.
    func want(_ entry: AddressBook.Entry?, for address: IPAddress) {
        let old = wanted[address]
        if touched[address] == nil { touched[address] = .some(old) }
        if let old { addressesByMAC[old.mac]?.remove(address) }
        if let old, addressesByMAC[old.mac]?.isEmpty == true { addressesByMAC[old.mac] = nil }
        wanted[address] = entry
        if let entry { addressesByMAC[entry.mac, default: []].insert(address) }
    }

    /// The kernel's entries for everything that is wanted.
    func entries(flooding members: [IPAddress]) -> PeerEntries {
        var entries = PeerEntries([], flooding: members)
        for (address, entry) in wanted { entries.neighbours[address] = entry.mac }
        for mac in addressesByMAC.keys { lead(mac, &entries) }
        return entries
    }

    private func lead(_ mac: MACAddress, _ entries: inout PeerEntries) {
        // One MAC has one place, also when two addresses with it are on two hosts.
        guard let first = addressesByMAC[mac]?.min(), let entry = wanted[first] else { return }
        entries.forwarding[mac] = [entry.vtep]
        entries.bridged.insert(mac)
    }

    /// What changed since the last batch, as entries before and after; only what is touched is in them.
    func takeBatch() -> (old: PeerEntries, new: PeerEntries)? {
        guard !touched.isEmpty else { return nil }
        var (old, new) = (PeerEntries(), PeerEntries())
        var macs: Set<MACAddress> = []
        for (address, before) in touched {
            if let before {
                old.neighbours[address] = before.mac
                macs.insert(before.mac)
            }
            if let now = wanted[address] {
                new.neighbours[address] = now.mac
                macs.insert(now.mac)
            }
        }
        for mac in macs { lead(mac, &new) }
        for before in touched.values.compactMap(\.self) where new.forwarding[before.mac] == nil {
            old.forwarding[before.mac] = [before.vtep]
            old.bridged.insert(before.mac)
        }
        touched = [:]
        return (old, new)
    }
}
