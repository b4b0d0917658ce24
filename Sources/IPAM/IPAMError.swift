public import NetworkTypes
public import System

/// Why host-local could not do what it was asked. Descriptions that clients match on are the reference plugin's texts.
public enum IPAMError: Error, Equatable, Sendable {
    /// Every address of the range set with this index is taken (ADD; code 102).
    case exhausted(set: Int, ranges: RangeSet)
    /// A requested address is the gateway, is excluded or is taken; `reason` says which.
    case unavailable(set: Int, address: IPAddress, reason: String)
    /// Requested addresses that no range set could take.
    case unsatisfied([IPAddress])
    /// The owner holds an address of the range set already.
    case duplicate(set: Int, address: IPAddress, containerID: String)
    /// CHECK: nothing is reserved for the container.
    case notFound(containerID: String)
    /// CHECK: the addresses of the earlier result are not the reserved ones; `reason` names one.
    case mismatch(reason: String)
    /// STATUS: an ADD would fail now (code 50).
    case notAvailable(reason: String)
    /// A network name that cannot name a directory (code 7).
    case invalidNetworkName(String)
    /// A file operation failed (code 5).
    case io(SystemError)
    /// GC: some reservations could not be judged or removed; the others were (code 5).
    case incomplete([SystemError])
}

extension IPAMError: CustomStringConvertible {
    /// One line for the user.
    public var description: String {
        switch self {
        case .exhausted(let set, let ranges):
            "failed to allocate for range \(set): no IP addresses available in range set: \(ranges)"
        case .unavailable(let set, _, let reason): "failed to allocate for range \(set): \(reason)"
        case .unsatisfied(let addresses):
            "failed to allocate all requested IPs: " + addresses.map(\.description).joined(separator: " ")
        case .duplicate(let set, let address, let containerID):
            "failed to allocate for range \(set): \(address) has been allocated to \(containerID), "
                + "duplicate allocation is not allowed"
        case .notFound(let containerID): "host-local: Failed to find address added by container \(containerID)"
        case .mismatch(let reason), .notAvailable(let reason): "host-local: \(reason)"
        case .invalidNetworkName(let name): "host-local: \"\(name)\" cannot be a network's name"
        case .io(let error): "\(error)"
        case .incomplete(let errors):
            "host-local: \(errors.count) reservations could not be collected: "
                + errors.map(\.description).joined(separator: "; ")
        }
    }
}
