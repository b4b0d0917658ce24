import Attachment
import CNI
import Control
import JSON
import Netlink
import NetworkTypes
import Overlay
import OverlayVXLANPlugin
import PluginKit
import System

/// Overlay namespaces, the VTEP filter and a daemon in memory, beside a ``FakeHost``. Every change counts in its kernel.
final class FakeOverlay: OverlayHost {
    let host: FakeHost
    /// The members let in by short id.
    var filters: [String: Set<IPAddress>] = [:]
    /// The endpoints the daemon knows, "container/interface".
    var endpoints: Set<String> = []
    /// Whether the daemon runs.
    var hasDaemon = true
    /// What the daemon was asked, "POST /v1/…", with the body.
    private(set) var questions: [(call: String, body: Value)] = []
    private var nextDescriptor: Int32 = 100

    init(_ host: FakeHost) { self.host = host }

    func lock(_ name: String, _ mode: FileLock.Mode) throws -> any HeldLock { try host.lock(name, mode) }

    func open(_ path: String) throws -> Container? {
        host.containers[path] == nil ? nil : try host.container(at: path)
    }

    func make(_ identity: NetworkIdentity) throws -> Container {
        try make(identity.namespacePath)
        return try host.container(at: identity.namespacePath)
    }

    func make(_ path: String) throws {
        if host.containers[path] != nil { return }
        try host.kernel.count("make namespace", path)
        nextDescriptor += 1
        host.containers[path] = nextDescriptor
        _ = host.kernel.stack(nextDescriptor)
    }

    func remove(_ name: String) throws {
        try host.kernel.count("remove namespace", name)
        let path = "\(OverlayNamespaces.usualDirectory)/\(name)"
        guard let descriptor = host.containers.removeValue(forKey: path) else { return }
        for link in host.kernel.namespaces[descriptor]?.links.keys.sorted() ?? [] {
            host.kernel.remove(link, in: descriptor)
        }
        host.kernel.namespaces[descriptor] = nil
    }

    func paths() throws -> [String] {
        host.containers.keys.filter { $0.hasPrefix(OverlayNamespaces.usualDirectory) }.sorted()
    }

    func holder(vni: UInt32, port: UInt16, except path: String) throws -> String? { nil }

    func setMembers(_ members: [IPAddress], _ identity: NetworkIdentity, vni: UInt32, port: UInt16) throws {
        if filters[identity.shortIdentifier] == Set(members) { return }
        try host.kernel.count("set members", identity.name)
        filters[identity.shortIdentifier] = Set(members)
    }

    func members(_ identity: NetworkIdentity) throws -> Set<IPAddress>? { filters[identity.shortIdentifier] }

    func filterDifference(
        _ identity: NetworkIdentity, vni: UInt32, port: UInt16, members: Set<IPAddress>
    ) throws -> String? {
        filters[identity.shortIdentifier] == members ? nil : "the packet filter differs"
    }

    func hasVXLAN() throws -> Bool { !host.kernel.lacking.contains("vxlan") }

    func removeMembers(shortIdentifier: String) throws {
        try host.kernel.count("remove members", shortIdentifier)
        filters[shortIdentifier] = nil
    }

    func askDaemon(_ socket: String?, _ method: String, _ target: String, _ body: Value) throws -> Value {
        try host.kernel.count("ask", "\(method) \(target)")
        questions.append(("\(method) \(target)", body))
        guard hasDaemon else { throw ControlError.unreachable("/run/x.sock", .connectionRefused) }
        let reader = Reader(body)
        let endpoint =
            "\(try reader.member("containerID").string() ?? "")/\(try reader.member("ifname").string() ?? "")"
        switch (method, target) {
        case ("POST", "/v1/overlay/prepare"): return try prepare(reader)
        case ("POST", "/v1/overlay/endpoints"):
            endpoints.insert(endpoint)
            return ["endpointID": "x", "acknowledged": 0, "peers": 0]
        case ("DELETE", _):
            guard try reader.member("keep").isPresent else {
                endpoints.remove(endpoint)
                return [:]
            }
            let kept = try reader.member("keep").elements().map { entry in
                "\(try entry.member("containerID").string() ?? "")/\(try entry.member("ifname").string() ?? "")"
            }
            endpoints = endpoints.filter { kept.contains($0) || $0.hasPrefix(HostAccess.containerID) }
            return [:]
        default: return [:]
        }
    }

    private func prepare(_ request: Reader) throws -> Value {
        let identity = NetworkIdentity(network: try request.member("network").string() ?? "")
        if host.containers[identity.namespacePath] == nil {
            let local = IPAddress(family: .ipv4, number: 0xC000_0201)
            try make(identity.namespacePath)
            let container = try host.container(at: identity.namespacePath)
            try OverlaySegment(vni: 5000, local: local, mtu: 1450).apply(
                host: host.hostStack(), overlay: container.stack, descriptor: container.descriptor)
        }
        return [
            "networkID": .string(identity.identifier), "vni": 5000, "port": 4789, "mtu": 1450,
            "namespace": .string(identity.namespacePath), "vtep": "192.0.2.1", "hostID": "1",
            "subnets": [["subnet": "10.1.2.0/24", "gateway": "10.1.2.1"]],
            "ranges": [
                [
                    [
                        "subnet": "10.1.2.0/24", "rangeStart": "10.1.2.64", "rangeEnd": "10.1.2.127",
                        "gateway": "10.1.2.1",
                    ]
                ]
            ], "exclude": ["10.1.2.70"],
        ]
    }

    /// Everything that must be as before after a failed ADD.
    struct World: Equatable {
        var host: FakeHost.World
        var paths: Set<String>
        var filters: [String: Set<IPAddress>]
        var endpoints: Set<String>
    }

    var world: World {
        World(host: host.world, paths: Set(host.containers.keys), filters: filters, endpoints: endpoints)
    }
}
