public import Netlink
internal import NetworkTypes
internal import System

/// What went wrong while steps were applied, beyond what netlink itself reports.
public enum StepError: Error, Equatable, Sendable {
    /// A link a step speaks of is not there.
    case linkMissing(String)
    /// The kernel was built without `CONFIG_BRIDGE_VLAN_FILTERING`.
    case noVLANFiltering(bridge: String)
    /// The kernel was built without an option that `purpose` needs.
    case kernelLacks(option: String, purpose: String)
    /// Another node already uses the address.
    case duplicateAddress(link: String, prefix: String)
    /// Waiting for a condition took too long.
    case timedOut(String)
}

/// Applies steps to the kernel, and knows how each is taken back.
public final class StepExecutor {
    /// Takes one applied step back.
    public typealias Undo = () throws -> Void

    let host: any NetworkStack
    private let container: (any NetworkStack)?
    /// Links made by this executor: what happens on them goes away with them and needs no undo of its own.
    private var made: Set<LinkKey> = []
    private var known: [LinkKey: Link] = [:]
    private var indices: [LinkKey: Int32] = [:]

    private struct LinkKey: Hashable {
        let name: String
        let place: Place
    }

    /// An executor on the host's stack and, for plans that reach into it, the container's.
    public init(host: any NetworkStack, container: (any NetworkStack)? = nil) {
        self.host = host
        self.container = container
    }

    /// Applies one step.
    ///
    /// - Returns: how to take it back; nil when nothing changed or the change goes away with a link made earlier.
    /// - Throws: when the step did not happen.
    public func apply(_ step: Step) throws -> Undo? {
        switch step {
        case .createLink(let spec, let place): return try create(spec, place)
        case .changeLink(let name, let change, let master, let place):
            return try self.change(name, change, master: master, place)
        case .changePort(let name, let change): return try changePort(name, change)
        case .addVLAN(let vlan, let port):
            let index = try index(port, .host)
            try host.addVLAN(vlan, port: index)
            return undo(port, .host) { try $0.removeVLAN(vlan.identifier, port: index) }
        case .removeDefaultVLANs(let port):
            let index = try index(port, .host)
            for vlan in try host.vlans(port: index) { try host.removeVLAN(vlan.identifier, port: index) }
            return nil
        case .requireVLANFiltering(let bridge):
            guard try host.link(named: bridge)?.bridge?.vlanFiltering == true else {
                throw StepError.noVLANFiltering(bridge: bridge)
            }
            return nil
        case .addAddress(let prefix, let name, let place, let skipsDetection):
            return try addAddress(prefix, name, place, skipsDetection: skipsDetection)
        case .removeAddress(let prefix, let name, let place):
            let address = InterfaceAddress(link: try index(name, place), prefix: prefix)
            try stack(place).removeAddress(address)
            return undo(name, place) { try $0.addAddress(address) }
        case .addRoute(let route, let name, let place):
            var route = route
            route.link = try index(name, place)
            do {
                try stack(place).addRoute(route)
            } catch let error as NetlinkError where error.isAlreadyThere {
                // The very same route: a delegate may name one twice, or the kernel have made it with an address.
                return nil
            }
            return undo(name, place) { [route] in try $0.removeRoute(route) }
        case .addTokenBucket, .addIngress, .redirect: return try shape(step)
        case .setParameters(let parameters, let place, let isOptional):
            return try set(parameters, place, isOptional: isOptional)
        case .enableForwarding(let family): return try enableForwarding(family)
        case .awaitDuplicateAddressDetection(let name, let place):
            try awaitAddresses(name, place)
            return nil
        case .awaitForwarding(let port):
            let forwards = try host.awaitLink(index: try index(port, .host), milliseconds: 5000) { $0.port?.state == 3 }
            guard forwards else {
                throw StepError.timedOut("bridge port in error state: \(port) does not forward")
            }
            return nil
        }
    }

    /// The stack of a place.
    public func stack(_ place: Place) throws -> any NetworkStack {
        switch place {
        case .host: return host
        case .container:
            guard let container else { throw StepError.linkMissing("the container's namespace") }
            return container
        }
    }

    /// Spares the executor a question about a link that somebody else has just read.
    func remember(_ link: Link, _ place: Place) { known[LinkKey(name: link.name, place: place)] = link }

    /// The link as it was last read; what this executor has done to a link of its own making since may not show.
    func link(_ name: String, _ place: Place) throws -> Link {
        let key = LinkKey(name: name, place: place)
        if let link = known[key] { return link }
        guard let link = try stack(place).link(named: name) else { throw StepError.linkMissing(name) }
        known[key] = link
        return link
    }

    /// A link's number; one of our own making is not read for it.
    func index(_ name: String, _ place: Place) throws -> Int32 {
        let key = LinkKey(name: name, place: place)
        if !made.contains(key) { return try link(name, place).index }
        if let index = indices[key] { return index }
        guard let index = try stack(place).summary(ofLink: name)?.index else { throw StepError.linkMissing(name) }
        indices[key] = index
        return index
    }

    /// An undo for a change on a link; none when the link itself is ours to remove.
    func undo(_ name: String, _ place: Place, _ body: @escaping (any NetworkStack) throws -> Void) -> Undo? {
        if made.contains(LinkKey(name: name, place: place)) { return nil }
        return { [self] in try body(stack(place)) }
    }

    private func create(_ spec: LinkSpec, _ place: Place) throws -> Undo {
        let stack = try stack(place)
        do {
            try stack.createLink(spec)
        } catch {
            if case .bridge(let state) = spec.kind, state.vlanFiltering, error.errno == .notSupported {
                throw StepError.noVLANFiltering(bridge: spec.name)
            }
            if spec.kind == .ifb, error.errno == .notSupported { throw StepError.noRedirection }
            throw error
        }
        made.insert(LinkKey(name: spec.name, place: place))
        if case .veth(let peer) = spec.kind {
            made.insert(LinkKey(name: peer.name, place: peer.namespace == nil ? place : .container))
        }
        let name = spec.name
        return {
            // By name, not by number: the link may be gone already, with its namespace or by somebody's hand.
            guard let link = try stack.link(named: name) else { return }
            try stack.removeLink(index: link.index)
        }
    }

    private func change(_ name: String, _ change: LinkChange, master: String?, _ place: Place) throws -> Undo? {
        var change = change
        if let master { change.master = try index(master, place) }
        let key = LinkKey(name: name, place: place)
        // Only undos need to know how a link was, and what is done to a link of our own needs none.
        if made.contains(key) {
            try self.change(name, index: index(name, place), change, place)
            return nil
        }
        let before = try link(name, place)
        try self.change(name, index: before.index, change, place)
        known[key] = nil
        let inverse = LinkChange {
            if change.isUp != nil { $0.isUp = before.isUp }
            if change.isPromiscuous != nil { $0.isPromiscuous = before.isPromiscuous }
            if change.isAllMulticast != nil { $0.isAllMulticast = before.isAllMulticast }
            if change.mac != nil { $0.mac = before.mac }
            if change.mtu != nil { $0.mtu = before.mtu }
            if change.transmitQueueLength != nil { $0.transmitQueueLength = before.transmitQueueLength }
            if change.master != nil { $0.master = before.master ?? 0 }
            if change.alias != nil { $0.alias = before.alias ?? "" }
            if change.vlanFiltering != nil { $0.vlanFiltering = before.bridge?.vlanFiltering }
        }
        return undo(name, place) { try $0.changeLink(index: before.index, inverse) }
    }

    private func change(_ name: String, index: Int32, _ change: LinkChange, _ place: Place) throws {
        let stack = try stack(place)
        do {
            try stack.changeLink(index: index, change)
        } catch {
            if change.vlanFiltering == true, error.errno == .notSupported {
                throw StepError.noVLANFiltering(bridge: name)
            }
            throw error
        }
    }

    private func changePort(_ name: String, _ change: BridgePortChange) throws -> Undo? {
        if made.contains(LinkKey(name: name, place: .host)) {
            try host.changePort(index: index(name, .host), change)
            return nil
        }
        let link = try link(name, .host)
        try host.changePort(index: link.index, change)
        guard let before = link.port else { return nil }
        let inverse = BridgePortChange(
            hairpin: change.hairpin == nil ? nil : before.hairpin,
            isolated: change.isolated == nil ? nil : before.isolated,
            learning: change.learning == nil ? nil : before.learning,
            flood: change.flood == nil ? nil : before.flood,
            neighbourSuppression: change.neighbourSuppression == nil ? nil : before.neighbourSuppression)
        return undo(link.name, .host) { try $0.changePort(index: link.index, inverse) }
    }

    private func addAddress(_ prefix: IPPrefix, _ name: String, _ place: Place, skipsDetection: Bool) throws -> Undo? {
        let address = InterfaceAddress(
            link: try index(name, place), prefix: prefix, flags: skipsDetection ? 0x02 : 0)
        do {
            try stack(place).addAddress(address)
        } catch let error as NetlinkError where error.isAlreadyThere {
            // Another ADD on the same bridge was faster (containerd issue 3507); the address is where it should be.
            return nil
        }
        return undo(name, place) { try $0.removeAddress(address) }
    }

    private func set(_ parameters: [Step.Parameter], _ place: Place, isOptional: Bool) throws -> Undo? {
        let stack = try stack(place)
        let pairs = parameters.map { (key: $0.key, value: $0.value) }
        if parameters.allSatisfy({ isOfMadeLink($0.key, place) }) {
            try stack.writeParameters(pairs, passingOverFailures: isOptional)
            return nil
        }
        let old = try stack.exchangeParameters(pairs, passingOverFailures: isOptional)
        if old.isEmpty { return nil }
        return { _ = try stack.exchangeParameters(old.reversed(), passingOverFailures: true) }
    }

    private func enableForwarding(_ family: AddressFamily) throws -> Undo? {
        // Where it cannot be asked for it is tried.
        if (try? host.forwards(family)) == true { return nil }
        let key = family == .ipv4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"
        return try set([.init(key, "1")], .host, isOptional: false)
    }

    private func isOfMadeLink(_ key: String, _ place: Place) -> Bool {
        made.contains { link in
            guard link.place == place else { return false }
            return key.hasPrefix("net/ipv4/conf/\(link.name)/") || key.hasPrefix("net/ipv6/conf/\(link.name)/")
        }
    }

    private func awaitAddresses(_ name: String, _ place: Place) throws {
        let stack = try stack(place)
        let index = try index(name, place)
        let settled = try stack.awaitAddresses(link: index, milliseconds: 5000) { addresses in
            !addresses.contains { $0.isTentative && !$0.isDuplicate }
        }
        let addresses = try stack.addresses(link: index)
        if let duplicate = addresses.first(where: { $0.isDuplicate }) {
            throw StepError.duplicateAddress(link: name, prefix: duplicate.prefix.description)
        }
        // A link that is not operationally up never settles; that is not the address's fault.
        if !settled, try stack.link(index: index)?.operationalState == 6 {
            throw StepError.timedOut("duplicate address detection on \(name) took more than 5 seconds")
        }
    }
}
