public import NetworkTypes

/// Who may hand out which addresses of one network: the part of it that one host plays, as a value without clock, disk or
/// sockets.
///
/// Every block has one owner, who alone hands out its addresses, lends single ones, or gives the block away. Safety rests
/// on one rule: the owner writes down that it gave before it says so, and the new owner writes down that it has before it
/// uses. No clock, leader or majority is needed for that; only the first split without seeds, and taking over from a host
/// that is gone, ask others.
///
/// Every input is an `Event` with the time and a source of randomness; every output is a `Directive`. The shell carries
/// directives out in order and gives events one at a time. It makes an allocator for every network whose definition it
/// knows, also one that no container of its own is on: others may need blocks that this host owns.
public struct BlockAllocator: Sendable {
    /// How the subnets are cut.
    public let layouts: [BlockLayout]
    /// Ourselves.
    public let host: HostID
    /// Our name, as others' `seeds` and `voters` have it.
    public let name: String

    /// Makes the allocator of one network.
    ///
    /// - Parameters:
    ///   - subnets: 1 to 16, in the order of the definition.
    ///   - now: nanoseconds of a clock that never goes back.
    public init(
        subnets: [BlockLayout], host: HostID, name: String, bootstrap: Bootstrap, memory: Memory,
        settings: Settings = Settings(), now: UInt64, random: inout some RandomNumberGenerator
    ) throws(Fault) {
        self.layouts = subnets
        self.host = host
        self.name = name
    }

    /// Takes in one event and says what is to be done. Time never goes back between calls.
    public mutating func handle(
        _ event: Event, now time: UInt64, random generator: inout some RandomNumberGenerator
    ) -> [Directive] {
        []
    }

    /// Whether the first split is known; until then every need is refused.
    public var isDecided: Bool { false }
    /// A digest of the first split; nil before it is known.
    public var universe: UInt64? { nil }
    /// Whether this host is being drained.
    public var isDraining: Bool { false }
    /// What may be handed out here now, one entry for each subnet. An ADD reads it after its need was granted.
    public var ranges: [SubnetRanges] { [] }
    /// The host that an address belongs to, ourselves included; nil when nobody is known.
    public func owner(of address: IPAddress) -> HostID? { nil }
    /// Addresses of other hosts' blocks that were lent to this one.
    public var borrowed: [IPAddress] { [] }
    /// The whole table.
    public var rows: [Row] { [] }
    /// A digest of all rows; equal on two hosts when their tables are.
    public var digest: UInt64 { 0 }
}

/// The limits of the messages between allocators.
public enum BlockMessage {
    /// The most bytes a message has.
    public static let limit = 65_536
}
