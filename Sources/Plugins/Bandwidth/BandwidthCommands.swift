internal import Attachment
public import CNI
internal import JSON
internal import Netlink
internal import NetworkTypes
public import PluginKit
internal import System

/// The `bandwidth` plugin: holds what a container receives and sends to a rate, on the host's end of its veth.
public struct BandwidthCommands: PluginCommands {
    /// The name the executable goes by.
    public let name = "bandwidth"
    let system: any HostSystem

    /// The plugin on a host.
    public init(system: any HostSystem) {
        self.system = system
    }

    /// Results have had interfaces, without which nothing can be found, since 0.3.0.
    public var supportedVersions: [SpecVersion] { SpecVersion.allCases.filter { $0 >= .v0_3_0 } }

    /// Sets the limits (CNI specification, ADD). Without any the previous result is handed on.
    public func add(_ request: Request) throws -> CNIResult {
        let configuration = try BandwidthConfiguration(request)
        let previous = try previousResult(request)
        if configuration.isEmpty { return previous }
        let host = try system.hostStack()
        let container = try system.container(at: request.invocation.netns)
        let link = try hostLink(request, previous, host, container.stack)
        let device = RedirectDevice(tag: AttachmentTag(request.attachment))
        try removeLeftover(device, link, host)
        let input = BandwidthPlan.Input(
            configuration: configuration, device: device, previous: previous, version: request.configuration.version,
            host: link, root: try host.discipline(.root, link: link.index),
            ingress: try host.discipline(.ingress, link: link.index))
        let plan: BandwidthPlan
        do {
            plan = try BandwidthPlan.make(input)
        } catch {
            throw error.cniError
        }
        return try withTransaction { transaction in
            let executor = StepExecutor(host: host)
            for step in plan.steps {
                if let undo = try executor.apply(step) { transaction.push("\(step)", undo: undo) }
            }
            _ = try plan.result.document(request.configuration.version)
            return plan.result
        }
    }

    func previousResult(_ request: Request) throws -> CNIResult {
        guard let previous = try request.configuration.previousResult() else {
            throw CNIError(
                CNIError.Code.invalidConfiguration, "must be called as chained plugin",
                details: "there is no prevResult; put bandwidth behind the plugin that makes the interface")
        }
        return previous
    }

    /// The host's end of the container's veth, which the chain's plugins must have listed.
    func hostLink(
        _ request: Request, _ previous: CNIResult, _ host: any NetworkStack, _ container: any NetworkStack
    ) throws -> Link {
        let name = request.attachment.interfaceName
        func refusal(_ message: String) -> CNIError {
            CNIError(
                CNIError.Code.invalidConfiguration, message,
                details: "put bandwidth behind a plugin that makes a veth pair between the host and the container")
        }
        guard let inside = try container.link(named: name) else {
            throw refusal("container interface \(name) has no veth peer: could not look up \"\(name)\": Link not found")
        }
        guard inside.kind == "veth", let index = inside.peer else {
            throw refusal(
                "container interface \(name) has no veth peer: interface \"\(name)\" was not a veth interface")
        }
        guard let link = try inside.veth(in: host) else {
            throw refusal("veth peer with index \(index) is not in host ns")
        }
        guard previous.interfaces.contains(where: { $0.name == link.name && ($0.sandbox ?? "").isEmpty }) else {
            throw CNIError(
                CNIError.Code.invalidConfiguration, "no veth peer of container interface found in host ns",
                details: "it is \(link.name), which prevResult does not list")
        }
        return link
    }

    /// Removes what an ADD of this very attachment left that was killed half way.
    private func removeLeftover(_ device: RedirectDevice, _ link: Link, _ host: any NetworkStack) throws {
        let leftover = try host.link(named: device.name)
        if let leftover, !device.owns(leftover) {
            throw CNIError(
                CNIError.Code.foreignObject, "interface \(device.name) is in the way and is not this attachment's",
                details: "its alias is \"\(leftover.alias ?? "")\"; remove it with: ip link delete \(device.name)")
        }
        try unshape(link, device, leftover, host)
        if let leftover { try host.removeLink(index: leftover.index) }
    }
}

extension BandwidthPlan.Refusal {
    /// The refusal as a CNI error.
    var cniError: CNIError {
        let place = position == .root ? "root" : "ingress"
        return CNIError(
            CNIError.Code.foreignObject, "\(link) already has a qdisc at its \(place): \(found.kind)",
            details: "only one can shape it; remove the other with: tc qdisc delete dev \(link) \(place)")
    }
}
