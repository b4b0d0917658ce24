import NetworkTypes

/// The tags of the fields; numbers are never used again for something else.
private enum Tag {
    static let life: UInt8 = 1
    static let layouts: UInt8 = 2
    static let universe: UInt8 = 3
    static let name: UInt8 = 4
    static let table: UInt8 = 5
    static let voters: UInt8 = 6
    static let wantsReply: UInt8 = 7
    static let isDraining: UInt8 = 8
    static let digests: UInt8 = 9
    static let chunk: UInt8 = 10
    static let wantsNewer: UInt8 = 11
    static let rows: UInt8 = 12
    static let split: UInt8 = 13
    static let ballot: UInt8 = 14
    static let proposal: UInt8 = 15
    static let token: UInt8 = 16
    static let subnet: UInt8 = 17
    static let isUrgent: UInt8 = 18
    static let denial: UInt8 = 19
    static let loan: UInt8 = 20
    static let keeping: UInt8 = 21
    static let lent: UInt8 = 22
    static let held: UInt8 = 23
    static let subjects: UInt8 = 24
    static let alive: UInt8 = 25
    static let isBusy: UInt8 = 26
    static let isInSync: UInt8 = 27
    static let away: UInt8 = 28
    static let hasLostMemory: UInt8 = 29
    static let takesAddress: UInt8 = 30
}

private enum Kind: UInt8 {
    case hello = 1
    case digests, rows, universeWanted, universe, prepare, promise, accept, accepted, behind, ask, deny, borrow, lend
    case keep, loans, giveBack, fence, vote, gone
}

extension BlockMessage {
    /// The first byte of every message. A later one may add kinds and fields without changing it.
    static let version: UInt8 = 1
    /// How many loans or hosts a list has at most; more are sent in several messages.
    static let listLimit = 1024

    /// The bytes: version, kind, fields.
    func encoded() -> [UInt8] {
        var writer = BlockWriter()
        writer.bytes = [Self.version, kind.rawValue]
        writer.field(Tag.life) { $0.number(life) }
        writer.field(Tag.layouts) { $0.fixed(layouts) }
        if universe != 0 { writer.field(Tag.universe) { $0.fixed(universe) } }
        body.write(to: &writer)
        return writer.bytes
    }

    private var kind: Kind {
        switch body {
        case .hello: .hello
        case .digests: .digests
        case .rows: .rows
        case .universeWanted: .universeWanted
        case .universe: .universe
        case .prepare: .prepare
        case .promise: .promise
        case .accept: .accept
        case .accepted: .accepted
        case .behind: .behind
        case .ask: .ask
        case .deny: .deny
        case .borrow: .borrow
        case .lend: .lend
        case .keep: .keep
        case .loans: .loans
        case .giveBack: .giveBack
        case .fence: .fence
        case .vote: .vote
        case .gone: .gone
        }
    }

    init(_ bytes: [UInt8]) throws(BlockWireFault) {
        guard bytes.count <= Self.limit else { throw .tooLarge }
        var reader = BlockReader(bytes)
        guard try reader.byte() == Self.version, let kind = Kind(rawValue: try reader.byte()) else {
            throw .unknownKind
        }
        var fields = Fields(try reader.fields())
        life = try fields.required(Tag.life) { (item) throws(BlockWireFault) in try item.number32() }
        layouts = try fields.required(Tag.layouts) { (item) throws(BlockWireFault) in try item.fixed() }
        universe = try fields.optional(Tag.universe) { (item) throws(BlockWireFault) in try item.fixed() } ?? 0
        guard life != 0 else { throw .badValue }
        body = try Body(kind, &fields)
    }
}

/// The fields of one message by tag.
private struct Fields {
    var fields: [UInt8: BlockReader]

    init(_ fields: [UInt8: BlockReader]) { self.fields = fields }

    mutating func optional<Value>(
        _ tag: UInt8, _ body: (inout BlockReader) throws(BlockWireFault) -> Value
    ) throws(BlockWireFault) -> Value? {
        guard var reader = fields[tag] else { return nil }
        return try body(&reader)
    }

    mutating func required<Value>(
        _ tag: UInt8, _ body: (inout BlockReader) throws(BlockWireFault) -> Value
    ) throws(BlockWireFault) -> Value {
        guard let value = try optional(tag, body) else { throw .missing }
        return value
    }

    mutating func flag(_ tag: UInt8) throws(BlockWireFault) -> Bool {
        try optional(tag) { (item) throws(BlockWireFault) in try item.flag() } ?? false
    }

    mutating func fixed(_ tag: UInt8) throws(BlockWireFault) -> UInt64 {
        try required(tag) { (item) throws(BlockWireFault) in try item.fixed() }
    }

    mutating func hosts(_ tag: UInt8) throws(BlockWireFault) -> [HostID] {
        try optional(tag) { (item) throws(BlockWireFault) in
            try item.list(atMost: BlockMessage.listLimit) { (item) throws(BlockWireFault) in try item.host() }
        } ?? []
    }

    mutating func loans(_ tag: UInt8) throws(BlockWireFault) -> [BlockMessage.Loan] {
        try optional(tag) { (item) throws(BlockWireFault) in
            try item.list(atMost: BlockMessage.listLimit) { (item) throws(BlockWireFault) in try item.loan() }
        } ?? []
    }

    mutating func loan() throws(BlockWireFault) -> BlockMessage.Loan {
        try required(Tag.loan) { (item) throws(BlockWireFault) in try item.loan() }
    }

    mutating func ballot() throws(BlockWireFault) -> BlockMessage.Ballot {
        try required(Tag.ballot) { (item) throws(BlockWireFault) in try item.ballot() }
    }

    mutating func proposal() throws(BlockWireFault) -> BlockMessage.Proposal? {
        try optional(Tag.proposal) { (item) throws(BlockWireFault) in try item.proposal() }
    }

    mutating func digests() throws(BlockWireFault) -> [[UInt64]] {
        try required(Tag.digests) { (item) throws(BlockWireFault) in
            try item.list(atMost: BlockAllocator.subnetLimit) { (item) throws(BlockWireFault) in
                try item.list(atMost: BlockLayout.limit / BlockRing.chunk) { (item) throws(BlockWireFault) in
                    try item.fixed()
                }
            }
        }
    }
}

extension BlockWriter {
    mutating func ballot(_ ballot: BlockMessage.Ballot) {
        number(ballot.round)
        host(ballot.host)
    }

    mutating func proposal(_ proposal: BlockMessage.Proposal) {
        ballot(proposal.ballot)
        proposal.universe.write(to: &self)
    }

    mutating func loan(_ loan: BlockMessage.Loan) {
        bytes.append(loan.address.family == .ipv4 ? 4 : 6)
        bytes += loan.address.bytes
        fixed(loan.number)
    }

    fileprivate mutating func digests(_ digests: [[UInt64]]) {
        field(Tag.digests) { $0.list(digests) { $0.list($1) { $0.fixed($1) } } }
    }

    fileprivate mutating func hosts(_ tag: UInt8, _ hosts: [HostID]) {
        if !hosts.isEmpty { field(tag) { $0.list(hosts) { $0.host($1) } } }
    }

    fileprivate mutating func loans(_ tag: UInt8, _ loans: [BlockMessage.Loan]) {
        if !loans.isEmpty { field(tag) { $0.list(loans) { $0.loan($1) } } }
    }

    fileprivate mutating func flag(_ tag: UInt8, _ value: Bool) {
        if value { field(tag) { $0.flag(true) } }
    }
}

extension BlockReader {
    mutating func ballot() throws(BlockWireFault) -> BlockMessage.Ballot {
        BlockMessage.Ballot(round: try number32(), host: try host())
    }

    mutating func proposal() throws(BlockWireFault) -> BlockMessage.Proposal {
        BlockMessage.Proposal(ballot: try ballot(), universe: try BlockUniverse(from: &self))
    }

    mutating func loan() throws(BlockWireFault) -> BlockMessage.Loan {
        let address: IPAddress?
        switch try byte() {
        case 4: address = IPAddress(bytes: try bytes(4))
        case 6: address = IPAddress(bytes: try bytes(16))
        default: throw .badValue
        }
        guard let address else { throw .badValue }
        return BlockMessage.Loan(address: address, number: try fixed())
    }
}

extension BlockMessage.Body {
    fileprivate func write(to writer: inout BlockWriter) {
        switch self {
        case .hello(let hello):
            writer.field(Tag.name) { $0.text(hello.name) }
            writer.field(Tag.table) { $0.fixed(hello.table) }
            writer.field(Tag.voters) { $0.fixed(hello.voters) }
            writer.flag(Tag.wantsReply, hello.wantsReply)
            writer.flag(Tag.isDraining, hello.isDraining)
            writer.flag(Tag.hasLostMemory, hello.hasLostMemory)
        case .digests(let digests): writer.digests(digests)
        case .rows(let rows):
            if let chunk = rows.chunk {
                writer.field(Tag.chunk) {
                    $0.count(chunk.subnet)
                    $0.count(chunk.number)
                }
            }
            writer.flag(Tag.wantsNewer, rows.wantsNewer)
            writer.field(Tag.rows) { $0.rows(rows.rows) }
        case .universeWanted: break
        case .universe(let universe, let voters):
            writer.field(Tag.voters) { $0.fixed(voters) }
            writer.field(Tag.split) { universe.write(to: &$0) }
        case .prepare(let ballot, let voters), .accepted(let ballot, let voters), .behind(let ballot, let voters):
            writer.field(Tag.voters) { $0.fixed(voters) }
            writer.field(Tag.ballot) { $0.ballot(ballot) }
        case .promise(let ballot, let voters, let accepted):
            writer.field(Tag.voters) { $0.fixed(voters) }
            writer.field(Tag.ballot) { $0.ballot(ballot) }
            if let accepted { writer.field(Tag.proposal) { $0.proposal(accepted) } }
        case .accept(let proposal, let voters):
            writer.field(Tag.voters) { $0.fixed(voters) }
            writer.field(Tag.proposal) { $0.proposal(proposal) }
        default: writeRequest(to: &writer)
        }
    }

    private func writeRequest(to writer: inout BlockWriter) {
        switch self {
        case .ask(let token, let subnet, let isUrgent, let takesAddress):
            writer.flag(Tag.takesAddress, takesAddress)
            writer.field(Tag.token) { $0.fixed(token) }
            writer.field(Tag.subnet) { $0.count(subnet) }
            writer.flag(Tag.isUrgent, isUrgent)
        case .deny(let token, let denial):
            writer.field(Tag.token) { $0.fixed(token) }
            writer.field(Tag.denial) { $0.bytes.append(denial.rawValue) }
        case .borrow(let loan), .lend(let loan): writer.field(Tag.loan) { $0.loan(loan) }
        case .keep(let loan, let keeping):
            writer.field(Tag.loan) { $0.loan(loan) }
            writer.field(Tag.keeping) { $0.bytes.append(keeping.rawValue) }
        case .loans(let lent, let held):
            writer.loans(Tag.lent, lent)
            writer.loans(Tag.held, held)
        case .giveBack(let loans): writer.loans(Tag.held, loans)
        case .fence(let fence):
            writer.field(Tag.token) { $0.fixed(fence.number) }
            writer.hosts(Tag.subjects, fence.subjects)
            writer.digests(fence.digests)
        case .vote(let vote):
            writer.field(Tag.token) { $0.fixed(vote.number) }
            writer.hosts(Tag.alive, vote.alive.map { [$0] } ?? [])
            writer.flag(Tag.isBusy, vote.isBusy)
            writer.flag(Tag.isInSync, vote.isInSync)
            writer.hosts(Tag.away, vote.away)
            writer.loans(Tag.held, vote.held)
        case .gone(let hosts): writer.hosts(Tag.subjects, hosts)
        default: break
        }
    }

    fileprivate init(_ kind: Kind, _ fields: inout Fields) throws(BlockWireFault) {
        switch kind {
        case .hello:
            self = .hello(
                BlockMessage.Hello(
                    name: try fields.required(Tag.name) { (item) throws(BlockWireFault) in try item.text() },
                    table: try fields.fixed(Tag.table), voters: try fields.fixed(Tag.voters),
                    wantsReply: try fields.flag(Tag.wantsReply), isDraining: try fields.flag(Tag.isDraining),
                    hasLostMemory: try fields.flag(Tag.hasLostMemory)))
        case .digests: self = .digests(try fields.digests())
        case .rows:
            let chunk = try fields.optional(Tag.chunk) { (item) throws(BlockWireFault) in
                ChunkID(
                    subnet: try item.count(atMost: BlockAllocator.subnetLimit - 1),
                    number: try item.count(atMost: BlockLayout.limit / BlockRing.chunk - 1))
            }
            self = .rows(
                BlockMessage.Rows(
                    chunk: chunk, wantsNewer: try fields.flag(Tag.wantsNewer),
                    rows: try fields.required(Tag.rows) { (item) throws(BlockWireFault) in try item.rows() }))
        case .universeWanted: self = .universeWanted
        case .universe:
            let universe = try fields.required(Tag.split) { (item) throws(BlockWireFault) in
                try BlockUniverse(from: &item)
            }
            self = .universe(universe, voters: try fields.fixed(Tag.voters))
        case .prepare: self = .prepare(try fields.ballot(), voters: try fields.fixed(Tag.voters))
        case .promise:
            self = .promise(
                try fields.ballot(), voters: try fields.fixed(Tag.voters), accepted: try fields.proposal())
        case .accept:
            guard let proposal = try fields.proposal() else { throw .missing }
            self = .accept(proposal, voters: try fields.fixed(Tag.voters))
        case .accepted: self = .accepted(try fields.ballot(), voters: try fields.fixed(Tag.voters))
        case .behind: self = .behind(try fields.ballot(), voters: try fields.fixed(Tag.voters))
        default: self = try Self.request(kind, &fields)
        }
    }

    private static func request(_ kind: Kind, _ fields: inout Fields) throws(BlockWireFault) -> Self {
        switch kind {
        case .ask:
            let subnet = try fields.required(Tag.subnet) { (item) throws(BlockWireFault) in
                try item.count(atMost: BlockAllocator.subnetLimit - 1)
            }
            return .ask(
                token: try fields.fixed(Tag.token), subnet: subnet, isUrgent: try fields.flag(Tag.isUrgent),
                takesAddress: try fields.flag(Tag.takesAddress))
        case .deny:
            let denial = try fields.required(Tag.denial) { (item) throws(BlockWireFault) in try item.byte() }
            guard let denial = BlockMessage.Denial(rawValue: denial) else { throw .badValue }
            return .deny(token: try fields.fixed(Tag.token), denial)
        case .borrow: return .borrow(try fields.loan())
        case .lend: return .lend(try fields.loan())
        case .keep:
            let keeping = try fields.required(Tag.keeping) { (item) throws(BlockWireFault) in try item.byte() }
            guard let keeping = BlockMessage.Keeping(rawValue: keeping) else { throw .badValue }
            return .keep(try fields.loan(), keeping)
        case .loans: return .loans(lent: try fields.loans(Tag.lent), held: try fields.loans(Tag.held))
        case .giveBack: return .giveBack(try fields.loans(Tag.held))
        case .fence:
            return .fence(
                BlockMessage.Fence(
                    number: try fields.fixed(Tag.token), subjects: try fields.hosts(Tag.subjects),
                    digests: try fields.digests()))
        case .vote:
            return .vote(
                BlockMessage.Vote(
                    number: try fields.fixed(Tag.token), alive: try fields.hosts(Tag.alive).first,
                    isBusy: try fields.flag(Tag.isBusy), isInSync: try fields.flag(Tag.isInSync),
                    away: try fields.hosts(Tag.away), held: try fields.loans(Tag.held)))
        case .gone: return .gone(try fields.hosts(Tag.subjects))
        default: throw .unknownKind
        }
    }
}
