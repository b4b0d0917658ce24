public import NetworkTypes
internal import System

/// Cleans what the reference plugins made for a container, so that a host may change suites while containers run.
///
/// iptables-nft keeps its rules in nf_tables, so all but the legacy iptables is cleaned in one transaction without a
/// process; nothing is run when there is nothing of theirs.
public struct ReferenceLeftovers {
    /// nil where the kernel has no nf_tables.
    private let session: NFTablesSession?
    /// Where to look for programs; nil is the process's own, which is read only where it is needed.
    private let environment: Environment?

    /// Looks in the calling thread's namespace.
    public init() throws(NetfilterError) { try self.init(environment: .current()) }

    /// Looks in the namespace `session` is in; nil leaves the old iptables, of the calling thread's namespace.
    public init(session: NFTablesSession?) {
        self.session = session
        environment = nil
    }

    init(environment: Environment) throws(NetfilterError) {
        session = try NFTablesSession()
        self.environment = environment
    }

    /// Removes the entries of one attachment.
    ///
    /// - Parameter addresses: the container's, as far as known: the reference's firewall rules carry nothing else, and
    ///   its masquerade and port rules do not tell a container's attachments to one network, or several networks, apart.
    ///   Empty: all of the container's on this network.
    public func clean(
        _ owner: FilterOwner, addresses: [IPAddress], parts: FilterParts = .all
    ) throws(NetfilterError) {
        if let session {
            try NetfilterError.whereAvailable { () throws(NetfilterError) in
                try session.change { () throws(NetfilterError) in
                    try commands(session, owner, addresses, parts)
                }
            }
        }
        try cleanLegacy(owner, addresses, parts)
    }

    private func commands(
        _ session: NFTablesSession, _ owner: FilterOwner, _ addresses: [IPAddress], _ parts: FilterParts
    ) throws(NetfilterError) -> [TableCommand] {
        var commands: [TableCommand] = []
        for table in try session.tables() {
            switch (table.family, table.name) {
            case (.inet, "cni_plugins_masquerade") where parts.contains(.masquerade):
                for rule in try session.rules(of: table, chain: "masq_checks") where owner.owns(rule.comment?.tagPart) {
                    commands.append(.removeRule(table, chain: rule.chain, handle: rule.handle))
                }
            case (.ip, "cni_hostport") where parts.contains(.portForward),
                (.ip6, "cni_hostport") where parts.contains(.portForward):
                for rule in try session.rules(of: table)
                where rule.comment == owner.containerID && Self.concerns(rule, addresses) {
                    commands.append(.removeRule(table, chain: rule.chain, handle: rule.handle))
                }
            case (.bridge, "nat") where parts.contains(.antiSpoof):
                commands += try spoofCheck(session, table, owner)
            case (.ip, "nat"), (.ip6, "nat"):
                var chains: [String] = []
                if parts.contains(.masquerade) { chains.append(owner.masqueradeChain) }
                if parts.contains(.portForward) { chains += [owner.portChain, Self.legacyPortChain(owner)] }
                commands += try removals(session, of: chains, from: table, addresses)
            case (.ip, "filter") where parts.contains(.firewall), (.ip6, "filter") where parts.contains(.firewall):
                for rule in try session.rules(of: table)
                where rule.chain == IPTablesNames.forward && rule.comment == nil && rule.jumps.isEmpty {
                    let own = rule.statements.contains { statement in
                        guard case .match(let selector, .address(let address), false) = statement else { return false }
                        return selector.family != nil && addresses.contains(address)
                    }
                    if own { commands.append(.removeRule(table, chain: rule.chain, handle: rule.handle)) }
                }
            default: continue
            }
        }
        return commands
    }

    /// The source-rewriting chain of old versions.
    private static func legacyPortChain(_ owner: FilterOwner) -> String {
        "CNI-SN-" + SHA512.hex(owner.network + owner.containerID, length: 21)
    }

    /// Whether a rule is about one of the addresses, or cannot be told not to be.
    private static func concerns(_ rule: NFTablesSession.InstalledRule, _ addresses: [IPAddress]) -> Bool {
        guard !addresses.isEmpty else { return true }
        for statement in rule.statements {
            if case .destinationTo(let address, _) = statement { return addresses.contains(address) }
            if case .match(let selector, .address(let address), false) = statement,
                rule.statements.contains(.masquerade),
                selector == .destination(address.family)
            {
                return addresses.contains(address)
            }
        }
        return true
    }

    private func spoofCheck(
        _ session: NFTablesSession, _ table: Table.Identifier, _ owner: FilterOwner
    ) throws(NetfilterError) -> [TableCommand] {
        let comment = "macspoofchk-\(owner.containerID)-\(owner.interfaceName)"
        let chain = "cni-br-iface-\(owner.containerID)-\(owner.interfaceName)"
        let rules = try session.rules(of: table).filter { $0.comment == comment && $0.chain == "PREROUTING" }
        let present = Set(try session.chains(of: table).map(\.name))
        let own = [chain, chain + "-mac"].filter(present.contains)
        // A chain can go when nothing jumps to it: flushed first, they do not jump to each other.
        return rules.map { .removeRule(table, chain: $0.chain, handle: $0.handle) }
            + own.map { .flushChain(table, $0) } + own.map { .removeChain(table, $0) }
    }

    /// Removes chains of iptables-nft with the jumps to them; jumps for other addresses stay, and the chain with them.
    private func removals(
        _ session: NFTablesSession, of chains: [String], from table: Table.Identifier, _ addresses: [IPAddress]
    ) throws(NetfilterError) -> [TableCommand] {
        let present = Set(try session.chains(of: table).map(\.name))
        let own = chains.filter(present.contains)
        guard !own.isEmpty else { return [] }
        let rules = try session.rules(of: table)
        var commands: [TableCommand] = []
        for chain in own {
            let jumps = rules.filter { $0.jumps.contains(chain) }
            let meant = jumps.filter { rule in
                let source = rule.statements.compactMap { statement -> IPAddress? in
                    if case .match(let selector, .address(let address), false) = statement,
                        selector == .source(address.family)
                    {
                        return address
                    }
                    return nil
                }.first
                return source.map { addresses.isEmpty || addresses.contains($0) } ?? true
            }
            commands += meant.map { .removeRule(table, chain: $0.chain, handle: $0.handle) }
            if meant.count == jumps.count {
                commands += [.flushChain(table, chain), .removeChain(table, chain)]
            }
        }
        return commands
    }

    // MARK: Legacy

    private func cleanLegacy(
        _ owner: FilterOwner, _ addresses: [IPAddress], _ parts: FilterParts
    ) throws(NetfilterError) {
        for family in [AddressFamily.ipv4, .ipv6] where LegacyTables.isUsed(family) {
            let environment = environment ?? .current()
            guard let programs = IPTables.find(family, environment, .legacy) else { continue }
            let iptables = IPTables([family: programs], environment: environment)
            try iptables.change(family, isNeeded: false) { plan throws(NetfilterError) in
                plan.removeReference(owner, addresses, parts)
            }
        }
    }
}

extension IPTablesPlan {
    /// Removes what the reference plugins made for a container.
    mutating func removeReference(_ owner: FilterOwner, _ addresses: [IPAddress], _ parts: FilterParts) {
        let hosts = addresses.map { "\(IPPrefix(host: $0))" }
        if parts.contains(.masquerade) {
            removeJumps("nat", "POSTROUTING") { rule in
                rule.target == owner.masqueradeChain
                    && (addresses.isEmpty || rule.value("-s").map(hosts.contains) ?? true)
            }
        }
        if parts.contains(.portForward) { remove(.portForward, of: owner) }
        if parts.contains(.firewall) { removeFirewall(hosts) }
    }
}

/// The tables of the old iptables, which nf_tables does not show.
enum LegacyTables {
    /// Whether the calling thread's namespace has any. Reading the list loads no module.
    static func isUsed(_ family: AddressFamily) -> Bool {
        let path = "/proc/thread-self/net/\(family == .ipv4 ? "ip" : "ip6")_tables_names"
        return (try? Files.text(path))?.isEmpty == false
    }
}

extension String {
    /// A comment up to its first comma or space, which is where the reference's tag ends.
    fileprivate var tagPart: String { String(prefix { $0 != "," && $0 != " " }) }
}
