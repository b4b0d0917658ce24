import Netlink
import NetworkTypes
import System

extension FakeStack {
    func neighbours(family: AddressFamily, link index: Int32?) throws(NetlinkError) -> [Neighbour] {
        here.neighbours.filter { $0.address.family == family && (index == nil || $0.link == index) }
    }

    func forwardingEntries(link index: Int32?) throws(NetlinkError) -> [ForwardingEntry] {
        here.forwarding.filter { index == nil || $0.link == index }
    }

    func announce(_ entries: [IPAddress: MACAddress], by links: [Int32]) throws(NetlinkError) {
        try kernel.count("announce", "\(entries)")
    }

    func awaitLocal(_ addresses: [IPAddress], milliseconds: Int) throws(NetlinkError) -> Bool {
        try kernel.count("await route", "\(addresses)")
        return addresses.allSatisfy { address in here.addresses.contains { $0.prefix.address == address } }
    }

    func hasFixedMAC(bridge: Link) throws(NetlinkError) -> Bool { here.fixedMACs.contains(bridge.index) }

    func perform(_ requests: [RouteRequest]) -> [NetlinkError?] {
        requests.map { request in
            do throws(NetlinkError) {
                try kernel.count(request.operation, request.subject)
                try carryOut(request)
                return nil
            } catch {
                return error
            }
        }
    }

    private func carryOut(_ request: RouteRequest) throws(NetlinkError) {
        func gone() -> NetlinkError { error(request.operation, request.subject, .noSuchFileOrDirectory) }
        switch request {
        case .replaceNeighbour(let entry):
            here.neighbours.removeAll { $0.link == entry.link && $0.address == entry.address }
            here.neighbours.append(entry)
        case .removeNeighbour(let entry):
            guard here.neighbours.contains(where: { $0.link == entry.link && $0.address == entry.address }) else {
                throw gone()
            }
            here.neighbours.removeAll { $0.link == entry.link && $0.address == entry.address }
        case .replaceForwarding(let entry):
            here.forwarding.removeAll { $0.link == entry.link && $0.mac == entry.mac && $0.flags == entry.flags }
            here.forwarding.append(entry)
        case .appendForwarding(let entry):
            if !here.forwarding.contains(entry) { here.forwarding.append(entry) }
        case .removeForwarding(let entry):
            let isMeant = { (found: ForwardingEntry) in
                found.link == entry.link && found.mac == entry.mac && found.flags == entry.flags
                    && (entry.remote == nil || found.remote == entry.remote)
            }
            guard here.forwarding.contains(where: isMeant) else { throw gone() }
            here.forwarding.removeAll(where: isMeant)
        default: throw error(request.operation, request.subject, .notSupported)
        }
    }
}

extension FaultyStack {
    func awaitLocal(_ addresses: [IPAddress], milliseconds: Int) throws(NetlinkError) -> Bool {
        try injector.count("await route", "\(addresses)")
        return try real.awaitLocal(addresses, milliseconds: milliseconds)
    }

    func hasFixedMAC(bridge: Link) throws(NetlinkError) -> Bool { try real.hasFixedMAC(bridge: bridge) }

    func announce(_ entries: [IPAddress: MACAddress], by links: [Int32]) throws(NetlinkError) {
        try injector.count("announce", "\(entries)")
        try real.announce(entries, by: links)
    }

    func neighbours(family: AddressFamily, link index: Int32?) throws(NetlinkError) -> [Neighbour] {
        try real.neighbours(family: family, link: index)
    }

    func forwardingEntries(link index: Int32?) throws(NetlinkError) -> [ForwardingEntry] {
        try real.forwardingEntries(link: index)
    }

    func perform(_ requests: [RouteRequest]) -> [NetlinkError?] {
        requests.map { request in
            do throws(NetlinkError) {
                try injector.count(request.operation, request.subject)
                return real.perform([request])[0]
            } catch {
                return error
            }
        }
    }
}
