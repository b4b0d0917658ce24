internal import Attachment
public import CNI
internal import JSON
internal import Netlink
internal import PluginKit
internal import System

extension BandwidthCommands {
    /// Compares the limits with the kernel's (CNI specification, CHECK). Nothing is printed on success.
    public func check(_ request: Request) throws {
        let configuration = try BandwidthConfiguration(request)
        let previous = try previousResult(request)
        if configuration.isEmpty { return }
        let host = try system.hostStack()
        let container = try system.container(at: request.invocation.netns)
        let link = try hostLink(request, previous, host, container.stack)
        if let ingress = configuration.ingress { try check(ingress, "ingress", link, host) }
        guard let egress = configuration.egress else { return }
        let device = RedirectDevice(tag: AttachmentTag(request.attachment))
        guard let target = try host.ingressFilters(link: link.index).compactMap(\.target).first else {
            throw failure("what comes from the container by \(link.name) is not redirected")
        }
        // The reference plugin's device serves as well: a host may change suites while containers run.
        guard let ifb = try host.link(index: target), [device.name, device.referenceName].contains(ifb.name),
            device.owns(ifb)
        else { throw failure("what comes from the container by \(link.name) is not redirected to \(device.name)") }
        guard ifb.isUp else { throw failure("\(ifb.name) is down") }
        try check(egress, "egress", ifb, host)
    }

    private func failure(_ message: String) -> CNIError { CNIError(CNIError.Code.internal, message) }

    private func check(
        _ limit: BandwidthConfiguration.Limit, _ direction: String, _ link: Link, _ host: any NetworkStack
    ) throws {
        guard let state = try host.discipline(.root, link: link.index)?.tokenBucket else {
            throw failure("\(direction): \(link.name) has no token bucket filter")
        }
        let wanted = limit.bucket
        guard state.rate == wanted.rate else {
            throw failure(
                "\(direction)Rate: the rate of \(link.name) is \(state.rate) bytes a second, not \(wanted.rate)")
        }
        guard state.hasBurst(of: wanted) else {
            throw failure("\(direction)Burst: the burst of \(link.name) is \(state.burst) bytes, not \(wanted.burst)")
        }
        guard state.limit == wanted.limit else {
            throw failure("\(direction): \(link.name) queues \(state.limit) bytes, not \(wanted.limit)")
        }
    }

    /// Says whether an ADD could be served now (CNI specification, STATUS): whether the kernel has the parts that the
    /// configured limits need, or all of them when the runtime passes limits.
    public func status(_ request: Request) throws {
        let configuration = try BandwidthConfiguration(request)
        let isOpen = configuration.isEmpty && configuration.isCapable
        if configuration.isEmpty, !isOpen { return }
        if let gap = try system.shapingGap(redirects: configuration.egress != nil || isOpen) {
            throw CNIError(CNIError.Code.notAvailable, gap.description)
        }
    }
}
