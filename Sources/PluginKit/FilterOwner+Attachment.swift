public import CNI
public import Netfilter

extension FilterOwner {
    /// The owner an attachment is to the packet filter.
    public init(_ attachment: Attachment) {
        self.init(
            network: attachment.network, containerID: attachment.containerID, interfaceName: attachment.interfaceName)
    }

    /// The owner that GC is told to keep.
    public init(network: String, _ entry: ValidAttachments.Entry) {
        self.init(network: network, containerID: entry.containerID, interfaceName: entry.interfaceName)
    }
}

extension HostSystem {
    /// Makes sure that an attachment's rules are there, in the chosen back end or in the other one: the choice may have
    /// fallen differently when they were made.
    public func checkFilterRules(_ rules: [FilterRule], of owner: FilterOwner, _ choice: BackendChoice) throws {
        if rules.isEmpty { return }
        do {
            try packetFilter(choice).check(rules, of: owner)
        } catch let error as NetfilterError {
            guard case .missing = error, choice == .automatic else { throw error }
            for other in [BackendChoice.nftables, .iptables] {
                if (try? packetFilter(other).check(rules, of: owner)) != nil { return }
            }
            throw error
        }
    }
}
