import Attachment
import DBus
import Netfilter
import NetworkTypes
import PluginKit

/// A packet filter in memory: who owns which rules.
final class FakeFilter: PacketFilter {
    /// What all filters opened on one host share.
    final class State {
        var rules: [FilterOwner: [FilterRule]] = [:]
    }

    let name = "fake"
    private let state: State
    private let count: (String, String) throws -> Void

    /// - Parameter count: called before every change; may throw to make it fail.
    init(_ state: State, count: @escaping (String, String) throws -> Void) {
        self.state = state
        self.count = count
    }

    private func counting(_ operation: String, _ owner: FilterOwner) throws(NetfilterError) {
        do {
            try count(operation, owner.containerID)
        } catch {
            throw .unavailable("injected")
        }
    }

    static func part(_ rule: FilterRule) -> FilterParts {
        switch rule {
        case .masquerade: .masquerade
        case .portForward: .portForward
        case .firewall: .firewall
        case .antiSpoof: .antiSpoof
        }
    }

    func add(_ rules: [FilterRule], for owner: FilterOwner) throws(NetfilterError) {
        try counting("add rules", owner)
        for case .portForward(let forward) in rules {
            for (other, held) in state.rules where other != owner {
                for case .portForward(let taken) in held {
                    for mapping in forward.mappings
                    where taken.mappings.contains(where: {
                        $0.hostPort == mapping.hostPort && $0.transport == mapping.transport
                    }) {
                        throw .conflict(subject: "host port \(mapping.hostPort)", owner: "\(other)")
                    }
                }
            }
        }
        let kinds = rules.map(Self.part)
        state.rules[owner, default: []].removeAll { kinds.contains(Self.part($0)) }
        state.rules[owner, default: []] += rules
    }

    func replacePorts(of owner: FilterOwner, by forward: PortForward) throws(NetfilterError) {
        try counting("replace ports", owner)
        state.rules[owner]?.removeAll { Self.part($0) == .portForward }
        if !forward.mappings.isEmpty { state.rules[owner, default: []].append(.portForward(forward)) }
    }

    func remove(_ parts: FilterParts, of owner: FilterOwner) throws(NetfilterError) {
        try counting("remove rules", owner)
        state.rules[owner]?.removeAll { parts.contains(Self.part($0)) }
        if state.rules[owner]?.isEmpty == true { state.rules[owner] = nil }
    }

    func check(_ rules: [FilterRule], of owner: FilterOwner) throws(NetfilterError) {
        for rule in rules where state.rules[owner]?.contains(rule) != true { throw .missing("\(rule)") }
    }

    func collect(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws(NetfilterError) {
        for owner in state.rules.keys where owner.network == network && !owners.contains(owner) {
            try remove(parts, of: owner)
        }
    }
}

/// firewalld in memory.
final class FakeZones: FirewallZones {
    var sources: [String: Set<String>] = [:]

    func addSource(_ source: IPPrefix, zone: String) -> Bool {
        sources[zone, default: []].insert(source.description).inserted
    }

    func removeSource(_ source: IPPrefix, zone: String) -> Bool {
        sources[zone]?.remove(source.description) != nil
    }

    func hasSource(_ source: IPPrefix, zone: String) -> Bool { sources[zone]?.contains(source.description) == true }
}
