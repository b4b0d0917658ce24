public import NetworkTypes

/// Works out for one family what `iptables-restore` is to do, from what `iptables-save` showed.
public struct IPTablesPlan {
    let family: AddressFamily
    let present: IPTablesDump
    /// What is to be done.
    public internal(set) var script = IPTablesScript()
    var added: [String: [IPTablesRule]] = [:]

    /// Plans from what is there.
    public init(_ family: AddressFamily, present: IPTablesDump) {
        self.family = family
        self.present = present
    }

    // MARK: Adding

    /// Adds an owner's rules.
    public mutating func add(_ rules: [FilterRule], for owner: FilterOwner) throws(NetfilterError) {
        for rule in rules {
            switch rule {
            case .masquerade(let masquerade): add(masquerade, owner)
            case .portForward(let forward): try add(forward, owner)
            case .firewall(let firewall): try add(firewall, owner)
            case .antiSpoof: throw .unsupported("a bound MAC address needs the nftables back end")
            }
        }
    }

    private mutating func add(_ masquerade: Masquerade, _ owner: FilterOwner) {
        let addresses = masquerade.addresses.filter { $0.family == family }
        guard !addresses.isEmpty else { return }
        let chain = owner.masqueradeChain
        let comment = ["-m", "comment", "--comment", owner.masqueradeComment]
        let rules = masqueradeRules(masquerade, owner)
        // Another attachment of the container may be using the chain.
        let isShared = present.rules("nat", "POSTROUTING").contains {
            $0.target == chain && $0.comment != owner.masqueradeComment
        }
        if isShared, present.has("nat", chain) {
            let found = present.rules("nat", chain).map(\.deed)
            // What is let go as it is comes before what rewrites the rest.
            for rule in rules.dropLast() where !found.contains(rule.deed) { script.prepend("nat", chain, rule) }
            if let rest = rules.last, !found.contains(rest.deed) { script.append("nat", chain, rest) }
        } else {
            script.declare("nat", chain)
            for rule in rules { script.append("nat", chain, rule) }
        }
        for address in addresses {
            let source = "\(IPPrefix(host: address.address))"
            let isThere = present.rules("nat", "POSTROUTING").contains {
                $0.target == chain && $0.value("-s") == source && $0.comment == owner.masqueradeComment
            }
            if !isThere {
                script.append("nat", "POSTROUTING", IPTablesRule(["-s", source] + comment + ["-j", chain]))
            }
        }
    }

    /// The rules of a container's masquerade chain; the last rewrites what those before it have not let go.
    func masqueradeRules(_ masquerade: Masquerade, _ owner: FilterOwner) -> [IPTablesRule] {
        let comment = ["-m", "comment", "--comment", owner.masqueradeComment]
        let own = (masquerade.addresses + masquerade.exempt).filter { $0.family == family }.map(\.network)
        let source = masquerade.source.flatMap { $0.family == family ? $0 : nil }
        let target = source.map { ["-j", "SNAT", "--to-source", "\($0)"] } ?? ["-j", "MASQUERADE"]
        return own.map { IPTablesRule(["-d", "\($0)"] + comment + ["-j", "ACCEPT"]) }
            + [IPTablesRule(["!", "-d", "\(Entries.multicast(family))"] + comment + target)]
    }

    /// The first of the mappings that leads to another container already.
    private func conflict(_ mappings: [PortMapping], _ owner: FilterOwner) -> NetfilterError? {
        for jump in present.rules("nat", IPTablesNames.hostPorts) {
            // The container's name is in the comment: 'dnat name: "N" id: "C"'.
            guard let chain = jump.target, chain != owner.portChain, let holder = jump.comment,
                !holder.hasSuffix("id: \"\(owner.containerID)\"")
            else { continue }
            for rule in present.rules("nat", chain) where rule.target == "DNAT" {
                let host = rule.value("-d").flatMap { IPPrefix($0)?.address ?? IPAddress($0) }
                for mapping in mappings
                where rule.value("-p") == "\(mapping.transport)" && rule.value("--dport") == "\(mapping.hostPort)"
                    && (host == nil || mapping.certainAddress == nil || host == mapping.certainAddress)
                {
                    return .conflict(subject: "host port \(mapping.transport) . \(mapping.hostPort)", owner: holder)
                }
            }
        }
        return nil
    }

    private mutating func add(_ forward: PortForward, _ owner: FilterOwner) throws(NetfilterError) {
        let mappings = forward.mappings(family)
        guard let address = forward.address(family), !mappings.isEmpty else { return }
        if let conflict = conflict(mappings, owner) { throw conflict }
        // The chain's name, which is the reference's, has no interface in it.
        let targets = present.rules("nat", owner.portChain).compactMap { $0.value("--to-destination") }
        if let other = targets.first(where: {
            !$0.hasPrefix("\(address.address):") && !$0.hasPrefix("[\(address.address)]:")
        }) {
            throw .unsupported(
                "back end iptables: another interface of the container has ports on this network already, to \(other); "
                    + "use the nftables back end for several")
        }
        ensureHostPortChains(forward)
        let chain = owner.portChain
        for rule in present.rules("nat", IPTablesNames.hostPorts) where rule.target == chain {
            script.delete("nat", IPTablesNames.hostPorts, rule)
        }
        script.declare("nat", chain)
        for rule in entryRules(forward, owner) { script.append("nat", IPTablesNames.hostPorts, rule) }
        for rule in Self.portRules(mappings, to: address, forward) { script.append("nat", chain, rule) }
    }

    /// The rules that lead to a container's port chain.
    func entryRules(_ forward: PortForward, _ owner: FilterOwner) -> [IPTablesRule] {
        Self.groups(forward.mappings(family)).map { group in
            IPTablesRule(
                ["-m", "comment", "--comment", owner.portComment, "-m", "multiport", "-p", "\(group.transport)"]
                    + ["--destination-ports", group.ports.map { "\($0)" }.joined(separator: ",")]
                    + forward.conditions(family).flatMap { IPTablesDump.words($0) } + ["-j", owner.portChain])
        }
    }

    /// Ports by protocol, at most fifteen together, which is what `multiport` takes.
    static func groups(_ mappings: [PortMapping]) -> [(transport: TransportProtocol, ports: [UInt16])] {
        let transports = Set(mappings.map(\.transport)).sorted { "\($0)" < "\($1)" }
        return transports.flatMap { transport in
            var ports: [UInt16] = []
            for mapping in mappings where mapping.transport == transport && !ports.contains(mapping.hostPort) {
                ports.append(mapping.hostPort)
            }
            return stride(from: 0, to: ports.count, by: 15).map { start in
                (transport, Array(ports[start..<min(start + 15, ports.count)]))
            }
        }
    }

    /// The rules of a container's port chain.
    static func portRules(_ mappings: [PortMapping], to address: IPPrefix, _ forward: PortForward) -> [IPTablesRule] {
        let setMark = forward.externalSetMarkChain ?? IPTablesNames.setMark
        let isV4 = address.family == .ipv4
        return mappings.flatMap { mapping in
            var base = ["-p", "\(mapping.transport)", "--dport", "\(mapping.hostPort)"]
            if let host = mapping.certainAddress { base += ["-d", "\(host)"] }
            var rules: [IPTablesRule] = []
            switch forward.sourceRewrite {
            case .none: break
            case .all: rules.append(IPTablesRule(base + ["-s", "\(IPPrefix.any(address.family))", "-j", setMark]))
            case .hairpin:
                rules.append(IPTablesRule(base + ["-s", "\(address.network)", "-j", setMark]))
                if isV4 { rules.append(IPTablesRule(base + ["-s", "127.0.0.1", "-j", setMark])) }
            }
            let host = isV4 ? "\(address.address)" : "[\(address.address)]"
            rules.append(IPTablesRule(base + ["-j", "DNAT", "--to-destination", "\(host):\(mapping.containerPort)"]))
            return rules
        }
    }

    /// The chains all forwarded ports of the host go through.
    mutating func ensureHostPortChains(_ forward: PortForward) {
        let entry = IPTablesRule(["-m", "addrtype", "--dst-type", "LOCAL", "-j", IPTablesNames.hostPorts])
        ensure("nat", IPTablesNames.hostPorts)
        for chain in ["PREROUTING", "OUTPUT"] { append("nat", chain, entry) }
        guard forward.sourceRewrite != .none else { return }
        let mark = "0x" + String(UInt32(1) << UInt32(forward.markBit & 31), radix: 16)
        let comment = ["-m", "comment", "--comment"]
        if forward.externalSetMarkChain == nil {
            ensure("nat", IPTablesNames.setMark)
            let rule = comment + ["CNI portfwd masquerade mark", "-j", "MARK", "--set-xmark", "\(mark)/\(mark)"]
            append("nat", IPTablesNames.setMark, IPTablesRule(rule))
        }
        ensure("nat", IPTablesNames.masquerade)
        let rewrite = ["-m", "mark", "--mark", "\(mark)/\(mark)", "-j", "MASQUERADE"]
        append("nat", IPTablesNames.masquerade, IPTablesRule(rewrite))
        // Before the masquerade of networks, which lets traffic within a subnet out.
        let rule = comment + ["CNI portfwd requiring masquerade", "-j", IPTablesNames.masquerade]
        ensure("nat", "POSTROUTING", IPTablesRule(rule)) { $0.isMasqueradeJump || $0.isFinal }
    }

    private mutating func add(_ firewall: Firewall, _ owner: FilterOwner) throws(NetfilterError) {
        if firewall.accepts { accept(firewall, owner) }
        guard firewall.ingress != .open else { return }
        guard let bridge = firewall.bridge else {
            throw .unsupported(
                "interface needs to be set for ingress policy \"\(firewall.ingress.rawValue)\", "
                    + "make sure to chain \"firewall\" plugin with \"bridge\"")
        }
        isolate(
            bridge, firewall.ingress, admitsPublished: firewall.admitsPublished, FilterOwner.networkTag(owner.network))
    }

    private mutating func accept(_ firewall: Firewall, _ owner: FilterOwner) {
        let comment = ["-m", "comment", "--comment"]
        ensure("filter", firewall.adminChain)
        let isNew = ensure("filter", IPTablesNames.forward)
        let admin = IPTablesRule(comment + [Self.adminComment, "-j", firewall.adminChain])
        if isNew {
            script.append("filter", IPTablesNames.forward, admin)
        } else {
            // Two networks may name two chains; either way they come before whatever accepts.
            ensure("filter", IPTablesNames.forward, admin) { $0.comment != Self.adminComment }
        }
        let entry = IPTablesRule(comment + ["CNI firewall plugin rules", "-j", IPTablesNames.forward])
        if ensure("filter", "FORWARD", entry, before: \.isFinal) { keepIsolationFirst() }
        for address in firewall.addresses where address.family == family {
            let host = "\(IPPrefix(host: address))"
            // Unlike the reference, also what comes new by a published port: the host's own policy would drop it.
            let answered = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT", "-j", "ACCEPT"]
            let own = comment + [owner.comment]
            for rule in [
                IPTablesRule(["-d", host] + own + answered), IPTablesRule(["-s", host] + own + ["-j", "ACCEPT"]),
            ] {
                let like = present.rules("filter", IPTablesNames.forward).filter {
                    owner.owns($0.comment) && $0.value("-d") == rule.value("-d") && $0.value("-s") == rule.value("-s")
                }
                // One that somebody has made say something else gives way.
                for wrong in like where !wrong.means(rule) {
                    script.delete("filter", IPTablesNames.forward, wrong)
                }
                if !like.contains(where: rule.means) { script.append("filter", IPTablesNames.forward, rule) }
            }
        }
    }

    // MARK: Removing

    /// Removes an owner's entries.
    public mutating func remove(_ parts: FilterParts, of owner: FilterOwner) {
        if parts.contains(.masquerade) {
            removeJumps("nat", "POSTROUTING") {
                $0.target == owner.masqueradeChain && $0.comment == owner.masqueradeComment
            }
        }
        if parts.contains(.portForward) {
            removeJumps("nat", IPTablesNames.hostPorts) { $0.target == owner.portChain }
            if present.has("nat", owner.portChain), !removed.contains(owner.portChain) { removeChain(owner.portChain) }
        }
        if parts.contains(.firewall) {
            for rule in present.rules("filter", IPTablesNames.forward) where owner.owns(rule.comment) {
                script.delete("filter", IPTablesNames.forward, rule)
            }
        }
    }

    /// Removes the reference's firewall rules for hosts ("10.1.0.5/32"): they carry no owner.
    mutating func removeFirewall(_ hosts: [String]) {
        for rule in present.rules("filter", IPTablesNames.forward) where rule.comment == nil {
            let host = rule.value("-s") ?? rule.value("-d")
            if let host, hosts.contains(host) { script.delete("filter", IPTablesNames.forward, rule) }
        }
    }

    /// Removes the entries of a network's owners that are not in the list.
    public mutating func collect(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) {
        let name = "name: \"\(network)\" id: "
        if parts.contains(.masquerade) {
            let valid = Set(owners.map(\.masqueradeComment))
            removeJumps("nat", "POSTROUTING") { rule in
                guard let comment = rule.comment, rule.target?.hasPrefix("CNI-") == true else { return false }
                return comment.hasPrefix(name) && !valid.contains(comment)
            }
        }
        if parts.contains(.portForward) {
            let valid = Set(owners.map(\.portChain))
            removeJumps("nat", IPTablesNames.hostPorts) { rule in
                guard let comment = rule.comment, let target = rule.target else { return false }
                return comment.hasPrefix("dnat " + name) && !valid.contains(target)
            }
        }
        if parts.contains(.firewall) {
            let prefix = FilterOwner.networkTag(network) + "-"
            for rule in present.rules("filter", IPTablesNames.forward) {
                guard let comment = rule.comment, comment.hasPrefix(prefix) else { continue }
                if !owners.contains(where: { $0.owns(comment) }) {
                    script.delete("filter", IPTablesNames.forward, rule)
                }
            }
            if owners.isEmpty { removeIsolation(network) }
        }
    }

    private var removed: Set<String> = []

    /// Removes jumps, and the chains nothing jumps to any more.
    mutating func removeJumps(_ table: String, _ chain: String, _ isMeant: (IPTablesRule) -> Bool) {
        let rules = present.rules(table, chain)
        for rule in rules where isMeant(rule) { script.delete(table, chain, rule) }
        let kept = Set(rules.filter { !isMeant($0) }.compactMap(\.target))
        for target in Set(rules.filter(isMeant).compactMap(\.target)).subtracting(kept).sorted()
        where present.has(table, target) { removeChain(target) }
    }

    mutating func removeChain(_ chain: String) {
        guard removed.insert(chain).inserted else { return }
        script.remove("nat", chain)
    }
}
