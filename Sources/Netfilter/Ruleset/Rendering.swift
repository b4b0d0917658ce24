internal import NetworkTypes

extension Table {
    /// The table as `nft list table` writes it and `nft -f` reads it, elements in the order of their keys.
    public var nftText: String {
        var lines = ["table \(identifier) {"]
        if let comment { lines.append("\tcomment \(quoted(comment))") }
        var blocks = sets.map(\.nftLines)
        blocks += chains.map { $0.nftLines(in: identifier.family) }
        for (index, block) in blocks.enumerated() {
            if index > 0 { lines.append("") }
            lines += block.map { $0.isEmpty ? "" : "\t" + $0 }
        }
        lines.append("}")
        return lines.joined(separator: "\n") + "\n"
    }
}

extension ElementSet {
    var nftLines: [String] {
        var lines = ["\(value == nil ? "set" : "map") \(name) {"]
        var type = key.map { "\($0)" }.joined(separator: " . ")
        switch value {
        case nil: break
        case .verdict: type += " : verdict"
        case .data(let types): type += " : " + types.map { "\($0)" }.joined(separator: " . ")
        }
        lines.append("\ttype \(type)")
        let names = [(Flags.constant, "constant"), (.interval, "interval")]
        let flags = names.filter { self.flags.contains($0.0) }.map(\.1)
        if !flags.isEmpty { lines.append("\tflags \(flags.joined(separator: ","))") }
        if !elements.isEmpty {
            let sorted = elements.sorted { registerBytes($0.key).lexicographicallyPrecedes(registerBytes($1.key)) }
            lines.append("\telements = { \(sorted.map(\.nftText).joined(separator: ",\n\t\t     ")) }")
        }
        lines.append("}")
        return lines
    }
}

extension Element {
    var nftText: String {
        var text = zip(key.indices, key).map { index, part in
            guard let end = keyEnd?[index], end != part else { return part.nftText }
            return Element.range(part, end)
        }.joined(separator: " . ")
        if let comment { text += " comment \(quoted(comment))" }
        switch value {
        case nil: break
        case .verdict(let verdict): text += " : \(verdict.nftText)"
        case .data(let parts): text += " : " + parts.map(\.nftText).joined(separator: " . ")
        }
        return text
    }

    /// A range of addresses that is a network is written as one.
    private static func range(_ first: Datum, _ last: Datum) -> String {
        if case .address(let low) = first, case .address(let high) = last, low.family == high.family {
            let length = low.family.bits - (128 - (low.number ^ high.number).leadingZeroBitCount)
            if let network = IPPrefix(low, length: length), network.first == low, network.last == high {
                return "\(network)"
            }
        }
        return "\(first.nftText)-\(last.nftText)"
    }
}

extension Chain {
    func nftLines(in family: TableFamily) -> [String] {
        var lines = ["chain \(name) {"]
        if let comment { lines.append("\tcomment \(quoted(comment))") }
        if let hook {
            let priority = hook.priorityName(in: family)
            lines.append("\ttype \(hook.kind) hook \(hook.hook) priority \(priority); policy \(hook.policy);")
        }
        lines += rules.map { "\t" + $0.nftText }
        lines.append("}")
        return lines
    }
}

extension BaseHook {
    /// The name `nft` writes for a standard priority (its `std_prio`).
    func priorityName(in family: TableFamily) -> String {
        if family == .bridge {
            switch (priority, hook) {
            case (-300, .prerouting): return "dstnat"
            case (-200, _): return "filter"
            case (100, .output): return "out"
            case (300, .postrouting): return "srcnat"
            default: return "\(priority)"
            }
        }
        switch (priority, hook) {
        case (-300, _): return "raw"
        case (-150, _): return "mangle"
        case (-100, .prerouting): return "dstnat"
        case (0, _): return "filter"
        case (50, _): return "security"
        case (100, .postrouting): return "srcnat"
        default: return "\(priority)"
        }
    }
}

extension Rule {
    /// The rule as `nft list` writes it.
    public var nftText: String {
        var words: [String] = []
        var transport: TransportProtocol?
        for statement in statements {
            // `tcp dport 80` is two statements to the kernel.
            if let held = transport {
                transport = nil
                if case .match(let selector, .port(let port), let negated) = statement, let side = selector.portSide {
                    words.append("\(held) \(side) \(negated ? "!= " : "")\(port)")
                    continue
                }
                words.append("meta l4proto \(held)")
            }
            if case .match(.transport, .transport(let value), false) = statement,
                [.tcp, .udp, .sctp].contains(value)
            {
                transport = value
            } else {
                words.append(statement.nftText)
            }
        }
        if let transport { words.append("meta l4proto \(transport)") }
        if let comment { words.append("comment \(quoted(comment))") }
        return words.joined(separator: " ")
    }
}

extension Selector {
    var nftText: String {
        switch self {
        case .ipSource: "ip saddr"
        case .ipDestination: "ip daddr"
        case .ip6Source: "ip6 saddr"
        case .ip6Destination: "ip6 daddr"
        case .transport: "meta l4proto"
        case .sourcePort: "th sport"
        case .destinationPort: "th dport"
        case .inputInterface: "iifname"
        case .outputInterface: "oifname"
        case .mark: "meta mark"
        case .etherSource: "ether saddr"
        case .vxlanIdentifier: "@th,96,24"
        }
    }

    fileprivate var portSide: String? {
        switch self {
        case .sourcePort: "sport"
        case .destinationPort: "dport"
        default: nil
        }
    }
}

private func joinedText(_ selectors: [Selector]) -> String {
    selectors.map(\.nftText).joined(separator: " . ")
}

extension Statement {
    var nftText: String {
        switch self {
        case .match(let selector, let value, let negated):
            return "\(selector.nftText) \(negated ? "!= " : "")\(value.nftText)"
        case .network(let selector, let network, let negated):
            let text = network.length == network.family.bits ? "\(network.address)" : "\(network)"
            return "\(selector.nftText) \(negated ? "!= " : "")\(text)"
        case .family(let family): return "meta nfproto \(family)"
        case .isLocalDestination: return "fib daddr type local"
        case .connectionState(let state): return "ct state \(state.nftText)"
        case .isDestinationTranslated: return "ct status dnat"
        case .lookup(let selectors, let set, let negated):
            return "\(joinedText(selectors)) \(negated ? "!= " : "")@\(set)"
        case .verdictMap(let selectors, let map): return "\(joinedText(selectors)) vmap @\(map)"
        case .counter: return "counter"
        case .setMark(let mark): return "meta mark set \(Datum.mark(mark).nftText)"
        case .verdict(let verdict): return verdict.nftText
        case .masquerade: return "masquerade"
        case .destinationTo(let address, let port): return "dnat \(target(address, port))"
        case .destinationMap(let family, let selectors, let map):
            return "dnat \(family == .ipv4 ? "ip" : "ip6") to \(joinedText(selectors)) map @\(map)"
        case .sourceTo(let address): return "snat \(target(address, nil))"
        }
    }

    private func target(_ address: IPAddress, _ port: UInt16?) -> String {
        switch (address, port) {
        case (.v4, nil): "ip to \(address)"
        case (.v4, let port?): "ip to \(address):\(port)"
        case (.v6, nil): "ip6 to \(address)"
        case (.v6, let port?): "ip6 to [\(address)]:\(port)"
        }
    }
}

extension ConnectionState {
    fileprivate var nftText: String {
        let names: [(ConnectionState, String)] = [
            (.invalid, "invalid"), (.established, "established"), (.related, "related"), (.new, "new"),
            (.untracked, "untracked"),
        ]
        return names.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }
}

extension Verdict {
    var nftText: String {
        switch self {
        case .accept: "accept"
        case .drop: "drop"
        case .return: "return"
        case .jump(let chain): "jump \(chain)"
        case .goto(let chain): "goto \(chain)"
        }
    }
}

extension Datum {
    var nftText: String {
        switch self {
        case .address(let address): return "\(address)"
        case .mac(let address): return "\(address)"
        case .transport(let transport): return "\(transport)"
        case .port(let port): return "\(port)"
        case .mark(let mark):
            let digits = String(mark, radix: 16)
            return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
        case .interface(let name): return "\"\(name)\""
        case .number(let number): return "0x\(String(number, radix: 16))"
        }
    }
}

/// A text in double quotes. `nft` knows no way to write a double quote inside one.
func quoted(_ text: String) -> String {
    "\"\(String(text.map { $0 == "\"" || $0.isNewline ? "'" : $0 }))\""
}
