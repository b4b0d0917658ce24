internal import NetworkTypes

extension IPTablesPlan {
    /// The first of an owner's rules that is not there as it should be; nil when all are.
    public func missing(_ rules: [FilterRule], of owner: FilterOwner) throws(NetfilterError) -> String? {
        var fresh = IPTablesPlan(family, present: present)
        for rule in rules {
            switch rule {
            case .portForward(let forward):
                if let missing = missing(forward, owner) { return missing }
                if forward.address(family) != nil, !forward.mappings(family).isEmpty {
                    fresh.ensureHostPortChains(forward)
                }
            case .masquerade(let masquerade):
                if let missing = missing(masquerade, owner) { return missing }
            case .firewall, .antiSpoof: try fresh.add([rule], for: owner)
            }
        }
        return fresh.script.isEmpty
            ? nil : "chains or rules: \(fresh.script.text.split(separator: "\n").joined(separator: "; "))"
    }

    private func missing(_ forward: PortForward, _ owner: FilterOwner) -> String? {
        let mappings = forward.mappings(family)
        guard let address = forward.address(family), !mappings.isEmpty else { return nil }
        let entries = present.rules("nat", IPTablesNames.hostPorts).filter { $0.target == owner.portChain }
        let expected = entryRules(forward, owner)
        let hasConditions = !forward.conditions(family).isEmpty
        // Conditions are the user's own words, which may be saved in others.
        let areThere =
            entries.count == expected.count
            && expected.allSatisfy { wanted in
                hasConditions || entries.contains { $0.means(wanted) }
            }
        if !areThere { return "rules in chain \(IPTablesNames.hostPorts)" }
        if hasConditions {
            var plain = forward
            plain.dropConditions()
            for wanted in entryRules(plain, owner).map(\.meaning) {
                let isThere = entries.contains { $0.meaning.isSuperset(of: wanted) && $0.meaning.count > wanted.count }
                if !isThere { return "rules in chain \(IPTablesNames.hostPorts)" }
            }
        }
        let own = present.rules("nat", owner.portChain)
        let wanted = Self.portRules(mappings, to: address, forward)
        let isAsWanted = own.count == wanted.count && zip(own, wanted).allSatisfy { $0.means($1) }
        return isAsWanted ? nil : "rules in \(owner.portChain)"
    }

    private func missing(_ masquerade: Masquerade, _ owner: FilterOwner) -> String? {
        let addresses = masquerade.addresses.filter { $0.family == family }
        if addresses.isEmpty { return nil }
        let chain = owner.masqueradeChain
        // The chain may be shared with another attachment of the container, whose networks are let go, too.
        let found = present.rules("nat", chain).map(\.deed)
        let wanted = masqueradeRules(masquerade, owner).map(\.deed)
        let others = found.filter { !wanted.contains($0) }
        let letGo = others.allSatisfy {
            $0.count == 2 && $0.contains(["-j", "ACCEPT"]) && $0.contains { $0[0] == "-d" }
        }
        guard found.last == wanted.last, letGo, wanted.allSatisfy(found.contains) else {
            return "masquerade in chain \(chain)"
        }
        for address in addresses {
            let source = "\(IPPrefix(host: address.address))"
            let jump: Set<[String]> = [["-s", source], ["-j", chain]]
            if !present.rules("nat", "POSTROUTING").contains(where: { $0.deed == jump }) {
                return "jump from POSTROUTING for \(source) to \(chain)"
            }
        }
        return nil
    }
}

extension PortForward {
    /// Takes the further conditions away.
    fileprivate mutating func dropConditions() {
        self = PortForward(
            mappings, to: addresses, sourceRewrite: sourceRewrite, markBit: markBit,
            externalSetMarkChain: externalSetMarkChain)
    }
}
