public import Netlink
internal import NetworkTypes
internal import System

/// Applies steps to the kernel, and knows how each is taken back.
public final class StepExecutor {
    /// Takes one applied step back.
    public typealias Undo = () throws -> Void

    private let places: [Ground]
    /// Links made by this executor: what happens on them goes away with them and needs no undo of its own.
    private var made: Set<LinkKey> = []
    private var known: [LinkKey: Link] = [:]
    private var indices: [LinkKey: Int32] = [:]

    /// A place that is open.
    private struct Ground {
        let place: Place
        let stack: any NetworkStack
        let descriptor: Int32?
    }

    private struct LinkKey: Hashable {
        let name: String
        let place: Place
    }

    /// An executor of plans that reach into these places.
    ///
    /// - Parameter host: the stack of ``Place/host``, for plans that reach into it.
    public init(host: (any NetworkStack)? = nil, _ others: [(Place, Container)] = []) {
        var places: [Ground] = []
        places.reserveCapacity(others.count + 1)
        if let host { places.append(Ground(place: .host, stack: host, descriptor: nil)) }
        for (place, container) in others {
            places.append(Ground(place: place, stack: container.stack, descriptor: container.descriptor))
        }
        self.places = places
    }

    /// Applies one step.
    ///
    /// - Returns: how to take it back; nil when nothing changed or the change goes away with a link made earlier.
    /// - Throws: when the step did not happen.
    public func apply(_ step: Step) throws -> Undo? {
        switch step {
        case .createLink(let spec, let place, let target): return try create(spec, place, into: target)
        case .removeLink(let name, let place):
            if let link = try stack(place).link(named: name) { try stack(place).removeLink(index: link.index) }
            known[LinkKey(name: name, place: place)] = nil
            return nil
        case .changeLink(let name, let change, let master, let place):
            return try self.change(name, change, master: master, place)
        case .changePort(let name, let change, let place): return try changePort(name, change, place)
        case .addVLAN(let vlan, let port, let place):
            let index = try index(port, place)
            try stack(place).addVLAN(vlan, port: index)
            return undo(port, place) { try $0.removeVLAN(vlan.identifier, port: index) }
        case .removeDefaultVLANs(let port, let place):
            let (index, stack) = (try index(port, place), try stack(place))
            for vlan in try stack.vlans(port: index) { try stack.removeVLAN(vlan.identifier, port: index) }
            return nil
        case .requireVLANFiltering(let bridge, let place):
            guard try stack(place).link(named: bridge)?.bridge?.vlanFiltering == true else {
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
        case .enableForwarding(let family, let place): return try enableForwarding(family, place)
        case .awaitDuplicateAddressDetection(let name, let place):
            try awaitAddresses(name, place)
            return nil
        case .awaitForwarding(let port, let place):
            let index = try index(port, place)
            let forwards = try stack(place).awaitLink(index: index, milliseconds: 5000) { $0.port?.state == 3 }
            guard forwards else {
                throw StepError.timedOut("bridge port in error state: \(port) does not forward")
            }
            return nil
        case .awaitOperation(let name, let place):
            _ = try stack(place).awaitLink(index: try index(name, place), milliseconds: 1000) { $0.isOperational }
            return nil
        case .awaitLocal(let addresses, let place):
            _ = try stack(place).awaitLocal(addresses, milliseconds: 1000)
            return nil
        case .forgetNeighbours(let addresses, let name, let place):
            let index = try index(name, place)
            _ = try stack(place).perform(
                addresses.map { .removeNeighbour(Neighbour(link: index, address: $0, mac: nil)) })
            return nil
        }
    }

    /// The stack of a place.
    public func stack(_ place: Place) throws -> any NetworkStack {
        for known in places where known.place == place { return known.stack }
        throw StepError.placeMissing(place)
    }

    private func descriptor(_ place: Place) throws -> Int32 {
        for known in places where known.place == place {
            if let descriptor = known.descriptor { return descriptor }
        }
        throw StepError.placeMissing(place)
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

    private func create(_ spec: LinkSpec, _ place: Place, into target: Place?) throws -> Undo {
        var spec = spec
        // Where the link itself is born, and its undo finds it.
        var home = place
        if let target {
            let descriptor = try descriptor(target)
            if case .veth(var peer) = spec.kind {
                peer.namespace = descriptor
                spec.kind = .veth(peer: peer)
            } else {
                spec.namespace = descriptor
                home = target
            }
        }
        do {
            try stack(place).createLink(spec)
        } catch let error as NetlinkError {
            if case .bridge(let state) = spec.kind, state.vlanFiltering, error.errno == .notSupported {
                throw StepError.noVLANFiltering(bridge: spec.name)
            }
            if spec.kind == .ifb, error.errno == .notSupported { throw StepError.noRedirection }
            throw error
        }
        made.insert(LinkKey(name: spec.name, place: home))
        if case .veth(let peer) = spec.kind { made.insert(LinkKey(name: peer.name, place: target ?? place)) }
        let (name, stack) = (spec.name, try stack(home))
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

    private func changePort(_ name: String, _ change: BridgePortChange, _ place: Place) throws -> Undo? {
        if made.contains(LinkKey(name: name, place: place)) {
            try stack(place).changePort(index: index(name, place), change)
            return nil
        }
        let link = try link(name, place)
        try stack(place).changePort(index: link.index, change)
        guard let before = link.port else { return nil }
        let inverse = BridgePortChange(
            hairpin: change.hairpin == nil ? nil : before.hairpin,
            isolated: change.isolated == nil ? nil : before.isolated,
            learning: change.learning == nil ? nil : before.learning,
            flood: change.flood == nil ? nil : before.flood,
            neighbourSuppression: change.neighbourSuppression == nil ? nil : before.neighbourSuppression)
        return undo(link.name, place) { try $0.changePort(index: link.index, inverse) }
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

    func set(_ parameters: [Step.Parameter], _ place: Place, isOptional: Bool) throws -> Undo? {
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
