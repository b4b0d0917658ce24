/// What one host keeps of a network on disk.
struct BlockMemory: Hashable, Sendable {
    /// A host of the network that is known.
    struct Member: Hashable, Sendable {
        var host: HostID
        var name: String?
        var life: UInt32?
        var hasLeft: Bool
        /// Its blocks were taken over; nobody waits for it.
        var isGone: Bool
        /// Lives that are over; what they said late does not count.
        var pastLives: [UInt32]
        /// The name people know it by, which `name` is not where voters are called by their addresses.
        var publicName: String?
    }

    /// What was promised under a list of voters.
    struct Election: Hashable, Sendable {
        var voters: UInt64
        var promised: BlockMessage.Ballot
        var accepted: BlockMessage.Proposal?
    }

    /// An address of ours that another host uses.
    struct Lent: Hashable, Sendable {
        var loan: BlockMessage.Loan
        var borrower: BlockOwner
    }

    var host: HostID
    var life: UInt32
    var layouts: UInt64
    var universe: BlockUniverse?
    /// The list of voters by which the split was decided; 0 if there was none.
    var decidedBy: UInt64 = 0
    /// Whether the share as a seed may be claimed: never after a loss of memory.
    var mayClaim: Bool
    /// Whether blocks of earlier lives were asked for.
    var isRecovered: Bool
    var isDraining: Bool
    /// The election the next two belong to.
    var voters: UInt64 = 0
    var promised: BlockMessage.Ballot = .zero
    var accepted: BlockMessage.Proposal?
    var formerElections: [Election] = []
    var rows: [BlockRing.Row] = []
    var nextLoan: UInt64 = 0
    var lent: [Lent] = []
    var borrowed: [BlockMessage.Loan] = []
    var members: [Member] = []
    var disputed: [BlockID] = []

    private static let magic: [UInt8] = Array("SWBR".utf8) + [1]
    private static let listLimit = 1 << 20

    /// Magic, fields, checksum.
    func encoded() -> [UInt8] {
        var writer = BlockWriter()
        writer.bytes = Self.magic
        writer.field(1) {
            $0.host(host)
            $0.number(life)
            $0.fixed(layouts)
            $0.flag(mayClaim)
            $0.flag(isRecovered)
            $0.flag(isDraining)
            $0.fixed(nextLoan)
        }
        if let universe {
            writer.field(2) {
                $0.fixed(decidedBy)
                universe.write(to: &$0)
            }
        }
        writer.field(3) {
            $0.fixed(voters)
            $0.ballot(promised)
            if let accepted { $0.proposal(accepted) }
        }
        writer.field(4) { $0.rows(rows) }
        writer.field(5) {
            $0.list(lent) {
                $0.loan($1.loan)
                $0.owner($1.borrower)
            }
        }
        writer.field(6) { $0.list(borrowed) { $0.loan($1) } }
        writer.field(7) {
            $0.list(members) { (writer, member) in
                writer.host(member.host)
                writer.flag(member.name != nil)
                if let name = member.name { writer.text(name) }
                writer.number(member.life ?? 0)
                writer.flag(member.hasLeft)
                writer.flag(member.isGone)
                writer.list(member.pastLives) { $0.number($1) }
            }
        }
        writer.field(8) {
            $0.list(disputed) {
                $0.count($1.subnet)
                $0.count($1.number)
            }
        }
        let named = members.filter { $0.publicName != nil }
        if !named.isEmpty {
            writer.field(9) {
                $0.list(named) { (writer, member) in
                    writer.host(member.host)
                    writer.text(member.publicName ?? "")
                }
            }
        }
        if !formerElections.isEmpty {
            writer.field(10) {
                $0.list(formerElections) { (writer, election) in
                    writer.fixed(election.voters)
                    writer.ballot(election.promised)
                    writer.flag(election.accepted != nil)
                    if let accepted = election.accepted { writer.proposal(accepted) }
                }
            }
        }
        var hash = BlockHash()
        hash.add(writer.bytes)
        writer.fixed(hash.value)
        return writer.bytes
    }

    init(_ bytes: [UInt8]) throws(BlockWireFault) {
        guard bytes.count >= Self.magic.count + 8 else { throw .truncated }
        let content = bytes.dropLast(8)
        var hash = BlockHash()
        hash.add(content)
        var tail = BlockReader(bytes.suffix(8))
        guard try tail.fixed() == hash.value else { throw .badChecksum }
        guard content.starts(with: Self.magic) else { throw .unknownKind }
        var reader = BlockReader(content.dropFirst(Self.magic.count))
        let fields = try reader.fields()
        guard var head = fields[1] else { throw .missing }
        host = try head.host()
        life = try head.number32()
        layouts = try head.fixed()
        mayClaim = try head.flag()
        isRecovered = try head.flag()
        isDraining = try head.flag()
        nextLoan = try head.fixed()
        guard life != 0 else { throw .badValue }
        if var field = fields[2] {
            decidedBy = try field.fixed()
            universe = try BlockUniverse(from: &field)
        }
        if var field = fields[3] {
            voters = try field.fixed()
            promised = try field.ballot()
            if !field.isAtEnd { accepted = try field.proposal() }
        }
        if var field = fields[4] { rows = try field.rows() }
        try readLists(fields)
    }

    private mutating func readLists(_ fields: [UInt8: BlockReader]) throws(BlockWireFault) {
        if var field = fields[5] {
            lent = try field.list(atMost: Self.listLimit) { (item) throws(BlockWireFault) in
                Lent(loan: try item.loan(), borrower: try item.owner())
            }
        }
        if var field = fields[6] {
            borrowed = try field.list(atMost: Self.listLimit) { (item) throws(BlockWireFault) in try item.loan() }
        }
        if var field = fields[7] {
            members = try field.list(atMost: Self.listLimit) { (item) throws(BlockWireFault) in
                let host = try item.host()
                let name = try item.flag() ? try item.text() : nil
                let life = try item.number32()
                return Member(
                    host: host, name: name, life: life == 0 ? nil : life, hasLeft: try item.flag(),
                    isGone: try item.flag(),
                    pastLives: try item.list(atMost: 64) { (item) throws(BlockWireFault) in try item.number32() })
            }
        }
        if var field = fields[10] {
            let limit = BlockAllocator.formerElectionLimit
            formerElections = try field.list(atMost: limit) { (item) throws(BlockWireFault) in
                Election(
                    voters: try item.fixed(), promised: try item.ballot(),
                    accepted: try item.flag() ? try item.proposal() : nil)
            }
        }
        if var field = fields[9] {
            let names = try field.list(atMost: Self.listLimit) { (item) throws(BlockWireFault) in
                (try item.host(), try item.text())
            }
            let table = Dictionary(names, uniquingKeysWith: { first, _ in first })
            for place in members.indices { members[place].publicName = table[members[place].host] }
        }
        if var field = fields[8] {
            disputed = try field.list(atMost: BlockReader.rowLimit) { (item) throws(BlockWireFault) in
                BlockID(
                    subnet: try item.count(atMost: BlockAllocator.subnetLimit - 1),
                    number: try item.count(atMost: BlockLayout.limit - 1))
            }
        }
    }

    init(host: HostID, life: UInt32, layouts: UInt64, isFresh: Bool) {
        self.host = host
        self.life = life
        self.layouts = layouts
        mayClaim = isFresh
        isRecovered = isFresh
        isDraining = false
    }
}
