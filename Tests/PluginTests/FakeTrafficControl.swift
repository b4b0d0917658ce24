import Netlink
import System

extension FakeStack {
    func discipline(_ position: DisciplinePosition, link: Int32) throws(NetlinkError) -> QueueDiscipline? {
        if here.links[link] == nil { throw error("read qdisc", "on link \(link)", .noSuchDevice) }
        return here.disciplines[link]?[position]
    }

    private func add(_ position: DisciplinePosition, _ discipline: QueueDiscipline, _ link: Int32) throws(NetlinkError)
    {
        try kernel.count("add \(discipline.kind) qdisc", here.links[link]?.name ?? "\(link)")
        if kernel.lacking.contains(discipline.kind) { throw error("add qdisc", "", .noSuchFileOrDirectory) }
        guard here.links[link] != nil else { throw error("add qdisc", "on link \(link)", .noSuchDevice) }
        if here.disciplines[link]?[position] != nil { throw error("add qdisc", "on link \(link)", .fileExists) }
        here.disciplines[link, default: [:]][position] = discipline
    }

    func addTokenBucket(_ bucket: TokenBucket, handle: UInt16, link: Int32) throws(NetlinkError) {
        try add(
            .root, QueueDiscipline(kind: "tbf", handle: handle, tokenBucket: TokenBucketState(bucket)), link)
    }

    func addIngress(link: Int32) throws(NetlinkError) {
        try add(.ingress, QueueDiscipline(kind: "ingress", handle: 0xFFFF), link)
    }

    func removeDiscipline(_ position: DisciplinePosition, link: Int32) throws(NetlinkError) {
        try kernel.count("remove qdisc", here.links[link]?.name ?? "\(link)")
        guard here.disciplines[link]?[position] != nil else {
            throw error("remove qdisc", "on link \(link)", .noSuchFileOrDirectory)
        }
        here.disciplines[link]?[position] = nil
        if here.disciplines[link]?.isEmpty == true { here.disciplines[link] = nil }
        if position == .ingress { here.filters[link] = nil }
    }

    func addRedirect(from link: Int32, to target: Int32) throws(NetlinkError) {
        try kernel.count("add redirect", here.links[link]?.name ?? "\(link)")
        if kernel.lacking.contains("u32") { throw error("add filter", "", .noSuchFileOrDirectory) }
        guard here.disciplines[link]?[.ingress] != nil else { throw error("add filter", "", .invalidArgument) }
        here.filters[link, default: []].append(TrafficFilter(kind: "u32", preference: 1, target: target))
    }

    func ingressFilters(link: Int32) throws(NetlinkError) -> [TrafficFilter] { here.filters[link] ?? [] }
}

extension FaultyStack {
    func discipline(_ position: DisciplinePosition, link: Int32) throws(NetlinkError) -> QueueDiscipline? {
        try real.discipline(position, link: link)
    }

    func addTokenBucket(_ bucket: TokenBucket, handle: UInt16, link: Int32) throws(NetlinkError) {
        try injector.count("add tbf qdisc", "\(link)")
        try real.addTokenBucket(bucket, handle: handle, link: link)
    }

    func addIngress(link: Int32) throws(NetlinkError) {
        try injector.count("add ingress qdisc", "\(link)")
        try real.addIngress(link: link)
    }

    func removeDiscipline(_ position: DisciplinePosition, link: Int32) throws(NetlinkError) {
        try injector.count("remove qdisc", "\(link)")
        try real.removeDiscipline(position, link: link)
    }

    func addRedirect(from link: Int32, to target: Int32) throws(NetlinkError) {
        try injector.count("add redirect", "\(link)")
        try real.addRedirect(from: link, to: target)
    }

    func ingressFilters(link: Int32) throws(NetlinkError) -> [TrafficFilter] { try real.ingressFilters(link: link) }
}
