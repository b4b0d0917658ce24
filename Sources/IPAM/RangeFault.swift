public import NetworkTypes

/// Why a range or a set of ranges cannot be allocated from. The descriptions are the reference plugin's texts.
public enum RangeFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The network has fewer than four addresses.
    case tooSmall(IPPrefix)
    /// The subnet names a host, not a network.
    case hostBits(IPPrefix)
    /// The first address is outside the subnet or after the last one.
    case startOutside(IPAddress, IPPrefix)
    /// The last address is outside the subnet or before the first one.
    case endOutside(IPAddress, IPPrefix)
    /// An address of the subnet that no host can have, given as this key's value.
    case noHost(key: String, IPAddress, IPPrefix, IPPrefix.Purpose)
    /// The gateway is of the other family.
    case otherFamily(gateway: IPAddress, IPPrefix)
    /// A set without ranges.
    case emptySet
    /// IPv4 and IPv6 in one set.
    case mixedFamilies
    /// Two ranges of a set share addresses.
    case overlap(AddressRange, AddressRange)

    /// The key whose value is at fault, where the reference has no such fault and no text for it.
    var key: String? {
        switch self {
        case .noHost(let key, _, _, _): key
        case .otherFamily: "gateway"
        default: nil
        }
    }

    /// The reference plugin's wording where it has one.
    public var description: String {
        switch self {
        case .tooSmall(let subnet): "Network \(subnet) too small to allocate from"
        case .hostBits(let subnet):
            "Network has host bits set. For a subnet mask of length \(subnet.length) the network address is "
                + "\(subnet.first)"
        case .startOutside(let address, let subnet): "RangeStart \(address) not in network \(subnet)"
        case .endOutside(let address, let subnet): "RangeEnd \(address) not in network \(subnet)"
        case .noHost(_, let address, let subnet, let purpose):
            "\(address) is \(purpose.rawValue) of \(subnet), which no host can have"
        case .otherFamily(let gateway, let subnet):
            "\(gateway) is of another family than \(subnet); name a gateway of the subnet's own"
        case .emptySet: "empty range set"
        case .mixedFamilies: "mixed address families"
        case .overlap(let one, let other): "subnets \(one) and \(other) overlap"
        }
    }
}
