public import NetworkTypes

/// Who has which address on which network, and what the kernel needs for it. Fed with every `RowChange` of a replica in
/// order; what it answers is what is to be programmed.
public struct AddressBook: Sendable {
    /// A host on a network.
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

    /// This host: its own entries take part in the choice of a winner but are never programmed.
    public let host: HostID

    /// Makes an empty book.
    public init(host: HostID) {
        self.host = host
    }

    /// Takes in a change and says what follows from it for the kernel.
    public mutating func apply(_ change: RowChange) -> [Difference] { [] }

    /// All entries wanted for a network, by address.
    public func entries(of network: NetworkID) -> [Entry] { [] }

    /// The entry that owns an address now: the live one over the suspended, then the higher claim, then the higher host
    /// id; this host's own too.
    public func winner(of address: IPAddress, on network: NetworkID) -> Entry? { nil }

    /// The other hosts on a network, by host id.
    public func members(of network: NetworkID) -> [Member] { [] }

    /// The claim for a new endpoint with these addresses: one more than any seen.
    public func nextClaim(for addresses: [IPAddress], on network: NetworkID) -> UInt64 { 1 }

    /// The smallest MTU that a member announces; nil when none says one.
    public func smallestMTU(of network: NetworkID) -> UInt32? { nil }
}
