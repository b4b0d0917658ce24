public import Netlink
internal import System

/// Finds who on this host has a VNI: two VXLANs whose packets leave by one namespace cannot share VNI and UDP port.
public enum VNIHolder {
    /// Directories in which namespaces have names: ours, iproute2's, Docker's.
    public static let usualDirectories = [OverlayNamespaces.usualDirectory, "/run/netns", "/run/docker/netns"]

    /// A VXLAN with that VNI and port, in words ("flannel.1 on this host", "vxlan0 in /run/netns/x"); nil when none is to be
    /// seen.
    ///
    /// - Parameters:
    ///   - host: the host's namespace.
    ///   - except: the path of a namespace that is not looked at.
    public static func find(
        vni: UInt32, port: UInt16, host: any NetworkStack, except: String,
        directories: [String] = VNIHolder.usualDirectories
    ) -> String? {
        if let name = try? find(vni, port, host) { return "\(name) on this host" }
        for directory in directories where Files.exists(directory) {
            for name in (try? Files.list(directory).sorted()) ?? [] {
                let path = "\(directory)/\(name)"
                if path == except { continue }
                guard let namespace = try? NetworkNamespace(path: path), let stack = try? RouteSession(in: namespace),
                    let link = try? find(vni, port, stack)
                else { continue }
                return "\(link) in \(path)"
            }
        }
        return nil
    }

    private static func find(_ vni: UInt32, _ port: UInt16, _ stack: any NetworkStack) throws(NetlinkError) -> String? {
        try stack.links().first { $0.vxlan?.identifier == vni && $0.vxlan?.port == port }?.name
    }
}
