internal import Attachment
internal import CNI
internal import Netlink
internal import NetworkTypes
internal import PluginKit

/// The ifb device a container's outgoing traffic passes: its name, its mark, its address.
struct RedirectDevice: Equatable {
    /// The attachment's tag, which alias and name carry.
    let tag: AttachmentTag

    /// "bwp" and the characters the attachment's host veth has behind "veth".
    var name: String { "bwp" + tag.linkName.dropFirst(4) }

    /// A MAC that is the same for the same attachment.
    var mac: MACAddress {
        let digest = SHA512.digest("\(tag.alias) ifb".utf8)
        return MACAddress(locallyAdministered: digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// Whether a link of that name is ours: marked so, or the half-made work of an ADD that was killed.
    func owns(_ link: Link) -> Bool { link.kind == "ifb" && (link.alias == nil || tag.owns(alias: link.alias)) }

    /// What the names of all devices of a network begin with.
    static func namePrefix(network: String) -> String {
        "bwp" + AttachmentTag.linkNamePrefix(network: network).dropFirst(4)
    }

    /// The name the reference plugin gives: it knows network and container, not the interface.
    var referenceName: String {
        "bwp" + SHA512.hex(tag.attachment.network + tag.attachment.containerID, length: 12)
    }
}

/// Everything an ADD will do to the kernel, worked out before any of it is done.
struct BandwidthPlan: Equatable {
    /// The changes, all on the host.
    var steps: [Step] = []
    /// The previous result, with the ifb when there is one.
    var result: CNIResult

    /// What was found on the host's end of the container's veth, and what shall be done with it.
    struct Input {
        var configuration: BandwidthConfiguration
        var device: RedirectDevice
        var previous: CNIResult
        var version: SpecVersion
        var host: Link
        var root: QueueDiscipline?
        var ingress: QueueDiscipline?
    }

    /// Another shaper is at work where ours would have to be.
    struct Refusal: Error, Equatable {
        let link: String
        let position: DisciplinePosition
        let found: QueueDiscipline
    }

    /// Works the steps out. Pure: the same input gives the same plan.
    static func make(_ input: Input) throws(Refusal) -> BandwidthPlan {
        var plan = BandwidthPlan(result: input.previous)
        let host = input.host.name
        if input.configuration.ingress != nil, let root = input.root, root.handle != 0 {
            throw Refusal(link: host, position: .root, found: root)
        }
        if let egress = input.configuration.egress {
            if let found = input.ingress { throw Refusal(link: host, position: .ingress, found: found) }
            plan.redirect(input, egress)
        }
        if let ingress = input.configuration.ingress {
            plan.steps.append(.addTokenBucket(ingress.bucket, link: host))
        }
        return plan
    }

    private mutating func redirect(_ input: Input, _ limit: BandwidthConfiguration.Limit) {
        let (name, mac) = (input.device.name, input.device.mac)
        steps += [
            .createLink(LinkSpec(name: name, kind: .ifb, mac: mac, mtu: input.host.mtu), .host),
            .changeLink(
                name,
                LinkChange {
                    $0.alias = input.device.tag.alias
                    $0.isUp = true
                }, .host),
            .addTokenBucket(limit.bucket, link: name),
            .addIngress(link: input.host.name),
            .redirect(from: input.host.name, to: name),
        ]
        var interface = CNIResult.Interface(name: name, mac: mac.description)
        if input.version >= .v1_1_0 { interface.mtu = Int(input.host.mtu) }
        result.interfaces.append(interface)
    }
}
