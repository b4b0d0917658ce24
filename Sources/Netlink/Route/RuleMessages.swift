internal import CLinux
internal import NetworkTypes

// RTM_*RULE: linux/fib_rules.h.

extension RoutingRule {
    /// For messages, in `ip rule` words.
    var summary: String {
        (priority.map { "\($0): " } ?? "") + "from \(source?.description ?? "all")"
            + (destination.map { " to \($0)" } ?? "") + " lookup \(table)"
    }
}

extension MessageBuilder {
    /// Asks for the rules of a family.
    mutating func appendDumpRules(_ family: AddressFamily) {
        begin(RTM_GETRULE, flags: NLM_F_REQUEST | NLM_F_DUMP)
        var header = fib_rule_hdr()
        header.family = family.number
        putHeader(header)
    }

    mutating func append(_ rule: RoutingRule, _ type: Int, _ flags: Int32) {
        begin(type, flags: acknowledged | flags)
        var header = fib_rule_hdr()
        header.family = rule.family.number
        header.dst_len = UInt8(truncatingIfNeeded: rule.destination?.length ?? 0)
        header.src_len = UInt8(truncatingIfNeeded: rule.source?.length ?? 0)
        header.table = UInt8(exactly: rule.table) ?? 0
        header.action = UInt8(FR_ACT_TO_TBL)
        putHeader(header)
        if let priority = rule.priority { put(FRA_PRIORITY, priority) }
        if let source = rule.source, source.length > 0 { put(FRA_SRC, source.address) }
        if let destination = rule.destination, destination.length > 0 { put(FRA_DST, destination.address) }
        if let name = rule.inputInterface { put(FRA_IIFNAME, text: name) }
        if let mark = rule.mark { put(FRA_FWMARK, mark) }
        put(FRA_TABLE, rule.table)
    }
}

extension RoutingRule {
    /// Appends the rule an `RTM_NEWRULE` message holds, if it looks a table up.
    ///
    /// - Returns: false when the message is malformed.
    static func read(_ payload: RawSpan, into rules: inout [RoutingRule]) -> Bool {
        guard let number = payload.integer(UInt8.self), let destinationLength = payload.integer(UInt8.self, at: 1),
            let sourceLength = payload.integer(UInt8.self, at: 2), let table = payload.integer(UInt8.self, at: 4),
            let action = payload.integer(UInt8.self, at: 7)
        else { return false }
        guard let family = AddressFamily(number: number), Int(action) == FR_ACT_TO_TBL else { return true }
        // The kernel leaves priority 0 out.
        var rule = RoutingRule(family: family, priority: 0, table: UInt32(table))
        AttributeReader.forEach(in: payload.extracting(payload.following(12))) { type, value in
            switch type {
            case FRA_PRIORITY: rule.priority = value.integer(UInt32.self)
            case FRA_SRC: rule.source = value.ipAddress.flatMap { IPPrefix($0, length: Int(sourceLength)) }
            case FRA_DST: rule.destination = value.ipAddress.flatMap { IPPrefix($0, length: Int(destinationLength)) }
            case FRA_IIFNAME: rule.inputInterface = value.text
            case FRA_FWMARK: rule.mark = value.integer(UInt32.self)
            case FRA_TABLE: rule.table = value.integer(UInt32.self) ?? rule.table
            default: break
            }
        }
        rules.append(rule)
        return true
    }
}
