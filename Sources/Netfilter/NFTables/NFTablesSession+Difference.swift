extension NFTablesSession {
    /// What a table should have: the table's chains, rules and sets, and what is not looked at in them.
    public struct Expectation: Sendable {
        /// The table.
        public var table: Table
        /// Chains that have to be there, whatever rules are in them.
        public var openChains: Set<String>
        /// Whether the sets have to have just these elements; else elements are not looked at.
        public var comparesElements: Bool

        /// Describes what should be there.
        public init(_ table: Table, openChains: Set<String> = [], comparesElements: Bool = false) {
            self.table = table
            self.openChains = openChains
            self.comparesElements = comparesElements
        }
    }

    /// What brings a table to what it should be; empty when it is. What is in the table besides is left alone.
    ///
    /// - Throws: ``NetfilterError/conflict(subject:owner:)`` for a chain of that name with another hook, or a set with other
    ///   types.
    public func difference(to expected: Expectation) throws(NetfilterError) -> [TableCommand] {
        let wanted = expected.table
        let identifier = wanted.identifier
        guard try tables().contains(identifier) else {
            var fresh = wanted
            for index in fresh.chains.indices where expected.openChains.contains(fresh.chains[index].name) {
                fresh.chains[index].rules = []
            }
            return TableCommand.commands(for: fresh, isNew: true)
        }
        let chains = try chains(of: identifier)
        let rules = try rules(of: identifier)
        let sets = try sets(of: identifier)
        var commands: [TableCommand] = []
        var additions: [TableCommand] = []
        for chain in wanted.chains {
            let isOpen = expected.openChains.contains(chain.name)
            if let found = chains.first(where: { $0.name == chain.name }) {
                guard found.hook == chain.hook else {
                    throw .conflict(subject: "chain \(identifier) \(chain.name)", owner: "another hook")
                }
                let present = rules.filter { $0.chain == chain.name }
                if isOpen || present.map(\.rule) == chain.rules { continue }
                if !present.isEmpty { commands.append(.flushChain(identifier, chain.name)) }
            } else {
                commands.append(.addChain(identifier, chain, isNew: true))
            }
            if !isOpen { additions += chain.rules.map { .addRule(identifier, chain: chain.name, $0) } }
        }
        for set in wanted.sets {
            commands += try difference(to: set, in: identifier, among: sets, expected.comparesElements)
        }
        return commands + additions
    }

    private func difference(
        to set: ElementSet, in table: Table.Identifier, among sets: [ElementSet], _ comparesElements: Bool
    ) throws(NetfilterError) -> [TableCommand] {
        var commands: [TableCommand] = []
        var present: [Element] = []
        if let found = sets.first(where: { $0.name == set.name }) {
            guard found.key == set.key, found.value == set.value else {
                throw .conflict(subject: "set \(table) \(set.name)", owner: "another type")
            }
            if comparesElements { present = try elements(of: set, in: table) }
        } else {
            commands.append(.addSet(table, set))
        }
        let strangers = present.filter { !set.elements.contains($0) }
        let missing = set.elements.filter { !present.contains($0) }
        if !strangers.isEmpty { commands.append(.removeElements(table, set: set.name, strangers)) }
        if !missing.isEmpty { commands.append(.addElements(table, set: set.name, missing, isNew: true)) }
        return commands
    }
}
