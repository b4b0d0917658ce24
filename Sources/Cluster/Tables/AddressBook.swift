public import NetworkTypes

/// Who has which address on which network, and what the kernel needs for it. Fed with every `RowChange` of a replica in
/// order; what it answers is what is to be programmed.
public struct AddressBook: Sendable {
    /// Another host on a network.
    public struct Member: Hashable, Sendable {
        /// The host.
        public let host: HostID
        /// Where it receives the network's VXLAN, the port included.
        public let row: MemberRow
        /// Whether it is not known to be alive.
        public let isSuspended: Bool
    }

    /// One address of an endpoint of a network.
    public struct Entry: Hashable, Sendable {
        /// The address with the prefix length of its subnet.
        public let address: IPPrefix
        /// The MAC address of the endpoint.
        public let mac: MACAddress
        /// Where the owner receives the network's VXLAN.
        public let vtep: IPAddress
        /// The host that has the endpoint.
        public let host: HostID
        /// Whether the host is not known to be alive.
        public let isSuspended: Bool
        /// The endpoint's id: the key of its record.
        public let endpoint: [UInt8]
    }

    /// What is to be changed for one network.
    public enum Difference: Hashable, Sendable {
        /// An entry is to be programmed in place of any other for its address.
        case program(NetworkID, Entry)
        /// No entry is wanted for the address any more; this is the one that was.
        case withdraw(NetworkID, Entry)
        /// VXLAN of the network is to be accepted from this host, or its row changed.
        case admit(NetworkID, Member)
        /// The host is not on the network any more.
        case dismiss(NetworkID, Member)
    }

    /// Who claims an address.
    private struct Claim: Sendable {
        let host: HostID
        let endpoint: [UInt8]
        let address: IPPrefix
        let mac: MACAddress
        let claim: UInt64
        var isSuspended: Bool

        /// Whether the other claim loses: the live one wins, then the higher claim, then the higher host id.
        func beats(_ other: Claim) -> Bool {
            if isSuspended != other.isSuspended { return !isSuspended }
            if claim != other.claim { return claim > other.claim }
            if host != other.host { return host > other.host }
            return other.endpoint.lexicographicallyPrecedes(endpoint)
        }
    }

    private struct Book: Sendable {
        var members: [HostID: Member] = [:]
        var claims: [IPAddress: [Claim]] = [:]
        /// The addresses of each host's endpoints, by the record's key.
        var endpoints: [HostID: [[UInt8]: [IPAddress]]] = [:]
        /// What was last said to be programmed.
        var programmed: [IPAddress: Entry] = [:]

        var isEmpty: Bool { members.isEmpty && claims.isEmpty && programmed.isEmpty }
    }

    /// This host: its own endpoints take part in the choice of a winner but are never programmed.
    public let host: HostID
    private var books: [NetworkID: Book] = [:]

    /// Makes an empty book.
    public init(host: HostID) {
        self.host = host
    }

    /// Takes in a change and says what follows from it for the kernel.
    public mutating func apply(_ change: RowChange) -> [Difference] {
        let record = change.row.record
        guard record.kind == .member || record.kind == .endpoint else { return [] }
        var book = books.removeValue(forKey: record.network) ?? Book()
        let isGone = change.event == .gone
        var differences: [Difference] = []
        if record.kind == .member {
            differences = applyMember(record, isGone: isGone, isSuspended: change.row.isSuspended, to: &book)
        } else {
            var touched: Set<IPAddress> = []
            remove(record, from: &book, touched: &touched)
            if !isGone, let row = EndpointRow(decoding: record.value) {
                add(row, record, isSuspended: change.row.isSuspended, to: &book, touched: &touched)
            }
            differences = choose(touched, record.network, in: &book)
        }
        if !book.isEmpty { books[record.network] = book }
        return differences
    }

    private func applyMember(
        _ record: Record, isGone: Bool, isSuspended: Bool, to book: inout Book
    ) -> [Difference] {
        guard record.owner != host else { return [] }
        let before = book.members[record.owner]
        if !isGone, let row = MemberRow(decoding: record.value) {
            book.members[record.owner] = Member(host: record.owner, row: row, isSuspended: isSuspended)
        } else {
            book.members[record.owner] = nil
        }
        let after = book.members[record.owner]
        guard before != after else { return [] }
        let entries = choose(Set((book.endpoints[record.owner] ?? [:]).values.joined()), record.network, in: &book)
        // A host is let in before its entries are there, and out after they are gone.
        if let after { return [.admit(record.network, after)] + entries }
        return entries + (before.map { [.dismiss(record.network, $0)] } ?? [])
    }

    private func remove(_ record: Record, from book: inout Book, touched: inout Set<IPAddress>) {
        guard let addresses = book.endpoints[record.owner]?.removeValue(forKey: record.key.key) else { return }
        if book.endpoints[record.owner]?.isEmpty == true { book.endpoints[record.owner] = nil }
        for address in addresses where touched.insert(address).inserted {
            let left = (book.claims[address] ?? []).filter {
                $0.host != record.owner || $0.endpoint != record.key.key
            }
            book.claims[address] = left.isEmpty ? nil : left
        }
    }

    private func add(
        _ row: EndpointRow, _ record: Record, isSuspended: Bool, to book: inout Book, touched: inout Set<IPAddress>
    ) {
        guard !row.addresses.isEmpty else { return }
        for prefix in row.addresses {
            touched.insert(prefix.address)
            let claim = Claim(
                host: record.owner, endpoint: record.key.key, address: prefix, mac: row.mac, claim: row.claim,
                isSuspended: isSuspended)
            book.claims[prefix.address, default: []].append(claim)
        }
        book.endpoints[record.owner, default: [:]][record.key.key] = row.addresses.map(\.address)
    }

    /// The winners of addresses that may have changed, and what differs from what was programmed.
    private func choose(_ touched: Set<IPAddress>, _ network: NetworkID, in book: inout Book) -> [Difference] {
        touched.sorted().compactMap { address in
            let wanted = entry(of: address, in: book)
            let before = book.programmed[address]
            guard wanted != before else { return nil }
            book.programmed[address] = wanted
            if let wanted { return .program(network, wanted) }
            return before.map { .withdraw(network, $0) }
        }
    }

    /// What is to be programmed for an address: nothing for one of this host, or of a host whose VTEP is not known.
    private func entry(of address: IPAddress, in book: Book) -> Entry? {
        guard let claim = strongest(book.claims[address]), claim.host != host,
            let member = book.members[claim.host]
        else { return nil }
        return Entry(
            address: claim.address, mac: claim.mac, vtep: member.row.vtep, host: claim.host,
            isSuspended: claim.isSuspended, endpoint: claim.endpoint)
    }

    private func strongest(_ claims: [Claim]?) -> Claim? {
        guard var best = claims?.first else { return nil }
        for claim in claims ?? [] where claim.beats(best) { best = claim }
        return best
    }

    /// All entries wanted for a network, by address.
    public func entries(of network: NetworkID) -> [Entry] {
        (books[network]?.programmed.values).map { $0.sorted { $0.address.address < $1.address.address } } ?? []
    }

    /// The host and the endpoint (its record's key) that have an address now, this host's too: the live one over the
    /// suspended, then the higher claim, then the higher host id.
    public func winner(of address: IPAddress, on network: NetworkID) -> (host: HostID, endpoint: [UInt8])? {
        strongest(books[network]?.claims[address]).map { ($0.host, $0.endpoint) }
    }

    /// The live endpoint of another host that has an address: its host and its record's key; nil when none has.
    public func liveHolder(of address: IPAddress, on network: NetworkID) -> (host: HostID, endpoint: [UInt8])? {
        let claims = books[network]?.claims[address]?.filter { $0.host != host && !$0.isSuspended }
        return strongest(claims).map { ($0.host, $0.endpoint) }
    }

    /// Whether an endpoint of this host has an address.
    public func isHeldHere(_ address: IPAddress, on network: NetworkID) -> Bool {
        books[network]?.claims[address]?.contains { $0.host == host } ?? false
    }

    /// The addresses between two of one family, both included, that live endpoints of other hosts have, in order.
    public func liveElsewhere(_ first: IPAddress, _ last: IPAddress, on network: NetworkID) -> [IPAddress] {
        guard let claims = books[network]?.claims, !claims.isEmpty, first.family == last.family, first <= last else {
            return []
        }
        // The shorter way: by the addresses of a small block, or by the claims in a large one.
        let candidates: [IPAddress]
        if last.number - first.number < UInt128(claims.count) {
            candidates = (first.number...last.number).map { IPAddress(family: first.family, number: $0) }
        } else {
            candidates = claims.keys.filter { $0.family == first.family && first <= $0 && $0 <= last }.sorted()
        }
        return candidates.filter { liveHolder(of: $0, on: network) != nil }
    }

    /// The other hosts on a network, by host id.
    public func members(of network: NetworkID) -> [Member] {
        (books[network]?.members.values).map { $0.sorted { $0.host < $1.host } } ?? []
    }

    /// The claim for a new endpoint with these addresses: one more than any seen.
    public func nextClaim(for addresses: [IPAddress], on network: NetworkID) -> UInt64 {
        let claims = addresses.flatMap { books[network]?.claims[$0] ?? [] }.map(\.claim)
        let highest = claims.max() ?? 0
        return highest == .max ? highest : highest + 1
    }

    /// The smallest MTU that another member announces; nil when none says one.
    public func smallestMTU(of network: NetworkID) -> UInt32? {
        books[network]?.members.values.map(\.row.mtu).filter { $0 > 0 }.min()
    }
}
