internal import Attachment
public import CNI
internal import Netlink
internal import NetworkTypes
internal import Overlay
public import PluginKit

extension OverlayCommands: FilterRestoring {
    /// Puts the network's VTEP filter back.
    ///
    /// Who the members are is in the configuration of a network without a daemon. Of others it is in the kernel, as far as
    /// their containers are known there; the daemon corrects it when it next looks.
    public func restore(_ request: Request) throws -> Bool {
        try FaultMapping.mapped {
            let configuration = try OverlayConfiguration(request)
            let previous = try request.resultToRestore()
            guard let path = previous.interfaces.first?.sandbox, let segment = try overlay.open(path),
                let identity = NetworkIdentity(network: request.configuration.name, namespacePath: path)
            else {
                throw CNIError(
                    CNIError.Code.internal, "the overlay namespace of network \(request.configuration.name) is gone",
                    details: "attach the container again")
            }
            if configuration.isDaemonless {
                let network = DaemonlessNetwork(
                    configuration: configuration, system: system, overlay: overlay, host: host(request))
                let plan = try network.plan()
                // A multicast group says nothing of who is in it.
                guard let peers = plan.peers else { return false }
                let wanted = Set(peers + [plan.segment.local])
                if try overlay.members(identity) == wanted { return false }
                try overlay.setMembers(
                    wanted.sorted(), identity, vni: plan.segment.vni, port: plan.segment.port)
                return true
            }
            if try overlay.members(identity) != nil { return false }
            guard let link = try segment.stack.link(named: OverlaySegment.vxlanName), let vxlan = link.vxlan else {
                throw CNIError(
                    CNIError.Code.internal,
                    "\(OverlaySegment.vxlanName) of network \(request.configuration.name) is gone",
                    details: "swiftletd makes it anew: systemctl restart swiftletd")
            }
            let entries = try PeerEntries(segment.stack, vxlan: link.index)
            var members = entries.flooding
            for remotes in entries.forwarding.values { members.formUnion(remotes) }
            if let local = vxlan.local { members.insert(local) }
            try overlay.setMembers(members.sorted(), identity, vni: vxlan.identifier, port: vxlan.port)
            return true
        }
    }
}
