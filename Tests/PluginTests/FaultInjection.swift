import Attachment
import CNI
import Netfilter
import Netlink
import NetworkTypes
import PluginKit
import System

/// Counts the changes asked of the kernel, and fails one of them before it reaches the kernel.
final class FaultInjector {
    /// The change that fails, counted from 1; nil for none.
    var failingChange: Int?
    /// The change from which on all fail, as if the plugin had been killed before it; nil for none.
    var killingChange: Int?
    private(set) var changes = 0
    private(set) var log: [String] = []

    /// Counts from the beginning.
    func restart() { (changes, log) = (0, []) }

    func count(_ operation: String, _ subject: String) throws(NetlinkError) {
        changes += 1
        log.append("\(operation) \(subject)")
        if changes == failingChange || changes >= killingChange ?? .max {
            throw NetlinkError(operation: operation, subject: subject, errno: .inputOutput, kernelMessage: "injected")
        }
    }

    func countParameter(_ key: String) throws(SystemError) {
        do { try count("set parameter", key) } catch { throw SystemError("write", key, .inputOutput) }
    }
}

/// A stack whose changes pass through a ``FaultInjector`` on their way to the real one.
final class FaultyStack: NetworkStack {
    let real: any NetworkStack
    let injector: FaultInjector

    init(_ real: any NetworkStack, _ injector: FaultInjector) {
        self.real = real
        self.injector = injector
    }

    func link(named name: String) throws(NetlinkError) -> Link? { try real.link(named: name) }
    func link(index: Int32) throws(NetlinkError) -> Link? { try real.link(index: index) }
    func summary(ofLink name: String) throws(NetlinkError) -> LinkSummary? { try real.summary(ofLink: name) }
    func forwards(_ family: AddressFamily) throws(NetlinkError) -> Bool { try real.forwards(family) }
    func links() throws(NetlinkError) -> [Link] { try real.links() }
    func vlans(port index: Int32) throws(NetlinkError) -> [PortVLAN] { try real.vlans(port: index) }
    func addresses(link index: Int32?) throws(NetlinkError) -> [InterfaceAddress] { try real.addresses(link: index) }
    func routes(family: AddressFamily) throws(NetlinkError) -> [Route] { try real.routes(family: family) }
    func parameter(_ key: String) throws(SystemError) -> String { try real.parameter(key) }

    func createLink(_ spec: LinkSpec) throws(NetlinkError) {
        try injector.count("create link", spec.name)
        try real.createLink(spec)
    }

    func changeLink(index: Int32, _ change: LinkChange) throws(NetlinkError) {
        try injector.count("change link", "\(index)")
        try real.changeLink(index: index, change)
    }

    func deleteLink(index: Int32) throws(NetlinkError) {
        try injector.count("delete link", "\(index)")
        try real.deleteLink(index: index)
    }

    func changePort(index: Int32, _ change: BridgePortChange) throws(NetlinkError) {
        try injector.count("change port", "\(index)")
        try real.changePort(index: index, change)
    }

    func addVLAN(_ vlan: PortVLAN, port index: Int32) throws(NetlinkError) {
        try injector.count("add VLAN", "\(vlan.identifier)")
        try real.addVLAN(vlan, port: index)
    }

    func removeVLAN(_ identifier: UInt16, port index: Int32) throws(NetlinkError) {
        try injector.count("remove VLAN", "\(identifier)")
        try real.removeVLAN(identifier, port: index)
    }

    func addAddress(_ address: InterfaceAddress) throws(NetlinkError) {
        try injector.count("add address", "\(address.prefix)")
        try real.addAddress(address)
    }

    func removeAddress(_ address: InterfaceAddress) throws(NetlinkError) {
        try injector.count("remove address", "\(address.prefix)")
        try real.removeAddress(address)
    }

    func addRoute(_ route: Route) throws(NetlinkError) {
        try injector.count("add route", "\(route.destination)")
        try real.addRoute(route)
    }

    func removeRoute(_ route: Route) throws(NetlinkError) {
        try injector.count("remove route", "\(route.destination)")
        try real.removeRoute(route)
    }

    func awaitLink(index: Int32, milliseconds: Int, until condition: (Link) -> Bool) throws(NetlinkError) -> Bool {
        try injector.count("await link", "\(index)")
        return try real.awaitLink(index: index, milliseconds: milliseconds, until: condition)
    }

    func awaitAddresses(link index: Int32, milliseconds: Int, until condition: ([InterfaceAddress]) -> Bool)
        throws(NetlinkError) -> Bool
    {
        try injector.count("await addresses", "\(index)")
        return try real.awaitAddresses(link: index, milliseconds: milliseconds, until: condition)
    }

    func setParameter(_ key: String, _ value: String) throws(SystemError) {
        try injector.countParameter(key)
        try real.setParameter(key, value)
    }

    func exchangeParameters(_ parameters: [(key: String, value: String)], passingOverFailures: Bool)
        throws(SystemError) -> [(key: String, value: String)]
    {
        try injector.countParameter(parameters.map(\.key).joined(separator: ", "))
        return try real.exchangeParameters(parameters, passingOverFailures: passingOverFailures)
    }

    func writeParameters(_ parameters: [(key: String, value: String)], passingOverFailures: Bool) throws(SystemError) {
        try injector.countParameter(parameters.map(\.key).joined(separator: ", "))
        try real.writeParameters(parameters, passingOverFailures: passingOverFailures)
    }
}

/// The kernel's own packet filter whose changes pass through a ``FaultInjector``.
final class FaultyFilter: PacketFilter {
    private let real: any PacketFilter
    private let injector: FaultInjector
    var name: String { real.name }

    init(_ real: any PacketFilter, _ injector: FaultInjector) {
        self.real = real
        self.injector = injector
    }

    private func count(_ operation: String, _ owner: FilterOwner) throws(NetfilterError) {
        do { try injector.count(operation, owner.containerID) } catch { throw .unavailable("injected") }
    }

    func add(_ rules: [FilterRule], for owner: FilterOwner) throws(NetfilterError) {
        try count("add rules", owner)
        try real.add(rules, for: owner)
    }

    func replacePorts(of owner: FilterOwner, by forward: PortForward) throws(NetfilterError) {
        try count("replace ports", owner)
        try real.replacePorts(of: owner, by: forward)
    }

    func remove(_ parts: FilterParts, of owner: FilterOwner) throws(NetfilterError) {
        try count("remove rules", owner)
        try real.remove(parts, of: owner)
    }

    func check(_ rules: [FilterRule], of owner: FilterOwner) throws(NetfilterError) {
        try real.check(rules, of: owner)
    }

    func collect(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws(NetfilterError) {
        try real.collect(parts, network: network, keeping: owners)
    }
}

/// The kernel's own network stack under fault injection; addresses come from memory.
final class FaultyHost: HostSystem {
    let injector = FaultInjector()
    var allocations: [Attachment: CNIResult] = [:]
    var offer = CNIResult()
    private let real: KernelHost

    init(lockDirectory: String) {
        real = KernelHost(lockDirectory: lockDirectory)
    }

    func hostStack() throws -> any NetworkStack { FaultyStack(try real.hostStack(), injector) }

    func container(at path: String) throws -> Container {
        let container = try real.container(at: path)
        return Container(
            stack: FaultyStack(container.stack, injector), descriptor: container.descriptor, owner: Keeper(container))
    }

    func lock(_ name: String, _ mode: FileLock.Mode) throws -> any HeldLock { try real.lock(name, mode) }

    func allocateAddresses(_ request: Request) throws -> CNIResult {
        try injector.count("allocate", request.attachment.containerID)
        allocations[request.attachment] = offer
        return offer
    }

    func releaseAddresses(_ request: Request) throws {
        try injector.count("release", request.attachment.containerID)
        allocations[request.attachment] = nil
    }

    func checkAddresses(_ request: Request) throws {}
    func collectAddresses(_ request: Request) throws {}
    func addressStatus(_ request: Request) throws {}
    func filtersVLANs() throws -> Bool { try real.filtersVLANs() }

    func packetFilter(_ choice: BackendChoice) throws -> any PacketFilter {
        FaultyFilter(try real.packetFilter(choice), injector)
    }

    func removeFilterEntries(_ parts: FilterParts, of owner: FilterOwner, addresses: [IPAddress]) throws {
        try injector.count("remove rules", owner.containerID)
        try real.removeFilterEntries(parts, of: owner, addresses: addresses)
    }

    func collectFilterEntries(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws {
        try injector.count("collect rules", network)
        try real.collectFilterEntries(parts, network: network, keeping: owners)
    }

    func firewalld() throws -> (any FirewallZones)? { nil }
    func holder(of mapping: PortMapping) throws -> String? { try real.holder(of: mapping) }

    func forgetConnections(_ matches: [ConnectionMatch]) throws {
        try injector.count("forget connections", "\(matches.count)")
        try real.forgetConnections(matches)
    }
    func shapingGap(redirects: Bool) throws -> StepError? { try real.shapingGap(redirects: redirects) }
}

/// Keeps a container's namespace open as long as its faulty stand-in lives.
private final class Keeper {
    private let container: Container
    init(_ container: Container) { self.container = container }
}
