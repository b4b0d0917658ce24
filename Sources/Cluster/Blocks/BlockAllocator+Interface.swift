public import NetworkTypes

extension BlockAllocator {
    /// How the first split of a network's blocks comes about.
    public enum Bootstrap: Hashable, Sendable {
        /// The named hosts share all blocks by their sorted order, without a message.
        case seeds([String])
        /// A majority of these hosts and ourselves must agree. With nobody else named the host decides alone.
        case voters([String])
    }

    /// What this host remembers of the network.
    public enum Memory: Hashable, Sendable {
        /// The bytes of the last `Directive.persist`.
        case saved([UInt8])
        /// Nothing, and this host was never on the network before.
        case fresh
        /// Nothing, but the host may have been on the network before: its state is gone or cannot be read. Its old blocks
        /// are won back by asking everybody; until then it uses none of them.
        case lost
    }

    /// Why an allocator could not be made.
    public enum Fault: Error, Hashable, Sendable {
        /// There are no subnets, or more than 16.
        case subnets(Int)
        /// The saved bytes are torn or of another version: start it with `Memory.lost`, and say so.
        case memory
        /// The saved bytes belong to another host or to other subnets.
        case foreignMemory
        /// More hosts are named than 256, or a name is empty or longer than 255 bytes.
        case names
    }

    /// Timings, in nanoseconds, and limits.
    public struct Settings: Hashable, Sendable {
        /// How often digests are compared with some other host.
        public var repairInterval: UInt64 = 10_000_000_000
        /// How often a question without an answer is repeated.
        public var retryInterval: UInt64 = 500_000_000
        /// How long `need` and `borrow` try before they are refused.
        public var patience: UInt64 = 5_000_000_000
        /// How long a takeover tries to hear from everybody.
        public var takeoverPatience: UInt64 = 10_000_000_000
        /// How long a host that starts waits for the live ones to greet it before it decides alone.
        public var greetingPatience: UInt64 = 2_000_000_000
        /// How long a block that was taken over or won back rests before it is used.
        public var rest: UInt64 = 60_000_000_000
        /// After how long without need a host without addresses in use offers all its blocks.
        public var idle: UInt64 = 300_000_000_000
        /// How many blocks of a subnet that became empty stay in use; more are offered.
        public var highWater = 1

        /// The defaults.
        public init() {}
    }

    /// What happens.
    public enum Event: Sendable {
        /// Everything that is known about the other hosts was given as `peer`. Given once.
        case start
        /// The standing of another host of the cluster that takes part in this network, and its name for people.
        case peer(HostID, Standing, name: String? = nil)
        /// A message of another host. Its sender is authentic; that it is older, doubled or out of order does no harm.
        case message([UInt8], from: HostID)
        /// The time last asked for by `Directive.wake` has come.
        case timer
        /// The shell or the operator wants something.
        case command(Command)
    }

    /// How another host stands.
    public enum Standing: UInt8, Hashable, Sendable, CaseIterable {
        /// It takes part.
        case alive = 1
        /// It does not answer.
        case failed = 2
        /// It left on purpose. What it did not give back remains its.
        case left = 3
        /// Membership forgot it, because it was away for so long. That says nothing of its containers: what it owns or
        /// has borrowed stays its, until an operator takes it over.
        case forgotten = 4
    }

    /// What the shell or the operator may want.
    public enum Command: Hashable, Sendable {
        /// An ADD wants an address of the subnet with this number, beside so many others that were granted theirs and may
        /// not have reserved one yet. Ends with `granted` or `refused`. Granted with an address, it is that one, which is
        /// lent by another host to this ADD alone; without, `ranges` has a free address, as far as known.
        case need(subnet: Int, token: UInt64, beside: Int = 0)
        /// An ADD wants this very address, wherever it belongs. Ends with `granted` or `refused`. The grant is a loan if
        /// another host owns the block: then `borrowed` has it, and it is refused to all others until it is returned.
        case borrow(IPAddress, token: UInt64)
        /// Nobody waits for this `borrow` any more: it ends without a word, and a loan that comes all the same goes back. A
        /// `need` goes on, since it holds nothing and what it finds is there for the next. Unknown ones are ignored.
        case giveUp(token: UInt64)
        /// A borrowed address is free again: its container is gone, or the ADD that borrowed it failed. At the start the
        /// shell returns all of `borrowed` that are neither in use nor wanted by an ADD under way. Unknown ones are
        /// ignored. One that is kept without use is refused to everybody, here as well.
        case returnLoan(IPAddress)
        /// All addresses reserved on disk for this network, as the delegate's files have them. Given at the start, after
        /// each DEL or a few of them, and after an ADD that found no free address.
        case usage([IPAddress])
        /// The answer to `Directive.withdraw`: whether no address of the span is reserved on disk.
        case withdrawn(token: UInt64, isFree: Bool)
        /// Refuse every `need` and give all blocks away (`true`), or go on as ever (`false`). `Notice.drained` says when
        /// nothing is left and another host knows it.
        case drain(Bool)
        /// The voters of the first split are these and ourselves: names that were given in place of addresses have been found.
        /// Ignored when the split is decided or comes of seeds.
        case voters([String])
        /// Give back everything that is not in use, and take nothing any more: the host is about to leave. Ends with
        /// `granted`, when the others know of it or the time for that is over. The next start knows nothing of it.
        case leave(token: UInt64)
        /// Take over what hosts that are gone own; the operator vouches that nothing runs on them any more. Ends with
        /// `granted` or `refused`. Naming only this host itself vouches for it after it lost its memory: it no longer
        /// waits for those that are away.
        ///
        /// With `isGone` the operator also vouches that they never come back as they were, so that no majority of the
        /// known hosts needs to be there: of two hosts one can go on. If that is not so, addresses are used twice.
        case takeover([HostID], isGone: Bool = false, token: UInt64)
    }

    /// What is to be done, in this order.
    public enum Directive: Sendable {
        /// Write this over what was persisted before, with fsync, before any directive after it is carried out. If that
        /// fails, drop the rest and make the allocator anew from what is on disk.
        case persist([UInt8])
        /// Send this to another host, over whatever reaches it; at most `BlockMessage.limit` bytes. Loss does no harm.
        case send(to: HostID, [UInt8])
        /// `ranges` has other values now.
        case rangesChanged
        /// Nothing of the span is in `ranges` any more. When every ADD of this network that began before this directive
        /// has ended (its address is reserved on disk, or it gave up), see whether any address of the span is reserved
        /// and give `Command.withdrawn`.
        case withdraw(AddressSpan, token: UInt64)
        /// A command was fulfilled; a `need` by this address alone, if one is named.
        case granted(token: UInt64, lent: IPAddress? = nil)
        /// A command was not fulfilled.
        case refused(token: UInt64, Refusal)
        /// Give `Event.timer` at this time; it replaces the time asked for before.
        case wake(at: UInt64)
        /// Something worth a line in a log.
        case notice(Notice)
    }

    /// Why a command was not fulfilled.
    public enum Refusal: Hashable, Sendable {
        /// There is no such subnet, or the address is in none.
        case unknownSubnet
        /// The address is the gateway's, the network's, the broadcast address or excluded, or in no block.
        case notUsable
        /// The first split is not decided; these hosts were not heard from. Try again later.
        case undecided(waitingFor: [String])
        /// This host is being drained.
        case draining
        /// No host has an empty block to give.
        case exhausted
        /// Hosts that may have empty blocks do not answer.
        case noAnswer([HostID])
        /// The owner of the address is not there; take it over if it is gone for good.
        case ownerAway(HostID)
        /// Nobody owns the address's block yet, as far as known here.
        case unowned
        /// The address is in use on the owner's host.
        case inUse
        /// The address is lent to another host.
        case lent(to: HostID)
        /// The address's block rests after a takeover.
        case resting
        /// The named host is there.
        case isAlive(HostID, seenBy: HostID)
        /// These hosts are away as well and may own blocks that came from the one to be taken over: name them too, or
        /// wait for them.
        case othersAway([HostID], subjects: [HostID])
        /// Those that answered are no majority of the known hosts; these are to be taken over.
        case noMajority(answered: Int, known: Int, subjects: [HostID])
        /// Another takeover of the same host is going on.
        case busy(HostID)
        /// The named host is this one, or nothing is known of it.
        case unknownHost(HostID)
    }

    /// Something worth a line in a log.
    public enum Notice: Hashable, Sendable {
        /// The first split is known.
        case decided(universe: UInt64)
        /// Another host has other subnets or ranges for this network: nothing is exchanged with it.
        case otherSubnets(HostID)
        /// Another host has another first split: nothing is exchanged with it. Both go on alone.
        case otherUniverse(HostID, theirs: UInt64, ours: UInt64)
        /// Two owners made the same version of a block; this host stops handing it out. `used` of its addresses are in
        /// use here.
        case conflict(BlockID, other: HostID, used: Int)
        /// A block of this host was taken over by another. `used` of its addresses are in use here.
        case superseded(BlockID, by: HostID, used: Int)
        /// What was saved is older than what this host said later: a restored disk. Its blocks are to be won back.
        case memoryIsOld
        /// Blocks came to this host.
        case gained([BlockID])
        /// Blocks went from this host.
        case given([BlockID], to: HostID)
        /// Blocks were taken over, or won back; they rest first.
        case takenOver([BlockID], from: [HostID])
        /// What an earlier life of this host owned cannot be won back before these were heard: hosts that are known, and
        /// names of the configuration that no known host has.
        case recovering(waitingFor: [HostID], unheard: [String])
        /// Draining is done.
        case drained
        /// Draining waits for addresses that are in use or lent.
        case drainWaits(blocks: Int)
        /// The owner of a borrowed address does not know of the loan.
        case loanVoid(IPAddress, owner: HostID)
        /// A message could not be read.
        case malformed(HostID, BlockWireFault)
    }

    /// The usable addresses of this host in one subnet.
    public struct SubnetRanges: Hashable, Sendable {
        /// The subnet.
        public let subnet: IPPrefix
        /// Its gateway.
        public let gateway: IPAddress?
        /// What may be handed out here. Gateway, excluded and lent addresses are cut out already.
        public let spans: [AddressSpan]
        /// The addresses within this host's blocks that were cut out, for who prefers a list.
        public let excluded: [IPAddress]
    }

    /// A row as people see it.
    public struct Row: Hashable, Sendable {
        /// Which block.
        public let block: BlockID
        /// All its addresses.
        public let span: AddressSpan
        /// The newest word about it; nil while no host has claimed it.
        public let entry: BlockEntry?
        /// How many addresses are in use, if the block is ours and that is known.
        public let used: Int?
        /// Addresses lent to other hosts, if the block is ours.
        public let lent: [IPAddress: HostID]
        /// Whether two owners claimed it.
        public let isDisputed: Bool
    }
}
