import NetworkTypes

/// What one allocator says to another. The head says who speaks and of which table; a receiver with other subnets or
/// another first split goes no further than that.
public struct BlockMessage: Hashable, Sendable {
    /// The most bytes a message has.
    public static let limit = 65_536

    /// The sender's life.
    var life: UInt32
    /// A digest of the subnets.
    var layouts: UInt64
    /// A digest of the first split; 0 when the sender knows none.
    var universe: UInt64
    var body: Body

    enum Body: Hashable, Sendable {
        case hello(Hello)
        /// The digests of all chunks: asks for the rows of those that differ.
        case digests([[UInt64]])
        case rows(Rows)
        case universeWanted
        /// The first split, and by which list of voters its sender came to it.
        case universe(BlockUniverse, voters: UInt64)
        // The vote on the first split, after Lamport's "Paxos Made Simple".
        case prepare(Ballot, voters: UInt64)
        case promise(Ballot, voters: UInt64, accepted: Proposal?)
        case accept(Proposal, voters: UInt64)
        case accepted(Ballot, voters: UInt64)
        /// A higher ballot was promised.
        case behind(Ballot, voters: UInt64)
        /// Asks for an empty block. Urgent: there is no free address left, and one that is lent will do if the sender says so.
        case ask(token: UInt64, subnet: Int, isUrgent: Bool, takesAddress: Bool = false)
        /// No block, or not yet.
        case deny(token: UInt64, Denial)
        /// Asks for one address.
        case borrow(Loan)
        case lend(Loan)
        case keep(Loan, Keeping)
        /// What the sender lent to the receiver, and what it holds of the receiver's.
        case loans(lent: [Loan], held: [Loan])
        /// These are not in use any more, or never were.
        case giveBack([Loan])
        case fence(Fence)
        case vote(Vote)
        /// These hosts were taken over: nobody needs to wait for them.
        case gone([HostID])
    }

    struct Hello: Hashable, Sendable {
        var name: String
        /// A digest of the whole table.
        var table: UInt64
        /// A digest of the list of voters; 0 with seeds.
        var voters: UInt64
        var wantsReply: Bool
        var isDraining: Bool
        /// It may have known a first split before, and does not now.
        var hasLostMemory: Bool
    }

    struct Rows: Hashable, Sendable {
        /// Set in an exchange: these are all rows of the chunk, or the newer ones as an answer.
        var chunk: ChunkID?
        /// The sender wants what the receiver knows better.
        var wantsNewer: Bool
        var rows: [BlockRing.Row]
    }

    /// A number of an attempt to agree.
    struct Ballot: Hashable, Sendable, Comparable {
        var round: UInt32
        var host: HostID

        static let zero = Ballot(round: 0, host: HostID(rawValue: 0))

        static func < (left: Self, right: Self) -> Bool { (left.round, left.host) < (right.round, right.host) }
    }

    struct Proposal: Hashable, Sendable {
        var ballot: Ballot
        var universe: BlockUniverse
    }

    enum Denial: UInt8, Hashable, Sendable, CaseIterable {
        case none = 1
        /// A block is being withdrawn; ask again.
        case wait = 2
    }

    /// An address on loan. The number tells loans of the same address apart.
    struct Loan: Hashable, Sendable {
        var address: IPAddress
        var number: UInt64
    }

    enum Keeping: UInt8, Hashable, Sendable, CaseIterable {
        case inUse = 1
        case lent = 2
        case resting = 3
        case notMine = 4
        case notUsable = 5
    }

    /// Asks whether the receiver sees any of the subjects, and for all it knows about their blocks. A host that names
    /// itself wins back what an earlier life of it owned.
    struct Fence: Hashable, Sendable {
        var number: UInt64
        var subjects: [HostID]
        var digests: [[UInt64]]
    }

    struct Vote: Hashable, Sendable {
        var number: UInt64
        /// A subject that is there, as the sender sees it.
        var alive: HostID?
        /// The sender wants to take over a subject itself.
        var isBusy: Bool
        /// Both tables were the same when the question came.
        var isInSync: Bool
        /// Hosts that the sender waits for.
        var away: [HostID]
        /// What the sender holds of the subjects' addresses.
        var held: [Loan]
    }
}
