extension IPTablesPlan {
    static let adminComment = "CNI firewall plugin admin overrides"
    private static let isolationEntry = IPTablesRule(
        ["-m", "comment", "--comment", "CNI firewall plugin rules", "-j", IPTablesNames.isolation1])

    mutating func isolate(
        _ bridge: String, _ ingress: Firewall.Ingress, admitsPublished: Bool = false, _ networkTag: String
    ) {
        let (first, second) = (IPTablesNames.isolation1, IPTablesNames.isolation2)
        let comment = ["-m", "comment", "--comment"]
        let about = Self.isolationComment(ingress, networkTag)
        let back = IPTablesRule(comment + ["CNI firewall plugin rules", "-j", "RETURN"])
        for chain in [first, second] {
            ensure("filter", chain)
            append("filter", chain, back)
        }
        ensure("filter", "FORWARD", Self.isolationEntry) { $0.target == IPTablesNames.forward || $0.isFinal }
        let leave = IPTablesRule(["-i", bridge, "!", "-o", bridge] + comment + [about, "-j", second])
        ensure("filter", first, leave, before: \.isFinal)
        if ingress == .isolated {
            let untranslated = admitsPublished ? ["-m", "conntrack", "!", "--ctstate", "DNAT"] : []
            let within = IPTablesRule(["-i", bridge, "-o", bridge] + untranslated + comment + [about, "-j", "DROP"])
            ensure("filter", first, within, before: \.isFinal)
        }
        let enter = IPTablesRule(["-o", bridge] + comment + [about, "-j", "DROP"])
        ensure("filter", second, enter, before: \.isFinal)
    }

    /// The comment of a bridge's isolation rules: the reference's words, then whose they are.
    static func isolationComment(_ ingress: Firewall.Ingress, _ networkTag: String) -> String {
        "CNI firewall plugin rules (ingressPolicy: \(ingress.rawValue)) \(networkTag)"
    }

    /// Removes the isolation of a network's bridge, which its attachments share.
    mutating func removeIsolation(_ network: String) {
        let suffix = ") " + FilterOwner.networkTag(network)
        for chain in [IPTablesNames.isolation1, IPTablesNames.isolation2] {
            for rule in present.rules("filter", chain) where rule.comment?.hasSuffix(suffix) == true {
                script.delete("filter", chain, rule)
            }
        }
    }

    /// What accepts has just come to the start, where isolation has to be: else it would accept what is to be dropped.
    mutating func keepIsolationFirst() {
        guard let entry = present.rules("filter", "FORWARD").first(where: { $0.means(Self.isolationEntry) }) else {
            return
        }
        script.delete("filter", "FORWARD", entry)
        script.prepend("filter", "FORWARD", Self.isolationEntry)
        added["filter FORWARD", default: []].append(Self.isolationEntry)
    }

    /// Makes a shared chain unless it is there. Returns whether it has to be made.
    @discardableResult
    mutating func ensure(_ table: String, _ chain: String) -> Bool {
        guard !present.has(table, chain), !script.declares(table, chain) else { return false }
        script.create(table, chain)
        return true
    }

    /// Adds a shared rule at the end unless one like it is there.
    mutating func append(_ table: String, _ chain: String, _ rule: IPTablesRule) {
        if added["\(table) \(chain)"]?.contains(where: { $0.means(rule) }) == true { return }
        if present.rules(table, chain).contains(where: { $0.means(rule) }) { return }
        added["\(table) \(chain)", default: []].append(rule)
        script.append(table, chain, rule)
    }

    /// Sees to it that a shared rule comes before certain others: puts it at the start when it is not there, or behind one
    /// of them. Other rules in front of it stay in front.
    ///
    /// - Returns: whether it has come to the start.
    @discardableResult
    mutating func ensure(
        _ table: String, _ chain: String, _ rule: IPTablesRule, before isBehind: (IPTablesRule) -> Bool
    ) -> Bool {
        let key = "\(table) \(chain)"
        if added[key]?.contains(where: { $0.means(rule) }) == true { return false }
        let rules = present.rules(table, chain)
        if let index = rules.firstIndex(where: { $0.means(rule) }) {
            guard rules[..<index].contains(where: isBehind) else { return false }
            script.delete(table, chain, rules[index])
        }
        added[key, default: []].append(rule)
        script.prepend(table, chain, rule)
        return true
    }
}

extension IPTablesRule {
    /// Whether it ends a packet's way through the chain, whatever the packet: nothing behind it is ever asked.
    var isFinal: Bool {
        var words = words[...]
        if words.starts(with: ["-m", "comment", "--comment"]) { words = words.dropFirst(4) }
        guard let option = words.first, let target = words.dropFirst().first else { return false }
        return option == "-g" || (option == "-j" && ["ACCEPT", "DROP", "REJECT", "RETURN"].contains(target))
    }

    /// Whether it leads to a container's masquerade: `CNI-` and 24 hexadecimal digits.
    var isMasqueradeJump: Bool {
        guard let target, target.hasPrefix("CNI-"), target.utf8.count == 28 else { return false }
        return target.dropFirst(4).allSatisfy(\.isHexDigit)
    }
}
