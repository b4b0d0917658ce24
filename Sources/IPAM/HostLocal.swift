public import JSON
public import NetworkTypes
internal import System

/// The host-local address manager of one network: reservations are files that the reference plugin understands.
public struct HostLocal: Sendable {
    /// The network's name.
    public let network: String
    /// The directory of all networks' state, `ipam.dataDir`.
    public let dataDirectory: String

    private let checkpoint: @Sendable (Checkpoint) -> Void

    /// Names a network's state; nothing is read or made.
    public init(network: String, dataDirectory: String) {
        self.init(network: network, dataDirectory: dataDirectory) { _ in }
    }

    /// Calls `checkpoint` wherever a test may want to kill the process.
    init(network: String, dataDirectory: String, checkpoint: @escaping @Sendable (Checkpoint) -> Void) {
        self.network = network
        self.dataDirectory = dataDirectory
        self.checkpoint = checkpoint
    }

    /// Where the state of the networks with this `ipam` object is; see ``HostLocalConfiguration/dataDirectory(of:)``.
    public static func dataDirectory(of ipam: Reader) throws(JSON.DecodingError) -> String {
        try HostLocalConfiguration.dataDirectory(of: ipam)
    }

    // MARK: Commands

    /// ADD: takes one address from each range set, in the order the reference plugin would.
    ///
    /// Nothing stays reserved when it fails; what the owner held before is left alone.
    ///
    /// - Parameter isReturning: the caller knows that nothing of the attachment is left, for example after a reboot. What it
    ///   held is its own again as far as it fits the range sets and what is asked for, and the rest is given back.
    public func allocate(
        _ configuration: HostLocalConfiguration, for owner: Owner, isReturning: Bool = false
    ) throws(IPAMError) -> Allocation {
        let requests = try configuration.assignedRequests()
        let dns = try configuration.readDNS()
        let path = try directory()
        do throws(SystemError) {
            try Files.makeDirectories(path, mode: 0o755)
        } catch {
            throw .io(error)
        }
        let picks = try withLedger(path) { (ledger) throws(IPAMError) in
            try ledger.allocate(configuration, requests, for: owner, isReturning: isReturning)
        }
        return Allocation(addresses: picks.map(\.result), routes: configuration.routes, dns: dns)
    }

    /// DEL: gives back whatever the owner holds, or, when that is nothing, what its container holds in the old format
    /// without interface names. An owner that holds nothing is no error.
    ///
    /// - Throws: ``IPAMError/io(_:)`` for the first address that could not be given back; the others were.
    public func release(_ owner: Owner) throws(IPAMError) {
        guard let path = try existingDirectory() else { return }
        try withLedger(path) { (ledger) throws(IPAMError) in
            let (record, addresses) = try ledger.reserved(for: owner)
            var failure: SystemError?
            for address in addresses {
                do throws(SystemError) {
                    try ledger.release(address, record)
                } catch {
                    failure = failure ?? error
                }
            }
            if let failure { throw .io(failure) }
        }
    }

    /// Hands what an owner holds to another, who need not have asked for it. The addresses are reserved all the while.
    public func pass(from owner: Owner, to heir: Owner) throws(IPAMError) {
        guard let path = try existingDirectory() else { return }
        try withLedger(path) { (ledger) throws(IPAMError) in
            do throws(SystemError) {
                for address in try ledger.addresses(owner.record) {
                    try ledger.pass(address, from: owner.record, to: heir.record)
                }
            } catch {
                throw .io(error)
            }
        }
    }

    /// CHECK: something is reserved for the owner.
    public func check(_ owner: Owner) throws(IPAMError) {
        if try reserved(for: owner).isEmpty { throw .notFound(containerID: owner.containerID) }
    }

    /// CHECK: the addresses of the earlier result are the ones reserved for the owner.
    ///
    /// Addresses outside `rangeSets` are somebody else's and are passed over.
    public func check(_ owner: Owner, addresses: [IPAddress], within rangeSets: [RangeSet]) throws(IPAMError) {
        let reserved = try reserved(for: owner)
        guard !reserved.isEmpty else { throw .notFound(containerID: owner.containerID) }
        if let lost = reserved.first(where: { !addresses.contains($0) }) {
            throw .mismatch(reason: "\(lost) is reserved for \(owner.containerID) but not in prevResult")
        }
        let foreign = addresses.first { address in
            !reserved.contains(address) && rangeSets.contains { $0.contains(address) }
        }
        if let foreign {
            throw .mismatch(reason: "\(foreign) is in prevResult but not reserved for \(owner.containerID)")
        }
    }

    /// GC: gives back every address whose owner is not in `valid`, and clears away what crashes left.
    ///
    /// A reservation in the old format stays as long as any valid owner has its container.
    /// - Throws: ``IPAMError/incomplete(_:)`` with all addresses that could not be read or given back.
    ///
    /// - Parameter isConcerned: limits the collection to some owners, where several networks share the addresses.
    public func collectGarbage(
        valid: Set<Owner>, where isConcerned: (Owner) -> Bool = { _ in true }
    ) throws(IPAMError) {
        guard let path = try existingDirectory() else { return }
        let records = Set(valid.map(\.record)).union(valid.map(\.oldRecord))
        let faults = try withLedger(path) { (ledger) throws(IPAMError) in
            do throws(SystemError) {
                return try ledger.collect { !records.contains($0) && isConcerned(Owner(record: $0)) }
            } catch {
                throw .io(error)
            }
        }
        if !faults.isEmpty { throw .incomplete(faults) }
    }

    /// STATUS: whether an ADD would find an address in every range set and could record it.
    ///
    /// - Throws: ``IPAMError/notAvailable(reason:)`` with what is wrong.
    public func status(_ configuration: HostLocalConfiguration) throws(IPAMError) {
        let path = try directory()
        // ADD would make what is missing.
        var existing = path
        while !Files.exists(existing), let slash = existing.lastIndex(of: "/") {
            existing = slash == existing.startIndex ? "/" : String(existing[..<slash])
        }
        guard Files.isWritableDirectory(existing) else {
            throw .notAvailable(reason: "\(existing) is not a directory that can be written to")
        }
        if existing == path {
            try withLedger(path) { (ledger) throws(IPAMError) in try ledger.checkRoom(configuration) }
        } else {
            for set in configuration.rangeSets where configuration.searchOrder(of: set, after: nil).isEmpty {
                throw .notAvailable(reason: "no IP addresses available in range set: \(set)")
            }
        }
    }

    // MARK: State

    private func directory() throws(IPAMError) -> String {
        // A name is one component of a path, and not a hidden one: those are ours.
        guard !network.isEmpty, !network.hasPrefix("."), !network.contains("/"), !network.utf8.contains(0) else {
            throw .invalidNetworkName(network)
        }
        return "\(dataDirectory)/\(network)"
    }

    private var indexPath: String { "\(dataDirectory)/.swiftlet/\(network).index" }

    private func existingDirectory() throws(IPAMError) -> String? {
        let path = try directory()
        if Files.exists(path) { return path }
        // The network is gone; so goes its index.
        try? Files.remove(indexPath)
        return nil
    }

    private func reserved(for owner: Owner) throws(IPAMError) -> [IPAddress] {
        guard let path = try existingDirectory() else { return [] }
        return try withLedger(path) { (ledger) throws(IPAMError) in try ledger.reserved(for: owner).addresses }
    }

    /// Runs `body` under the network's lock, and brings the index to the disk however it ends.
    private func withLedger<Answer>(
        _ path: String, _ body: (inout Ledger) throws(IPAMError) -> Answer
    ) throws(IPAMError) -> Answer {
        var ledger: Ledger
        do throws(SystemError) {
            ledger = try Ledger(path, indexPath: indexPath, checkpoint: checkpoint)
        } catch {
            throw .io(error)
        }
        do throws(IPAMError) {
            let answer = try body(&ledger)
            ledger.finish()
            return answer
        } catch {
            ledger.finish()
            throw error
        }
    }
}
