internal import NetworkTypes
public import System

/// The iptables back end: one `iptables-save` and at most one `iptables-restore --noflush --wait` per family and call.
///
/// Bound MAC addresses are kept by nf_tables even here, as in the reference plugins.
public final class IPTables: PacketFilter {
    /// "iptables".
    public let name = "iptables"
    private let environment: Environment
    private let programs: [AddressFamily: Programs]

    /// The two programs of a family.
    struct Programs: Equatable {
        let save: String
        let restore: String
    }

    /// The kernel has two iptables, which know nothing of each other's rules; a packet passes both.
    public enum Variant: Sendable {
        /// The one the host calls `iptables`.
        case standard
        /// iptables-nft: chains of nf_tables.
        case tables
        /// iptables-legacy: the old kernel interface.
        case legacy

        /// What the programs' names end with, the best first.
        fileprivate var suffixes: [String] {
            switch self {
            case .standard: ["", "-nft", "-legacy"]
            case .tables: ["-nft", ""]
            case .legacy: ["-legacy", ""]
            }
        }
    }

    /// The back end of the calling thread's namespace.
    ///
    /// - Parameters:
    ///   - variant: which of the two.
    ///   - environment: its `PATH` is searched, then the usual directories.
    /// - Throws: ``NetfilterError/unavailable(_:)`` when no family has its programs.
    public init(_ variant: Variant = .standard, environment: Environment = .current()) throws(NetfilterError) {
        self.environment = environment
        var programs: [AddressFamily: Programs] = [:]
        for family in [AddressFamily.ipv4, .ipv6] { programs[family] = Self.find(family, environment, variant) }
        guard !programs.isEmpty else {
            throw .unavailable("iptables is not usable: no iptables-restore and ip6tables-restore in PATH")
        }
        self.programs = programs
    }

    /// A back end of certain programs.
    init(_ programs: [AddressFamily: Programs], environment: Environment) {
        self.programs = programs
        self.environment = environment
    }

    static func find(
        _ family: AddressFamily, _ environment: Environment, _ variant: Variant
    ) -> Programs? {
        let listed = (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let directories = listed + ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].filter { !listed.contains($0) }
        let base = family == .ipv4 ? "iptables" : "ip6tables"
        for suffix in variant.suffixes {
            for directory in directories {
                let programs = Programs(
                    save: "\(directory)/\(base)\(suffix)-save", restore: "\(directory)/\(base)\(suffix)-restore")
                if Files.exists(programs.save), Files.exists(programs.restore) { return programs }
            }
        }
        return nil
    }

    // MARK: The protocol

    /// Adds an owner's rules. Each family is changed in one piece; should the second fail, the owner's entries are taken
    /// out of the first again.
    public func add(_ rules: [FilterRule], for owner: FilterOwner) throws(NetfilterError) {
        let (own, bound) = Self.split(rules)
        do {
            for family in [AddressFamily.ipv4, .ipv6] where own.contains(where: { $0.concerns(family) }) {
                try change(family, isNeeded: true) { plan throws(NetfilterError) in try plan.add(own, for: owner) }
            }
            if !bound.isEmpty { try NFTables().add(bound, for: owner) }
        } catch {
            let parts = own.reduce(into: FilterParts()) { $0.formUnion($1.part) }
            try? remove(parts, of: owner)
            throw error
        }
    }

    /// Makes an owner's forwarded ports exactly those given.
    public func replacePorts(of owner: FilterOwner, by forward: PortForward) throws(NetfilterError) {
        let rule = FilterRule.portForward(forward)
        for family in [AddressFamily.ipv4, .ipv6] {
            try change(family, isNeeded: false) { plan throws(NetfilterError) in
                // An owner's ports are a chain, which adding fills anew.
                if rule.concerns(family) {
                    try plan.add([rule], for: owner)
                } else {
                    plan.remove(.portForward, of: owner)
                }
            }
        }
    }

    /// Removes an owner's entries.
    public func remove(_ parts: FilterParts, of owner: FilterOwner) throws(NetfilterError) {
        for family in [AddressFamily.ipv4, .ipv6] {
            try change(family, isNeeded: false) { plan throws(NetfilterError) in plan.remove(parts, of: owner) }
        }
        if parts.contains(.antiSpoof) {
            try NetfilterError.whereAvailable { () throws(NetfilterError) in
                try NFTables().remove(.antiSpoof, of: owner)
            }
        }
    }

    /// Removes what a network's missing owners left.
    public func collect(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws(NetfilterError) {
        for family in [AddressFamily.ipv4, .ipv6] {
            try change(family, isNeeded: false) { plan throws(NetfilterError) in
                plan.collect(parts, network: network, keeping: owners)
            }
        }
        if parts.contains(.antiSpoof) {
            try NetfilterError.whereAvailable { () throws(NetfilterError) in
                try NFTables().collect(.antiSpoof, network: network, keeping: owners)
            }
        }
    }

    /// Makes sure that an owner's rules are there. Changes nothing.
    public func check(_ rules: [FilterRule], of owner: FilterOwner) throws(NetfilterError) {
        let (own, bound) = Self.split(rules)
        for family in [AddressFamily.ipv4, .ipv6] where own.contains(where: { $0.concerns(family) }) {
            let plan = IPTablesPlan(family, present: try dump(family))
            if let missing = try plan.missing(own, of: owner) { throw .missing(missing) }
        }
        if !bound.isEmpty { try NFTables().check(bound, of: owner) }
    }

    private static func split(_ rules: [FilterRule]) -> (own: [FilterRule], bound: [FilterRule]) {
        let isBound = { (rule: FilterRule) in if case .antiSpoof = rule { true } else { false } }
        return (rules.filter { !isBound($0) }, rules.filter(isBound))
    }

    // MARK: Programs

    /// What is there, as `iptables-save` shows it.
    func dump(_ family: AddressFamily) throws(NetfilterError) -> IPTablesDump {
        guard let programs = programs[family] else { throw Self.missing(family) }
        return IPTablesDump(try run(programs.save, []))
    }

    private static func missing(_ family: AddressFamily) -> NetfilterError {
        .unavailable(
            "\(family == .ipv4 ? "iptables" : "ip6tables") is not usable: its -save and -restore are not in PATH")
    }

    /// The lock that is held while a family's rules are changed, and by the program that changes them: a plugin that was
    /// killed leaves one that finishes, and who comes after must not look before it has.
    private static let lockName = "iptables"

    /// Reads, plans and changes; again when somebody else was faster.
    func change(
        _ family: AddressFamily, isNeeded: Bool, _ plan: (inout IPTablesPlan) throws(NetfilterError) -> Void
    ) throws(NetfilterError) {
        guard let programs = programs[family] else {
            if isNeeded { throw Self.missing(family) }
            return
        }
        let lock = try Self.lock()
        var refused: [String] = []
        while true {
            var made = IPTablesPlan(family, present: IPTablesDump(try run(programs.save, [])))
            try plan(&made)
            if made.script.isEmpty { return }
            if let line = made.script.unfitLine {
                throw .unsupported("a rule for iptables has a control character in it: \(line.debugDescription)")
            }
            let text = made.script.text
            do {
                _ = try run(programs.restore, ["--noflush", "--wait"], input: text, inherited: [lock.descriptor])
                return
            } catch {
                // A rule we meant to remove is gone, a chain is in use again: look again. What is refused though nothing has
                // changed will be refused for ever, but for once, as others' programs may be at work this moment.
                let isPermanent = refused.filter { $0 == text }.count >= Self.sameAttempts
                guard case .program = error, !isPermanent, refused.count < Self.attempts else { throw error }
                refused.append(text)
            }
        }
    }

    /// How often a change is worked out anew after a refusal.
    static let attempts = 20
    /// How often the very same change is tried anew.
    static let sameAttempts = 1

    private static func lock() throws(NetfilterError) -> PassingLock {
        do {
            return try PassingLock(try LockFiles.path(lockName))
        } catch {
            throw .system(error)
        }
    }

    private func run(
        _ path: String, _ arguments: [String], input: String = "", inherited: [Int32] = []
    ) throws(NetfilterError) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let outcome: ProcessOutcome
        do {
            outcome = try Spawn.run(
                path, arguments: [name] + arguments, environment: environment, input: Array(input.utf8),
                inherited: inherited)
        } catch {
            throw .system(error)
        }
        guard outcome.status == 0 else {
            let words = String(decoding: outcome.errorOutput, as: UTF8.self)
            let line = words.split(separator: "\n").joined(separator: "; ")
            throw .program(path: path, status: outcome.status, words: line)
        }
        return String(decoding: outcome.output, as: UTF8.self)
    }
}

extension FilterRule {
    /// Whether the rule is about a family's packets.
    func concerns(_ family: AddressFamily) -> Bool {
        switch self {
        case .masquerade(let masquerade): masquerade.addresses.contains { $0.family == family }
        case .portForward(let forward): forward.address(family) != nil && !forward.mappings(family).isEmpty
        case .firewall(let firewall): firewall.addresses.contains { $0.family == family }
        case .antiSpoof: false
        }
    }
}

extension IPTables {
    /// The variants whose rules may have any of the chains that this back end and the reference plugins make: found out over
    /// netlink for iptables-nft; for the old iptables, whether it has tables at all. Starts no program.
    ///
    /// - Parameter session: one in the calling thread's namespace.
    public static func variantsInUse(
        _ session: @autoclosure () throws(NetfilterError) -> NFTablesSession
    ) throws(NetfilterError) -> [Variant] {
        var variants: [Variant] = []
        if LegacyTables.isUsed(.ipv4) || LegacyTables.isUsed(.ipv6) { variants.append(.legacy) }
        // Without nf_tables there is no iptables-nft.
        let hasTables = try NetfilterError.whereAvailable { () throws(NetfilterError) in try hasChains(session()) }
        if hasTables == true { variants.append(.tables) }
        if !variants.isEmpty { return variants }
        // A program that a killed plugin left may be making the first ones just now.
        let isChanging = (try? LockFiles.path(lockName)).map(FileLock.isTaken) ?? false
        return isChanging ? [.standard] : []
    }

    private static func hasChains(_ session: NFTablesSession) throws(NetfilterError) -> Bool {
        for table in try session.tables() where [.ip, .ip6].contains(table.family) {
            guard ["nat", "filter"].contains(table.name) else { continue }
            if try session.chains(of: table).contains(where: { $0.name.hasPrefix("CNI-") }) { return true }
        }
        return false
    }
}
