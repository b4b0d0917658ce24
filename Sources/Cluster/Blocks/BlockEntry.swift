/// One block of a network: which subnet, counted from 0 as the definition lists them, and which block of it.
public struct BlockID: Hashable, Sendable {
    /// The subnet.
    public let subnet: Int
    /// The block.
    public let number: Int

    /// Names a block.
    public init(subnet: Int, number: Int) {
        self.subnet = subnet
        self.number = number
    }
}

extension BlockID: Comparable {
    /// Order of the table.
    public static func < (left: Self, right: Self) -> Bool {
        (left.subnet, left.number) < (right.subnet, right.number)
    }
}

extension BlockID: CustomStringConvertible {
    /// For example "0/12".
    public var description: String { "\(subnet)/\(number)" }
}

/// Who owns a block: a host in one of its lives.
///
/// A life begins when a host starts without memory of the network, and has a random number. What an earlier life owned
/// is not this one's: it may have been given away since. It is won back by asking all others (`recovery`).
public struct BlockOwner: Hashable, Sendable {
    /// The host.
    public let host: HostID
    /// Its life; never 0.
    public let life: UInt32

    /// Names an owner.
    public init(host: HostID, life: UInt32) {
        self.host = host
        self.life = life
    }
}

extension BlockOwner: Comparable {
    /// By host, then life.
    public static func < (left: Self, right: Self) -> Bool { (left.host, left.life) < (right.host, right.life) }
}

/// What the owner does with its block.
public enum BlockState: UInt8, Hashable, Sendable, CaseIterable {
    /// It hands out its addresses.
    case owned = 1
    /// It is empty, nothing of it is handed out, and the owner gives it to who asks first.
    case offered = 2
    /// It was taken over or won back and rests: nothing of it is handed out or given away.
    case resting = 3
}

/// One row of the ring: the newest word about a block. Only the owner writes the next version; taking a block over
/// writes the next epoch.
public struct BlockEntry: Hashable, Sendable {
    /// Who may hand out the addresses and give the block away.
    public var owner: BlockOwner
    /// How often the block was taken over.
    public var epoch: UInt32
    /// How often it changed; never falls, also not when the epoch grows.
    public var version: UInt64
    /// What the owner does with it.
    public var state: BlockState

    /// Makes an entry.
    public init(owner: BlockOwner, epoch: UInt32 = 0, version: UInt64 = 1, state: BlockState = .offered) {
        self.owner = owner
        self.epoch = epoch
        self.version = version
        self.state = state
    }

    /// The highest epoch there is, and the highest version. Rows beyond cannot be read.
    static let epochLimit = UInt32(Int32.max)
    static let versionLimit = UInt64.max >> 1
    /// By how much a block's epoch and version can have grown since a host last heard of it: both grow by one with what an
    /// operator or an owner does. A row that claims more is wrong, and would leave nothing to count on with.
    static let epochStep: UInt32 = 1 << 16
    static let versionStep: UInt64 = 1 << 40

    /// Whether this can be what became of another entry; nil: of none.
    func isPlausible(after other: BlockEntry?) -> Bool {
        let (epoch, version) = other.map { ($0.epoch, $0.version) } ?? (0, 0)
        return self.epoch <= epoch.addingReportingOverflow(Self.epochStep).partialValue
            && self.epoch < Self.epochLimit
            && self.version <= version.addingReportingOverflow(Self.versionStep).partialValue
            && self.version < Self.versionLimit
    }

    /// Whether this is a later word than the other.
    func isNewer(than other: BlockEntry) -> Bool { (epoch, version) > (other.epoch, other.version) }

    /// Of two entries with one version that differ, the one that all hosts show. Two owners made it, so something is
    /// wrong and is reported; but all tables become equal.
    func outranks(_ other: BlockEntry) -> Bool {
        (owner, state.rawValue) > (other.owner, other.state.rawValue)
    }

    /// The next word of the owner.
    func next(owner: BlockOwner? = nil, state: BlockState) -> BlockEntry {
        BlockEntry(owner: owner ?? self.owner, epoch: epoch, version: version &+ 1, state: state)
    }

    /// The word of a new epoch. All ones are never reached by counting.
    func fenced(owner: BlockOwner) -> BlockEntry {
        BlockEntry(owner: owner, epoch: epoch &+ 1, version: version &+ 1, state: .resting)
    }
}
