internal import NetworkTypes

/// Reads the `conditionsV4` and `conditionsV6` of a port forward, words of `nft`'s language, into statements.
///
/// Known are `ip`/`ip6` `saddr`/`daddr`, `iifname`, `oifname`, `meta iifname|oifname|mark`, `mark`, each with an optional
/// `==` or `!=` and one value: what can be said of a new connection without a parser for all of `nft`.
enum Conditions {
    static func parse(_ words: [String], _ family: AddressFamily) throws(NetfilterError) -> [Statement] {
        // One string may hold several words.
        var rest = words.flatMap { $0.split(separator: " ").map(String.init) }[...]
        var statements: [Statement] = []
        while let word = rest.popFirst() {
            var field = word
            if ["ip", "ip6", "meta"].contains(word), let next = rest.popFirst() { field += " " + next }
            var isNegated = false
            if rest.first == "==" { rest.removeFirst() }
            if rest.first == "!=" {
                rest.removeFirst()
                isNegated = true
            }
            guard let value = rest.popFirst(), let statement = statement(field, value, isNegated, family) else {
                throw .unsupported(
                    "condition \"\(words.joined(separator: " "))\" is not understood at \"\(field)\"; the nftables back end "
                        + "knows ip saddr, ip daddr, ip6 saddr, ip6 daddr, iifname, oifname and mark with one value each"
                )
            }
            statements.append(statement)
        }
        return statements
    }

    private static func statement(
        _ field: String, _ value: String, _ isNegated: Bool, _ family: AddressFamily
    ) -> Statement? {
        let bare = value.filter { $0 != "\"" && $0 != "'" }
        switch field {
        case "ip saddr", "ip6 saddr", "ip daddr", "ip6 daddr":
            let network = IPPrefix(bare) ?? IPAddress(bare).map { IPPrefix(host: $0) }
            guard let network, network.family == family, field.hasPrefix("ip6") == (family == .ipv6), network.length > 0
            else { return nil }
            let selector: Selector = field.hasSuffix("saddr") ? .source(family) : .destination(family)
            if network.length == family.bits {
                return .match(selector, .address(network.address), isNegated: isNegated)
            }
            return .network(selector, network.network, isNegated: isNegated)
        case "iifname", "meta iifname":
            guard (try? InterfaceName(bare)) != nil, !bare.hasSuffix("*") else { return nil }
            return .match(.inputInterface, .interface(bare), isNegated: isNegated)
        case "oifname", "meta oifname":
            guard (try? InterfaceName(bare)) != nil, !bare.hasSuffix("*") else { return nil }
            return .match(.outputInterface, .interface(bare), isNegated: isNegated)
        case "mark", "meta mark":
            let number = bare.hasPrefix("0x") ? UInt32(bare.dropFirst(2), radix: 16) : UInt32(bare)
            return number.map { .match(.mark, .mark($0), isNegated: isNegated) }
        default: return nil
        }
    }
}
