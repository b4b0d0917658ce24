public import Attachment
internal import CNI
internal import Netlink

/// What STATUS asks of the host (CNI specification, STATUS): code 50 with the reason, whatever the reason is.
public enum Readiness {
    /// Runs what an ADD would need first; its failure is why no ADD could be served.
    public static func require(_ attempt: () throws -> Void) throws {
        do {
            try attempt()
        } catch {
            throw CNIError(CNIError.Code.notAvailable, ErrorMapping.cniError(error).description)
        }
    }

    /// Refuses when a link of the bridge's name is something else.
    public static func requireBridge(named name: String, _ system: any HostNamespaces) throws {
        guard let link = try system.hostStack().link(named: name), link.kind != "bridge" else { return }
        throw CNIError(
            CNIError.Code.notAvailable, "\"\(name)\" already exists but is not a bridge",
            details: "choose another name with the key \"bridge\"")
    }
}
