internal import Attachment
internal import CNI
internal import Netfilter
internal import NetworkTypes
internal import PluginKit

/// A container's way out over one gateway bridge, and the networks that use it.
///
/// There is one for each container and gateway bridge, whichever of the container's networks came first. Interface, address
/// and rules belong to it and to none of the networks; so nothing has to change hands when the network that made it goes.
struct WayOut: Equatable {
    /// What networks on one way out have to agree on.
    struct Options: Equatable {
        /// `icc`.
        var communicates = false
        /// `ipMasq`.
        var masquerades = true
        /// `snatAddress`.
        var sourceAddress: IPAddress?
        /// `mtu`; nil takes what is there.
        var mtu: UInt32?
    }

    /// One network's use of the way out.
    struct User: Equatable {
        /// The network's name.
        var network: String
        /// `CNI_IFNAME` of the network's attachment.
        var interfaceName: String
        /// The ports it publishes.
        var mappings: [PortMapping] = []
        /// Whether the network leaves the rest of the world to the way out.
        var wantsDefaultRoute = true
        /// False for a network of the release before ways out were shared: what it publishes is known to the packet filter
        /// only.
        var isRecorded = true
    }

    /// Whose the interface and the packet filter's entries are.
    var identity: Attachment
    /// The gateway bridge.
    var bridge: String
    /// The interface's name in the container.
    var interface: String
    /// The container's address; nil while the way out is being made, and for ever if that was cut short.
    var address: IPPrefix?
    /// The packet filter's back end that has the rules.
    var backend = BackendChoice.nftables
    /// `dataDir`, as it was when the address was reserved.
    var dataDirectory: String
    /// What all users have agreed on.
    var options = Options()
    /// The users, in the order they came; the address is reserved in the first one's name.
    var users: [User]

    /// What a way out is called on its bridge. No network's name begins with "@".
    static func identity(bridge: String, containerID: String) -> Attachment {
        Attachment(network: network(bridge: bridge), containerID: containerID, interfaceName: "gw0")
    }

    /// The network that a bridge's ways out are filed under.
    static func network(bridge: String) -> String { "@\(bridge)" }

    /// False for an interface that one network made for itself alone, in this release or the one before.
    var isShared: Bool { identity.network == Self.network(bridge: bridge) }

    /// The tag that names the host's end of the interface.
    var tag: AttachmentTag { AttachmentTag(identity) }

    /// The packet filter's owner.
    var owner: FilterOwner { FilterOwner(identity) }

    /// The ports of all users, each once.
    var mappings: [PortMapping] {
        var all: [PortMapping] = []
        for user in users { all += user.mappings.filter { !all.contains($0) } }
        return all
    }

    /// Whether a user has the container's default route go this way.
    var hasDefaultRoute: Bool { users.contains(where: \.wantsDefaultRoute) }

    /// The bridge's address on the way out's subnet.
    var gateway: IPAddress? { address?.first.next }

    /// What the packet filter is to forward for all users.
    var forward: PortForward { PortForward(mappings, to: address.map { [$0] } ?? []) }

    /// A user's place among the users; nil when it is none.
    func index(ofNetwork network: String, interfaceName: String) -> Int? {
        users.firstIndex { $0.network == network && $0.interfaceName == interfaceName }
    }

    /// Makes sure that another network can use the way out, too.
    ///
    /// - Throws: code 7 with both networks and what they disagree on.
    func admit(_ user: User, _ wanted: Options, subnet: IPPrefix?) throws(CNIError) {
        func say(_ text: String?) -> String { text ?? "not given" }
        let (mine, other) = (wanted, options)
        if mine.communicates != other.communicates {
            throw disagreement(user, "icc", "\(mine.communicates)", "\(other.communicates)")
        }
        if mine.masquerades != other.masquerades {
            throw disagreement(user, "ipMasq", "\(mine.masquerades)", "\(other.masquerades)")
        }
        if mine.sourceAddress != other.sourceAddress {
            throw disagreement(
                user, "snatAddress", say(mine.sourceAddress?.description), say(other.sourceAddress?.description))
        }
        if let size = mine.mtu, let there = other.mtu, size != there {
            throw disagreement(user, "mtu", "\(size)", "\(there)")
        }
        if let subnet, let address, subnet != address.network {
            throw disagreement(user, "subnet", "\(subnet)", "\(address.network)")
        }
        for mapping in user.mappings {
            for holder in users {
                guard let held = holder.mappings.first(where: { $0.clashes(with: mapping) }) else { continue }
                throw disagreement(
                    user, "portMappings", "port \(mapping.containerPort) for hostPort \(mapping.hostPort)",
                    "port \(held.containerPort)", holder)
            }
        }
    }

    private func disagreement(_ user: User, _ key: String, _ mine: String, _ other: String, _ holder: User? = nil)
        -> CNIError
    {
        let first = (holder ?? users.first)?.network ?? ""
        return CNIError(
            CNIError.Code.invalidConfiguration,
            "networks \"\(user.network)\" and \"\(first)\" share the container's way out over \(bridge) and contradict each "
                + "other: \(key) is \(mine) and \(other)",
            details: "give both the same \(key), or one of them a gateway bridge of its own with the key \"bridge\"")
    }
}

extension PortMapping {
    /// Whether both are about the same port of the host and lead elsewhere.
    fileprivate func clashes(with other: PortMapping) -> Bool {
        func certain(_ address: IPAddress?) -> IPAddress? { address?.isUnspecified == false ? address : nil }
        return transport == other.transport && hostPort == other.hostPort && containerPort != other.containerPort
            && certain(hostAddress) == certain(other.hostAddress)
    }
}
