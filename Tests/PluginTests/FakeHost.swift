import Attachment
import CNI
import Netfilter
import Netlink
import NetworkTypes
import PluginKit
import System

/// A host in memory: fake namespaces, an address book instead of a delegate, locks that are always free.
final class FakeHost: HostSystem {
    let kernel = FakeKernel()
    /// Container paths with the descriptors of their namespaces.
    var containers: [String: Int32] = [:]
    /// What is allocated to whom.
    var allocations: [Attachment: CNIResult] = [:]
    /// The packet filter's content.
    let filter = FakeFilter.State()
    /// firewalld; nil when it does not run.
    var zones: FakeZones?
    /// Who listens on which port of the host.
    var holders: [UInt16: String] = [:]
    /// Connections the kernel was told to forget.
    var forgotten: [ConnectionMatch] = []
    /// What the delegate hands out next.
    var offer = CNIResult()

    func hostStack() throws -> any NetworkStack { kernel.stack(0) }

    func container(at path: String) throws -> Container {
        guard let descriptor = containers[path] else { throw NamespaceError(path: path, reason: .gone) }
        return Container(stack: kernel.stack(descriptor), descriptor: descriptor)
    }

    func lock(_ name: String, _ mode: FileLock.Mode) throws -> any HeldLock { FreeLock() }

    func allocateAddresses(_ request: Request) throws -> CNIResult {
        try kernel.count("allocate", request.attachment.containerID)
        if allocations[request.attachment] != nil {
            throw CNIError(CNIError.Code.internal, "duplicate allocation is not allowed")
        }
        allocations[request.attachment] = offer
        return offer
    }

    func releaseAddresses(_ request: Request) throws {
        try kernel.count("release", request.attachment.containerID)
        allocations[request.attachment] = nil
    }

    func checkAddresses(_ request: Request) throws {
        if allocations[request.attachment] == nil { throw CNIError(CNIError.Code.internal, "not allocated") }
    }

    func collectAddresses(_ request: Request) throws {
        guard let valid = try request.configuration.validAttachments().known else { return }
        let keep = Set(
            valid.map {
                Attachment(
                    network: request.configuration.name, containerID: $0.containerID, interfaceName: $0.interfaceName)
            })
        allocations = allocations.filter { keep.contains($0.key) }
    }

    func addressStatus(_ request: Request) throws {}

    func filtersVLANs() throws -> Bool { kernel.filtersVLANs }

    func packetFilter(_ choice: BackendChoice) throws -> any PacketFilter {
        FakeFilter(filter) { [kernel] in try kernel.count($0, $1) }
    }

    func removeFilterEntries(_ parts: FilterParts, of owner: FilterOwner, addresses: [IPAddress]) throws {
        if filter.rules[owner] != nil { try packetFilter(.automatic).remove(parts, of: owner) }
    }

    func collectFilterEntries(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws {
        try packetFilter(.automatic).collect(parts, network: network, keeping: owners)
    }

    func firewalld() throws -> (any FirewallZones)? { zones }

    func holder(of mapping: PortMapping) throws -> String? { holders[mapping.hostPort] }

    func forgetConnections(_ matches: [ConnectionMatch]) throws { forgotten += matches }

    func shapingGap(redirects: Bool) throws -> StepError? {
        try KernelHost.shapingGap(redirects: redirects, FakeKernel(lacking: kernel.lacking).stack(0))
    }

    /// Everything that must be as before after a failed ADD.
    struct World: Equatable {
        var namespaces: [Int32: FakeKernel.Namespace]
        var allocations: [Attachment: CNIResult]
        var rules: [FilterOwner: [FilterRule]]
        var sources: [String: Set<String>]
    }

    var world: World {
        World(
            namespaces: kernel.namespaces, allocations: allocations, rules: filter.rules,
            sources: (zones?.sources ?? [:]).filter { !$0.value.isEmpty })
    }
}

private final class FreeLock: HeldLock {
    func tryChange(to mode: FileLock.Mode) -> Bool { true }
    func change(to mode: FileLock.Mode) throws {}
}
