internal import Attachment
internal import BridgePlugin
internal import CNI
public import CNIRuntime
internal import FirewallPlugin
internal import GwbridgeNATPlugin
internal import JSON
internal import Netlink
internal import OverlayVXLANPlugin
public import PluginKit
internal import PortmapPlugin
internal import System

/// Puts back what running containers have in the packet filter, and in firewalld's zones, after somebody has flushed it.
///
/// Who runs is told by the runtimes' result cache, checked against the containers' namespaces; what each needs follows
/// from its configuration and its result, as for CHECK. Nothing of a container that has gone is put back.
public struct Reload {
    /// How long after the last repair it is looked whether a DEL has taken the container meanwhile, milliseconds.
    public static let settlingTime = 500
    /// The most attachments looked at in one go; more is told as a failure.
    public static let largestHost = 16_384

    private let cache: ResultCache
    private let system: any HostSystem
    private let settling: Int
    private let plugins: [String: any FilterRestoring]
    private let liveness: Liveness

    /// A reload of the host the process runs on.
    ///
    /// - Parameters:
    ///   - cache: where runtimes remember attachments.
    ///   - system: the host.
    ///   - settling: milliseconds, see ``settlingTime``.
    public init(
        cache: ResultCache = ResultCache(), system: any HostSystem = KernelHost(), settling: Int = settlingTime
    ) {
        self.cache = cache
        self.system = system
        self.settling = settling
        liveness = Liveness(system: system)
        let overlay = OverlayCommands(system: system, overlay: KernelOverlayHost(system: system))
        let all: [any FilterRestoring] = [
            BridgeCommands(system: system), PortmapCommands(system: system), FirewallCommands(system: system),
            GwbridgeCommands(system: system), overlay,
        ]
        plugins = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
    }

    /// Looks at every container and puts back what it misses. Never throws: what cannot be restored is in the report.
    public func run() -> ReloadReport {
        var report = ReloadReport()
        let known = cache.allAttachments()
        for cached in known.prefix(Self.largestHost) {
            if let entry = restore(cached) { report.entries.append(entry) }
        }
        if known.count > Self.largestHost {
            report.failures.append("more than \(Self.largestHost) attachments: the rest was not looked at")
        }
        report.failures += forgotten(known)
        withdraw(&report)
        return report
    }

    /// Restores one attachment; nil when it is none of ours or not running.
    private func restore(_ cached: CachedAttachment) -> ReloadReport.Entry? {
        var entry = ReloadReport.Entry(attachment: cached.attachment)
        let list: NetworkList
        do throws(CNIError) {
            list = try Self.list(cached)
        } catch {
            // Whether it is one of ours cannot be told.
            return nil
        }
        let indices = list.plugins.indices.filter { plugins[list.type(at: $0)] != nil }
        guard !indices.isEmpty, liveness.isRunning(cached, list.version), isOurs(cached, list) else { return nil }
        for index in indices {
            let type = list.type(at: index)
            guard let plugin = plugins[type] else { continue }
            do {
                let request = try Self.request(list, index, cached)
                if try plugin.restore(request) { entry.restored.append(type) }
            } catch {
                entry.failures.append((type, ErrorMapping.cniError(error)))
            }
        }
        return entry
    }

    private static func list(_ cached: CachedAttachment) throws(CNIError) -> NetworkList {
        do throws(CNIError) {
            return try NetworkList(parsing: cached.configuration)
        } catch {
            // A plugin that was called without a list is a list of one.
            guard let single = try? NetworkList(parsing: cached.configuration, isSingle: true) else { throw error }
            return single
        }
    }

    private static func request(_ list: NetworkList, _ index: Int, _ cached: CachedAttachment) throws -> Request {
        let bytes = list.configuration(at: index, previous: cached.result, capabilities: cached.capabilities)
        let arguments = cached.arguments.map { "\($0.name)=\($0.value)" }.joined(separator: ";")
        let invocation = Invocation(
            command: .check, containerID: cached.attachment.containerID,
            netns: Liveness.namespace(cached, list.version) ?? cached.netns,
            interfaceName: cached.attachment.interfaceName, arguments: arguments, environment: .current(), input: bytes)
        return Request(invocation: invocation, configuration: try NetworkConfiguration(parsing: bytes))
    }

    // MARK: Ours and others'

    /// Whether this suite made the attachment: its names are the reference plugins', but its links carry our marks.
    private func isOurs(_ cached: CachedAttachment, _ list: NetworkList) -> Bool {
        if list.plugins.indices.contains(where: { ["overlay-vxlan", "gwbridge-nat"].contains(list.type(at: $0)) }) {
            return true
        }
        let tag = AttachmentTag(cached.attachment)
        guard let link = try? system.hostStack().link(named: tag.linkName) else { return false }
        return tag.owns(alias: link.alias)
    }

    /// Our links whose attachments no runtime remembers: nobody knows what they need.
    private func forgotten(_ known: [CachedAttachment]) -> [String] {
        guard let links = try? system.hostStack().links() else { return [] }
        let names = Set(
            known.flatMap { cached -> [String] in
                let gateway = Attachment(
                    network: cached.attachment.network + "@gw", containerID: cached.attachment.containerID,
                    interfaceName: cached.attachment.interfaceName)
                return [AttachmentTag(cached.attachment).linkName, AttachmentTag(gateway).linkName]
            })
        let containers = Set(known.map(\.attachment.containerID))
        return links.filter { link in
            guard link.kind == "veth", let alias = link.alias, alias.hasPrefix("swiftlet ") else { return false }
            // A way out over a gateway bridge is the container's and no network's: "swiftlet @BRIDGE CONTAINER gw0".
            let parts = alias.split(separator: " ")
            if parts.count == 4, parts[1].hasPrefix("@") { return !containers.contains(String(parts[2])) }
            return !names.contains(link.name)
        }
        .map { link in
            "\(link.name) (\(link.alias ?? "")): no runtime's result is remembered in \(cache.directory)/results; "
                + "attach its container again"
        }
    }

    // MARK: Containers that go meanwhile

    /// A DEL may have been at work on a container that was being restored, and have looked before we wrote. Its runtime
    /// forgets the attachment when it is done: then what we have put back goes again.
    private func withdraw(_ report: inout ReloadReport) {
        let restored = report.entries.indices.filter { !report.entries[$0].restored.isEmpty }
        if restored.isEmpty { return }
        pause(milliseconds: settling)
        for index in restored {
            let attachment = report.entries[index].attachment
            guard case .some(.none) = try? cache.load(attachment) else { continue }
            let gateway = Attachment(
                network: attachment.network + "@gw", containerID: attachment.containerID,
                interfaceName: attachment.interfaceName)
            for owner in [attachment, gateway] {
                do {
                    try system.removeFilterEntries(of: owner, addresses: [])
                } catch {
                    report.entries[index].failures.append(("reload", ErrorMapping.cniError(error)))
                }
            }
            report.entries[index].restored = []
        }
    }
}
