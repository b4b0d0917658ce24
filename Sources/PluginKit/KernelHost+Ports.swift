public import Netfilter
internal import Netlink
internal import NetworkTypes
internal import System

extension KernelHost {
    /// Programs of container runtimes that keep a published port bound so that nobody else takes it; the mapping is what
    /// they keep it for.
    private static let reservers: Set<String> = ["conmon", "podman", "nerdctl", "rootlesskit"]

    /// Looks for a socket of the host that hears what the mapping would take, and for the process that has it. The
    /// runtime that calls us, and what holds ports for runtimes, do not count.
    public func holder(of mapping: PortMapping) throws -> String? {
        guard let transport = SocketTransport(rawValue: mapping.transport.rawValue) else { return nil }
        for socket in try SocketDiagnostics.listeners(port: mapping.hostPort, transport: transport) {
            let any = IPAddress(family: socket.address.family, number: 0)
            guard socket.hears(mapping.hostAddress ?? any) else { continue }
            let holders = try SocketHolder.holders(ofSocket: socket.inode)
            // A socket without a process is the kernel's own, such as a VXLAN's: it would lose its packets, too.
            if holders.isEmpty { return "a socket of the kernel or of another container runtime" }
            if let foreign = holders.first(where: { !$0.isAncestor && !Self.reservers.contains($0.command) }) {
                return "\(foreign)"
            }
        }
        return nil
    }
}
