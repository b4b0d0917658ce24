public import Netfilter
import NetworkTypes

/// A packet filter that keeps what it is told as values, for plugin tests.
public final class FakePacketFilter: PacketFilter {
    /// "fake".
    public let name = "fake"
    /// The rules by owner, in the order they were added.
    public private(set) var rules: [FilterOwner: [FilterRule]] = [:]
    /// The calls so far: "add", "remove", "check", "collect".
    public private(set) var calls: [String] = []
    /// Called with each call's name before it does anything; throws to make it fail.
    public var fault: ((String) throws(NetfilterError) -> Void)?

    /// An empty filter.
    public init() {}

    private func begin(_ call: String) throws(NetfilterError) {
        calls.append(call)
        try fault?(call)
    }

    /// Adds rules; a host port that another owner has is a conflict, an address is taken over.
    public func add(_ rules: [FilterRule], for owner: FilterOwner) throws(NetfilterError) {
        try begin("add")
        for (other, theirs) in self.rules where other != owner {
            for mapping in Self.mappings(rules)
            where Self.mappings(theirs).contains(where: { Self.clash($0, mapping) }) {
                throw .conflict(
                    subject: "host port \(mapping.transport) . \(mapping.hostPort)", owner: other.comment)
            }
            self.rules[other] = theirs.filter { rule in !rules.contains { Self.takesOver($0, rule) } }
        }
        for rule in rules where self.rules[owner]?.contains(rule) != true {
            self.rules[owner, default: []].append(rule)
        }
        clean()
    }

    /// Removes an owner's rules of those parts.
    public func remove(_ parts: FilterParts, of owner: FilterOwner) throws(NetfilterError) {
        try begin("remove")
        rules[owner]?.removeAll { parts.contains($0.part) }
        clean()
    }

    /// Makes sure that the rules are there.
    public func check(_ rules: [FilterRule], of owner: FilterOwner) throws(NetfilterError) {
        try begin("check")
        for rule in rules where self.rules[owner]?.contains(rule) != true { throw .missing("\(rule)") }
    }

    /// Removes the rules of a network's owners that are not in the list.
    public func collect(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws(NetfilterError) {
        try begin("collect")
        for owner in rules.keys where owner.network == network && !owners.contains(owner) {
            rules[owner]?.removeAll { parts.contains($0.part) }
        }
        clean()
    }

    private func clean() { rules = rules.filter { !$0.value.isEmpty } }

    private static func mappings(_ rules: [FilterRule]) -> [PortMapping] {
        rules.flatMap { rule -> [PortMapping] in
            guard case .portForward(let forward) = rule else { return [] }
            return forward.mappings
        }
    }

    private static func clash(_ one: PortMapping, _ other: PortMapping) -> Bool {
        one.transport == other.transport && one.hostPort == other.hostPort && one.hostAddress == other.hostAddress
    }

    private static func takesOver(_ new: FilterRule, _ old: FilterRule) -> Bool {
        if case .masquerade(let new) = new, case .masquerade(let old) = old {
            return old.addresses.contains { address in new.addresses.contains { $0.address == address.address } }
        }
        if case .antiSpoof(let new) = new, case .antiSpoof(let old) = old { return new.link == old.link }
        return false
    }
}
