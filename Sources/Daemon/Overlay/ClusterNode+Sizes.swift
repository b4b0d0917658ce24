internal import Cluster
internal import Logging
internal import NetworkTypes
internal import Overlay

/// Containers keep the MTU that they were connected with. A member that joins later and carries less makes theirs too large: what
/// they send at full size is dropped on the way.
extension ClusterNode {
    /// Compares the MTUs of the containers here with the network's, and says once when one is too large.
    func noteSizes(_ network: NetworkState, _ mtu: UInt32, _ report: NetworkReport) {
        var found: [String: UInt32] = [:]
        for (name, port) in report.ports where port.mtu > mtu {
            let owner = network.endpoints.values.first { $0.link == name || $0.alias == port.alias }
            found[owner?.containerID ?? name] = port.mtu
        }
        guard !found.isEmpty else {
            if !network.oversized.isEmpty {
                log.info("no container has a larger MTU than the network any more", metadata: name(network))
            }
            network.oversized = [:]
            network.oversizedText = ""
            return
        }
        let text =
            "the network's MTU is \(mtu) by now, because of \(smallest(network, mtu)); containers of this host that were "
            + "connected before have more: "
            + found.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value))" }.joined(separator: ", ")
        if text != network.oversizedText {
            log.warning(
                "\(text)",
                metadata: name(network).merging(["remedy": "\(Self.sizeRemedy)"]) { one, _ in one })
        }
        network.oversized = found
        network.oversizedText = text
    }

    /// What helps against containers with too large an MTU.
    static let sizeRemedy = "reconnect them, or lower the MTU of their interface; or raise that host's underlay's MTU"

    private func name(_ network: NetworkState) -> Logger.Metadata { ["network": "\(network.identity.name)"] }

    /// Who carries no more than that.
    private func smallest(_ network: NetworkState, _ mtu: UInt32) -> String {
        let others = book.members(of: network.id).filter { $0.row.mtu == mtu }.map { hostName($0.host) }.sorted()
        if !others.isEmpty { return others.joined(separator: ", ") }
        return network.local.row.mtu == mtu ? "its definition" : settings.name
    }
}
