internal import NetworkTypes

// podman publishes a container's ports on every network it connects the container to. The first network has them; the
// others wait, and one of them takes a port over in the transaction that takes it from the first.

extension Entries.Entry {
    /// The entry to have in place of this one while another attachment of the same container has the port; nil when the
    /// port is free, our own, or somebody else's.
    func waiting(behind found: Element?, _ owner: FilterOwner) -> Entries.Entry? {
        guard case .refuse(let key) = clash, let comment = found?.comment, !owner.owns(comment),
            owner.isOfSameContainer(comment), case .address(let address)? = key.first
        else { return nil }
        let place = BaseLayout.standbyPorts(address.family)
        return Entries.Entry(
            table: place.table, set: place.set, element: Element(key, comment: element.comment), clash: .takeOver)
    }
}

extension Element {
    /// The chain it leads to, or will lead to when it waits for a port with conditions.
    var chain: String? {
        if case .verdict(let verdict)? = value { return verdict.chain }
        guard value == nil, key.count == 5, key.last == .port(0), let tag = comment?.prefix(while: { $0 != " " }) else {
            return nil
        }
        return Entries.ownerChain(tag: tag)
    }
}

extension NFTables {
    /// Hands the ports that `removals` free to who waits for them.
    ///
    /// - Returns: what is to be done after the removals, and the elements it makes.
    func successions(
        _ removals: [TableCommand]
    ) throws(NetfilterError) -> (commands: [TableCommand], elements: [Element]) {
        var commands: [TableCommand] = []
        var made: [Element] = []
        for family in [AddressFamily.ipv4, .ipv6] {
            let standby = BaseLayout.standbyPorts(family)
            let maps = [BaseLayout.hostPorts, BaseLayout.hostAddressPorts, BaseLayout.conditionalPorts].map {
                $0(family)
            }
            let freed = maps.map { map in Self.elements(of: map, in: removals) }
            if freed.allSatisfy(\.isEmpty) { continue }
            let leaving = Set(Self.elements(of: standby, in: removals).map(\.key))
            // Who waits is known by the interface's name, for want of a time: eth1 before eth2 and eth10.
            let waiting = try elements(of: standby).filter { !leaving.contains($0.key) }.sorted {
                let (first, second) = (FilterOwner.interface($0.comment), FilterOwner.interface($1.comment))
                return (first.utf8.count, first) < (second.utf8.count, second)
            }
            var taken: [Element] = []
            for (map, elements) in zip(maps, freed) {
                let heirs = elements.compactMap { element -> Element? in
                    let isConditional = map.set.value == .verdict
                    let host = element.key.count == 3 ? [] : [Datum.address(IPAddress(family: family, number: 0))]
                    guard
                        let next = waiting.first(where: {
                            $0.key.starts(with: host + element.key) && ($0.key.last == .port(0)) == isConditional
                        })
                    else { return nil }
                    taken.append(next)
                    let value = next.chain.map { Element.Value.verdict(.jump($0)) } ?? .data(Array(next.key.suffix(2)))
                    return Element(element.key, value: value, comment: next.comment)
                }
                if heirs.isEmpty { continue }
                commands.append(.addElements(map.table, set: map.set.name, heirs, isNew: true))
                made += heirs
            }
            if !taken.isEmpty { commands.append(.removeElements(standby.table, set: standby.set.name, taken)) }
        }
        return (commands, made)
    }

    private static func elements(of place: BaseLayout.Place, in removals: [TableCommand]) -> [Element] {
        removals.flatMap { command -> [Element] in
            guard case .removeElements(place.table, place.set.name, let elements, _) = command else { return [] }
            return elements
        }
    }
}
