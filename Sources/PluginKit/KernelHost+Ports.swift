public import Netfilter

extension KernelHost {
    public func holder(of mapping: PortMapping) throws -> String? { nil }
}
