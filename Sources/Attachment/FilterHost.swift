public import CNI
public import Netfilter
public import NetworkTypes

/// The packet filters of a host.
public protocol FilterHost {
    /// Opens the packet filter to add to and to compare with.
    ///
    /// - Throws: ``NetfilterError/unavailable(_:)`` with what the host lacks.
    func packetFilter(_ choice: BackendChoice) throws -> any PacketFilter
    /// Removes what an attachment has in the packet filter, whichever back end or suite made it.
    ///
    /// - Parameter addresses: the container's, as far as known; needed only for rules that carry nothing else.
    func removeFilterEntries(_ parts: FilterParts, of owner: FilterOwner, addresses: [IPAddress]) throws
    /// Removes what a network's attachments that are not in the list have in the packet filter.
    func collectFilterEntries(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws
}

extension FilterHost {
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

    /// Adds an attachment's rules unless they are all there, in whichever back end.
    ///
    /// - Returns: whether any was missing.
    public func restoreFilterRules(
        _ rules: [FilterRule], of owner: FilterOwner, _ choice: BackendChoice
    ) throws -> Bool {
        if rules.isEmpty { return false }
        do {
            try checkFilterRules(rules, of: owner, choice)
            return false
        } catch let error as NetfilterError {
            guard case .missing = error else { throw error }
            try packetFilter(choice).add(rules, for: owner)
            return true
        }
    }
}
