public import System

/// The nftables back end: one nf_tables transaction for each call, no other process.
///
/// Adding tries first what nearly always holds, that the base is there and the keys are free; only when they are not it
/// reads. Removing reads the sets and removes, if anything, in one transaction that the kernel refuses should the ruleset
/// have changed since; then it is read again.
public final class NFTables: PacketFilter {
    /// "nftables".
    public let name = "nftables"
    private let session: NFTablesSession

    /// The back end of the calling thread's namespace.
    public init() throws(NetfilterError) { session = try NFTablesSession() }

    /// The back end of the namespace `session` is in.
    public init(session: NFTablesSession) { self.session = session }

    /// The back end of `namespace`.
    public init(in namespace: borrowing NetworkNamespace) throws(NetfilterError) {
        session = try NFTablesSession(in: namespace)
    }

    // MARK: Adding

    /// Adds an owner's rules. Equivalent: `nft add element inet swiftlet …`.
    public func add(_ rules: [FilterRule], for owner: FilterOwner) throws(NetfilterError) {
        let wanted = try Entries(rules, for: owner)
        guard !wanted.entries.isEmpty else { return }
        // A chain of the owner's own cannot be told by its name to be right, so it is always looked at.
        let mayFit = !wanted.chains.contains { $0.name == Entries.ownerChain(owner) }
        if mayFit, try addsAtOnce(wanted) { return }
        var isFirst = true
        try session.change { () throws(NetfilterError) in
            // Who was faster may have made what was missing.
            if !isFirst, mayFit, try addsAtOnce(wanted) { return [] }
            isFirst = false
            return try commands(for: wanted, owner)
        }
    }

    private func addsAtOnce(_ wanted: Entries) throws(NetfilterError) -> Bool {
        guard try hasBase(of: wanted) else { return false }
        return try addFreeKeys(wanted.entries)
    }

    /// Whether the chains that the entries' packets pass are there with their rules, and those that entries lead to.
    ///
    /// A few questions that wait for nobody. To try and be refused instead costs everybody an RCU grace period: the kernel
    /// takes a transaction back with its lock held, and whoever makes or removes a link waits for that lock, too. Rules are
    /// counted and not read: what empties chains and leaves them (`nft flush table`) is found; CHECK compares all.
    private func hasBase(of wanted: Entries) throws(NetfilterError) -> Bool {
        for (table, chain) in wanted.passedChains {
            guard let uses = try session.uses(ofChain: chain, in: table), uses >= BaseLayout.uses(of: chain, in: table)
            else { return false }
        }
        for chain in wanted.chains {
            guard try session.ruleCount(ofChain: chain.name, in: BaseLayout.inet) >= chain.rules.count else {
                return false
            }
        }
        return true
    }

    /// Adds the entries as they are; false when something is missing or in the way after all.
    private func addFreeKeys(_ entries: [Entries.Entry]) throws(NetfilterError) -> Bool {
        do {
            try session.commit(Self.additions(entries))
            return true
        } catch {
            guard let errno = error.errno, Self.isExpected(errno) else { throw error }
            return false
        }
    }

    /// Whether a refusal can be because something is missing or in the way.
    private static func isExpected(_ errno: Errno) -> Bool {
        [.noSuchFileOrDirectory, .fileExists, .resourceBusy].contains(errno)
    }

    private static func additions(_ entries: [Entries.Entry]) -> [TableCommand] {
        entries.map { .addElements($0.table, set: $0.set.name, [$0.element], isNew: $0.clash != .share) }
    }

    /// What has to be done to have the entries, seen from what is there.
    private func commands(for wanted: Entries, _ owner: FilterOwner) throws(NetfilterError) -> [TableCommand] {
        let present = try session.tables()
        var commands: [TableCommand] = []
        for identifier in wanted.tables { commands += try repairs(identifier, wanted.chains) }
        for var entry in wanted.entries {
            var found = present.contains(entry.table) ? try found(entry) : nil
            if let waiting = entry.waiting(behind: found, owner) {
                entry = waiting
                found = try self.found(entry)
            }
            guard let found else {
                commands.append(.addElements(entry.table, set: entry.set.name, [entry.element], isNew: true))
                continue
            }
            guard try isReplaced(found, by: entry, owner) else { continue }
            commands.append(.removeElements(entry.table, set: entry.set.name, [found]))
            commands.append(.addElements(entry.table, set: entry.set.name, [entry.element], isNew: true))
        }
        return commands
    }

    private func found(_ entry: Entries.Entry) throws(NetfilterError) -> Element? {
        try session.element(entry.element.key, of: entry.set, in: entry.table)
    }

    /// Whether an element must give way to the wanted one, or is as good.
    private func isReplaced(
        _ found: Element, by entry: Entries.Entry, _ owner: FilterOwner
    ) throws(NetfilterError) -> Bool {
        switch entry.clash {
        case .share:
            return entry.element.value != nil && Self.isStrict(entry.element.value) && !Self.isStrict(found.value)
        case .takeOver: return found != entry.element
        case .refuse:
            guard owner.owns(found.comment) else {
                let words = entry.element.key.map(\.nftText).joined(separator: " . ")
                throw .conflict(subject: "host port \(words)", owner: found.comment)
            }
            return found != entry.element
        }
    }

    /// What brings one of our tables back to what it should be; the user's chain is left alone.
    private func repairs(
        _ identifier: Table.Identifier, _ chains: [Chain]
    ) throws(NetfilterError) -> [TableCommand] {
        var base = BaseLayout.table(identifier)
        if identifier == BaseLayout.inet { base.chains += chains }
        return try session.difference(to: .init(base, openChains: [BaseLayout.adminChain]))
    }

    /// Of several policies for one bridge the one that keeps containers apart counts; one that lets published ports in is
    /// as good as one that lets nothing in.
    private static func isStrict(_ value: Element.Value?) -> Bool { value != .verdict(.return) }

    // MARK: Removing

    /// Removes an owner's entries. Equivalent: `nft delete element …` for each.
    public func remove(_ parts: FilterParts, of owner: FilterOwner) throws(NetfilterError) {
        try session.change { () throws(NetfilterError) in
            let tables = try session.tables()
            var commands: [TableCommand] = []
            for place in BaseLayout.places(parts) where tables.contains(place.table) {
                let own = try elements(of: place, tag: owner.tag)
                if !own.isEmpty { commands.append(.removeElements(place.table, set: place.set.name, own)) }
            }
            guard !commands.isEmpty else { return [] }
            commands += try successions(commands).commands
            if parts.contains(.portForward), commands.contains(where: { Self.leads($0, to: Entries.ownerChain(owner)) })
            {
                commands.append(.removeChain(BaseLayout.inet, Entries.ownerChain(owner)))
            }
            return commands
        }
    }

    /// Makes an owner's forwarded ports exactly those given; who waits for one of the others gets it.
    public func replacePorts(of owner: FilterOwner, by forward: PortForward) throws(NetfilterError) {
        let wanted = try Entries([.portForward(forward)], for: owner)
        try session.change { () throws(NetfilterError) in
            let tables = try session.tables()
            var removals: [TableCommand] = []
            for place in BaseLayout.places(.portForward) where tables.contains(place.table) {
                let old = try elements(of: place, tag: owner.tag).filter { !wanted.mayHave($0.key, in: place) }
                if !old.isEmpty { removals.append(.removeElements(place.table, set: place.set.name, old)) }
            }
            return try commands(for: wanted, owner) + removals + successions(removals).commands
        }
    }

    /// Removes what a network's missing owners left.
    public func collect(
        _ parts: FilterParts, network: String, keeping owners: [FilterOwner]
    ) throws(NetfilterError) {
        let tags = Set(owners.map(\.tag))
        let prefix = FilterOwner.networkTag(network)
        try session.change { () throws(NetfilterError) in
            var (commands, kept) = try removals(parts) { element in
                guard let comment = element.comment, comment.hasPrefix(prefix + "-") else { return false }
                return !tags.contains(String(comment.prefix { $0 != " " }))
            }
            if parts.contains(.firewall), owners.isEmpty {
                for place in [BaseLayout.bridges, BaseLayout.bridgePairs] {
                    let shared = try elements(of: place).filter { $0.comment?.hasPrefix(prefix + " ") == true }
                    if !shared.isEmpty {
                        commands.append(.removeElements(place.table, set: place.set.name, shared))
                    }
                }
            }
            let successions = try successions(commands)
            commands += successions.commands
            kept += successions.elements
            kept += try elements(of: BaseLayout.bridgePairs).filter { pair in
                !owners.isEmpty || !parts.contains(.firewall) || pair.comment?.hasPrefix(prefix + " ") != true
            }
            // Chains nothing leads to any more.
            kept += try removals(FilterParts.all.subtracting(parts)) { _ in false }.kept
            let used = Set(kept.compactMap(\.chain))
            for chain in try session.chains(of: BaseLayout.inet)
            where chain.comment?.hasPrefix(prefix) == true && chain.hook == nil && !used.contains(chain.name) {
                commands.append(.removeChain(BaseLayout.inet, chain.name))
            }
            return commands
        }
    }

    private static func leads(_ command: TableCommand, to chain: String) -> Bool {
        guard case .removeElements(_, _, let elements, _) = command else { return false }
        return elements.contains { $0.chain == chain }
    }

    private func removals(
        _ parts: FilterParts, _ isMeant: (Element) -> Bool
    ) throws(NetfilterError) -> (commands: [TableCommand], kept: [Element]) {
        var commands: [TableCommand] = []
        var kept: [Element] = []
        for place in BaseLayout.places(parts) {
            let all = try elements(of: place)
            let meant = all.filter(isMeant)
            kept += all.filter { !isMeant($0) }
            if !meant.isEmpty { commands.append(.removeElements(place.table, set: place.set.name, meant)) }
        }
        return (commands, kept)
    }

    /// The elements of a set; none when it is not there.
    func elements(of place: BaseLayout.Place, tag: String? = nil) throws(NetfilterError) -> [Element] {
        do {
            return try session.elements(of: place.set, in: place.table, tag: tag)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return [] }
            throw error
        }
    }

    // MARK: Checking

    /// Makes sure that an owner's rules are there, that their chains and the base are as they should be.
    public func check(_ rules: [FilterRule], of owner: FilterOwner) throws(NetfilterError) {
        let wanted = try Entries(rules, for: owner)
        let present = try session.tables()
        for identifier in wanted.tables {
            guard present.contains(identifier) else { throw .missing("table \(identifier)") }
            if let repair = try repairs(identifier, wanted.chains).first {
                throw .missing("in the packet filter: \(repair.subject)")
            }
        }
        for var entry in wanted.entries {
            var found = try found(entry)
            if let waiting = entry.waiting(behind: found, owner) {
                entry = waiting
                found = try self.found(entry)
            }
            guard let found, try !isReplaced(found, by: entry, owner) else {
                throw .missing("element \(entry.table) \(entry.set.name) { \(entry.element.nftText) }")
            }
        }
    }
}
