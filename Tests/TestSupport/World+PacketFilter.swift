internal import JSON

extension Lab {
    /// The packet filter's state: every chain, rule and element with a name that says where it is.
    ///
    /// Rules are counted within their chain, so that one more is one fact more; handles and counters are left out.
    func packetFilter(_ container: String?) throws -> [(String, String)] {
        var facts: [(String, String)] = []
        if Lab.find("nft") != nil {
            let rules = try query("nft", ["-j", "list", "ruleset"], in: container)
            for entry in rules["nftables"]?.elements ?? [] { facts += Lab.facts(entry) }
        }
        for name in ["iptables-save", "ip6tables-save"] where Lab.find(name) != nil {
            facts += Lab.facts(try tool(name, [], in: container), name)
        }
        var counts: [String: Int] = [:]
        return facts.map { name, value in
            counts[name, default: 0] += 1
            return ("\(name)/\(counts[name] ?? 0)", value)
        }
    }

    private static func facts(_ entry: Value) -> [(String, String)] {
        guard let kind = entry.members.first, kind.key != "metainfo" else { return [] }
        var value = steady(kind.value)
        let isRule = kind.key == "rule"
        let parts = ["family", "table", isRule ? "chain" : "name"].compactMap { value[$0]?.string }
        let name = "nft/\(kind.key)/\(parts.joined(separator: "/"))"
        let elements = value["elem"]?.elements ?? []
        value["elem"] = nil
        return [(name, value.text())] + elements.map { ("\(name)/\($0.text())", "present") }
    }

    private static func facts(_ saved: String, _ name: String) -> [(String, String)] {
        var table = ""
        return saved.split(separator: "\n").compactMap { line in
            switch line.first {
            case "*": table = String(line.dropFirst())
            // Chains with their policy, without counters.
            case ":":
                let words = line.dropFirst().split(separator: " ")
                return ("\(name)/\(table)/\(words.first ?? "")", words.dropFirst().first.map(String.init) ?? "")
            case "-":
                let chain = line.split(separator: " ").dropFirst().first ?? ""
                return ("\(name)/\(table)/\(chain)/rule", String(line))
            // Comments carry the time.
            default: break
            }
            return nil
        }
    }

    /// A part of the packet filter without handles and counters.
    private static func steady(_ value: Value) -> Value {
        switch value {
        case .array(let elements): .array(elements.map(steady))
        case .object(let object):
            .object(
                Object(
                    object.members.filter { $0.key != "handle" && $0.key != "counter" }.map {
                        ($0.key, steady($0.value))
                    }))
        default: value
        }
    }
}
