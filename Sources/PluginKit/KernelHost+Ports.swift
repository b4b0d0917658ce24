public import Netfilter

extension KernelHost {
    /// Looks for sockets of the host.
    public func holder(of mapping: PortMapping) throws -> String? { nil }
}
