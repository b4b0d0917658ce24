internal import Cluster
internal import Logging
internal import NetworkTypes
internal import Overlay

/// Addresses that containers of other hosts have. The block ring gives an address to one host; where two rings met, a disk was
/// put back or somebody chose addresses by hand, the tables know better, and an ADD must not take what is in use.
extension ClusterNode {
    /// Refuses an address that a live endpoint of another host has, unless the endpoint has it already.
    func refuseHeldElsewhere(
        _ address: IPAddress, for endpoint: String, _ network: NetworkState, status: Int = 503
    ) throws {
        guard network.endpoints[endpoint]?.addresses.contains(address) != true,
            let holder = holder(of: address, network)
        else { return }
        throw ControlFault(
            status, "\(address) is in use by \(holder)", remedy: "choose another address, or remove that container",
            code: 11)
    }

    /// The container of another host that has an address, and its host, for people; nil when none has.
    func holder(of address: IPAddress, _ network: NetworkState) -> String? {
        guard let holder = book.liveHolder(of: address, on: network.id) else { return nil }
        let key = RecordKey(kind: .endpoint, network: network.id, key: holder.endpoint)
        let row = replica.row(key, owner: holder.host).flatMap { EndpointRow(decoding: $0.record.value) }
        let container = row.map { "container \($0.containerID.prefix(12)) on " } ?? ""
        return container + hostName(holder.host)
    }

    /// Parts of this host's blocks without the addresses that live endpoints of other hosts have.
    func withoutHeldElsewhere(_ spans: [AddressSpan], _ network: NetworkState) -> [AddressSpan] {
        spans.flatMap { $0.without(book.liveElsewhere($0.first, $0.last, on: network.id)) }
    }

    /// What is in use of this host's blocks: what is reserved here, and what live endpoints of other hosts have although
    /// nobody lent it to them.
    func used(_ reserved: [IPAddress], _ network: NetworkState) -> [IPAddress] {
        let spans = network.allocator?.ranges.flatMap(\.spans) ?? []
        let held = spans.flatMap { book.liveElsewhere($0.first, $0.last, on: network.id) }
        return held.isEmpty ? reserved : Array(Set(reserved + held)).sorted()
    }

    /// Says so when a row of another host claims an address of a container here: both go on, and only one is reached.
    func noteContest(_ change: RowChange) {
        let record = change.row.record
        guard record.kind == .endpoint, record.owner != key.id, change.event != .gone, change.event != .suspended,
            !change.row.isSuspended, let network = networks[record.network],
            let row = EndpointRow(decoding: record.value)
        else { return }
        for address in row.addresses.map(\.address) {
            guard let text = contest(over: address, network) else { continue }
            log.error(
                "\(text)", metadata: ["network": "\(network.identity.name)", "remedy": "\(Self.contestRemedy)"])
        }
    }

    /// What is to be said of the containers here whose addresses live endpoints of other hosts have, too.
    func contests(_ network: NetworkState) -> [String] {
        let addresses = Set(network.endpoints.values.flatMap(\.addresses)).sorted()
        return addresses.compactMap { contest(over: $0, network) }.map { "\($0); \(Self.contestRemedy)" }
    }

    private func contest(over address: IPAddress, _ network: NetworkState) -> String? {
        guard book.isHeldHere(address, on: network.id), let holder = holder(of: address, network),
            let own = network.endpoints.values.first(where: { $0.addresses.contains(address) })
        else { return nil }
        return "\(address) is in use twice: by container \(own.containerID.prefix(12)) here and by \(holder)"
    }

    private static let contestRemedy = "disconnect one of the two, and connect it again"
}
