internal import NetworkTypes
public import System

/// Which packet filter to use.
public enum BackendChoice: String, Hashable, Sendable, CaseIterable {
    /// nftables, unless the host's own forward policy lives in iptables and would drop us, or nf_tables is missing.
    case automatic = "auto"
    /// nf_tables over netlink.
    case nftables
    /// `iptables-restore`.
    case iptables

    /// What was found on the host.
    public struct Observation: Equatable, Sendable {
        /// Why nf_tables cannot be used; nil when it can.
        public let nftablesProblem: String?
        /// Why iptables cannot be used; nil when it can.
        public let iptablesProblem: String?
        /// What of iptables would drop forwarded traffic that its own chains do not accept; nil when nothing would.
        public let refusal: String?
        /// The iptables to use where it has to be one: that which refuses, as only its own rules let through.
        public let variant: IPTables.Variant

        /// Describes a host.
        public init(
            nftablesProblem: String?, iptablesProblem: String?, refusal: String?, variant: IPTables.Variant = .standard
        ) {
            self.nftablesProblem = nftablesProblem
            self.iptablesProblem = iptablesProblem
            self.refusal = refusal
            self.variant = variant
        }
    }

    /// A back end's name with the reason it was taken for.
    public struct Decision: Equatable, Sendable {
        /// ``nftables`` or ``iptables``.
        public let backend: BackendChoice
        /// Why.
        public let reason: String
    }

    /// Decides; pure.
    ///
    /// - Throws: ``NetfilterError/unavailable(_:)`` with what is missing.
    public func decide(_ host: Observation) throws(NetfilterError) -> Decision {
        switch self {
        case .nftables:
            if let problem = host.nftablesProblem { throw .unavailable("back end nftables: \(problem)") }
            return Decision(backend: .nftables, reason: "the configuration says so")
        case .iptables:
            if let problem = host.iptablesProblem { throw .unavailable("back end iptables: \(problem)") }
            return Decision(backend: .iptables, reason: "the configuration says so")
        case .automatic:
            switch (host.nftablesProblem, host.iptablesProblem) {
            case (let nftables?, let iptables?):
                throw .unavailable("no packet filter: nftables: \(nftables); iptables: \(iptables)")
            case (let problem?, nil): return Decision(backend: .iptables, reason: problem)
            case (nil, nil):
                // What one table accepts, a later one may still drop: only a rule in iptables' own chain lets through.
                if let refusal = host.refusal { return Decision(backend: .iptables, reason: refusal) }
                return Decision(backend: .nftables, reason: "nf_tables is there and iptables drops nothing forwarded")
            case (nil, let problem?):
                let warning = host.refusal.map { ", but \($0) and iptables cannot be told otherwise: \(problem)" } ?? ""
                return Decision(backend: .nftables, reason: "nf_tables is there" + warning)
            }
        }
    }

    /// Opens the back end for the calling thread's namespace.
    ///
    /// - Parameter session: one in that namespace, when the caller has it.
    /// - Returns: the back end and why it was taken.
    public func open(
        environment: @autoclosure () -> Environment = .current(), session: NFTablesSession? = nil
    ) throws(NetfilterError) -> (any PacketFilter, Decision) {
        let host = Self.observe(for: self, environment: environment(), session: session)
        let decision = try decide(host)
        if decision.backend == .iptables { return (try IPTables(host.variant, environment: environment()), decision) }
        if let session { return (NFTables(session: session), decision) }
        return (try NFTables(), decision)
    }

    /// Looks at the host: over netlink, and by running a program only where the old iptables has tables.
    ///
    /// - Parameters:
    ///   - choice: what the answer is for: ``automatic`` looks for iptables' programs only where it may need them.
    ///   - session: one in the calling thread's namespace, when the caller has it.
    public static func observe(
        for choice: BackendChoice = .iptables, environment: @autoclosure () -> Environment = .current(),
        session: NFTablesSession? = nil
    ) -> Observation {
        var refusal: String?
        var variant = IPTables.Variant.standard
        var nftablesProblem: String?
        do {
            let session = if let session { session } else { try NFTablesSession() }
            for table in try session.tables() where table.name == "filter" && [.ip, .ip6].contains(table.family) {
                if refusal == nil { refusal = try Self.refusal(session, table) }
            }
        } catch {
            nftablesProblem = error.errno == .notPermitted ? "nf_tables: CAP_NET_ADMIN is needed" : "\(error)"
        }
        if refusal != nil { variant = .tables }
        if nftablesProblem != nil { variant = .legacy }
        for family in [AddressFamily.ipv4, .ipv6] where refusal == nil && LegacyTables.isUsed(family) {
            refusal = legacyRefusal(family, environment())
            if refusal != nil { variant = .legacy }
        }
        var iptablesProblem: String?
        if choice == .iptables || refusal != nil || nftablesProblem != nil {
            do { _ = try IPTables(variant, environment: environment()) } catch { iptablesProblem = "\(error)" }
        }
        return Observation(
            nftablesProblem: nftablesProblem, iptablesProblem: iptablesProblem, refusal: refusal, variant: variant)
    }

    private static func refusal(
        _ session: NFTablesSession, _ table: Table.Identifier
    ) throws(NetfilterError) -> String? {
        let name = table.family == .ip ? "iptables" : "ip6tables"
        guard let chain = try session.chains(of: table).first(where: { $0.name == "FORWARD" }) else { return nil }
        if chain.hook?.policy == .drop { return "\(name)' FORWARD policy is DROP" }
        let refuses = try session.rules(of: table, chain: "FORWARD").contains(where: \.isRefusing)
        return refuses ? "\(name)' FORWARD chain has rules that drop" : nil
    }

    private static func legacyRefusal(_ family: AddressFamily, _ environment: Environment) -> String? {
        guard let programs = IPTables.find(family, environment, .legacy),
            let dump = try? IPTables([family: programs], environment: environment).dump(family)
        else { return nil }
        let name = family == .ipv4 ? "iptables-legacy" : "ip6tables-legacy"
        if dump.policy("filter", "FORWARD") == "DROP" { return "\(name)' FORWARD policy is DROP" }
        let refuses = dump.rules("filter", "FORWARD").contains { ["DROP", "REJECT"].contains($0.target ?? "") }
        return refuses ? "\(name)' FORWARD chain has rules that drop" : nil
    }
}
