/// What went wrong while steps were applied, beyond what netlink itself reports.
public enum StepError: Error, Equatable, Sendable {
    /// A link a step speaks of is not there.
    case linkMissing(String)
    /// A place a step speaks of was not given to the executor, or cannot be reached from another one.
    case placeMissing(Place)
    /// The kernel was built without `CONFIG_BRIDGE_VLAN_FILTERING`.
    case noVLANFiltering(bridge: String)
    /// The kernel was built without an option that `purpose` needs.
    case kernelLacks(option: String, purpose: String)
    /// Another node already uses the address.
    case duplicateAddress(link: String, prefix: String)
    /// Waiting for a condition took too long.
    case timedOut(String)
}

extension StepError: CustomStringConvertible {
    /// What happened, and the remedy where there is one.
    public var description: String {
        switch self {
        case .linkMissing(let name): "link \(name) not found"
        case .placeMissing(let place): "the namespace \(place.name) is not open"
        case .noVLANFiltering(let bridge):
            "vlan or vlanTrunk: bridge \(bridge) cannot filter VLANs: this kernel was built without "
                + "CONFIG_BRIDGE_VLAN_FILTERING; remove the keys \"vlan\" and \"vlanTrunk\" or use another kernel"
        case .kernelLacks(let option, let purpose):
            "\(purpose): this kernel was built without \(option); remove the keys or use another kernel"
        case .duplicateAddress(let link, let prefix):
            "link \(link) has address \(prefix) in DADFAILED state: another node uses it"
        case .timedOut(let what): what
        }
    }
}
