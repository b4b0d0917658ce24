public import CNI
public import Netfilter
public import NetworkTypes

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
    /// Removes everything an attachment has in the packet filter.
    ///
    /// A DEL goes to every plugin of the chain, and each deleting transaction waits for a grace period of the kernel (4 to
    /// 17 ms). So the first plugin asked removes what all of them made, and the others find nothing left to wait for.
    public func removeFilterEntries(of attachment: Attachment, addresses: [IPAddress]) throws {
        try removeFilterEntries(.all, of: FilterOwner(attachment), addresses: addresses)
    }

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
