import Attachment
import JSON
import Netfilter
import Netlink
import NetworkTypes
import Overlay
import OverlayVXLANPlugin
import PluginKit
import System

/// The kernel's own overlay namespaces and VTEP filter under fault injection. The daemon is one in memory that does the
/// kernel's part as the real one does, and never fails by itself.
final class FaultyOverlay: OverlayHost {
    let injector: FaultInjector
    /// The endpoints the daemon knows, "container/interface".
    private(set) var endpoints: Set<String> = []
    private let real: KernelOverlayHost

    init(_ system: FaultyHost) {
        injector = system.injector
        real = KernelOverlayHost(system: system)
    }

    func lock(_ name: String, _ mode: FileLock.Mode) throws -> any HeldLock { try real.lock(name, mode) }
    func open(_ path: String) throws -> Container? { try real.open(path) }
    func paths() throws -> [String] { try real.paths() }

    func make(_ identity: NetworkIdentity) throws -> Container {
        if try real.open(identity.namespacePath) == nil { try injector.count("make namespace", identity.name) }
        return try real.make(identity)
    }

    func remove(_ name: String) throws {
        try injector.count("remove namespace", name)
        try real.remove(name)
    }

    func holder(vni: UInt32, port: UInt16, except path: String) throws -> String? {
        try real.holder(vni: vni, port: port, except: path)
    }

    func setMembers(_ members: [IPAddress], _ identity: NetworkIdentity, vni: UInt32, port: UInt16) throws {
        try injector.count("set members", identity.name)
        try real.setMembers(members, identity, vni: vni, port: port)
    }

    func members(_ identity: NetworkIdentity) throws -> Set<IPAddress>? { try real.members(identity) }

    func filterDifference(
        _ identity: NetworkIdentity, vni: UInt32, port: UInt16, members: Set<IPAddress>
    ) throws -> String? {
        try real.filterDifference(identity, vni: vni, port: port, members: members)
    }

    func hasVXLAN() throws -> Bool { try real.hasVXLAN() }

    func removeMembers(shortIdentifier: String) throws {
        try injector.count("remove members", shortIdentifier)
        try real.removeMembers(shortIdentifier: shortIdentifier)
    }

    func askDaemon(_ socket: String?, _ method: String, _ target: String, _ body: Value) throws -> Value {
        try injector.count("ask", "\(method) \(target)")
        let reader = Reader(body)
        let identity = NetworkIdentity(network: try reader.member("network").string() ?? "")
        let container = try reader.member("containerID").string() ?? ""
        let endpoint = "\(container)/\(try reader.member("ifname").string() ?? "")"
        switch (method, target) {
        case ("POST", "/v1/overlay/prepare"):
            try prepare(identity)
            return Self.answer(identity)
        case ("POST", "/v1/overlay/endpoints"): endpoints.insert(endpoint)
        case ("DELETE", _):
            try withdraw(reader, endpoint)
            try settle(identity)
        default: break
        }
        return ["endpointID": "x", "acknowledged": 0, "peers": 0]
    }

    private func withdraw(_ request: Reader, _ endpoint: String) throws {
        guard try request.member("keep").isPresent else {
            endpoints.remove(endpoint)
            return
        }
        let kept = try request.member("keep").elements().map { entry in
            "\(try entry.member("containerID").string() ?? "")/\(try entry.member("ifname").string() ?? "")"
        }
        endpoints = endpoints.filter { kept.contains($0) || $0.hasPrefix(HostAccess.containerID) }
    }

    private static let remote = IPAddress(family: .ipv4, number: 0x0A01_02C8)
    private static let vteps = (1...2).map { IPAddress(family: .ipv4, number: 0xC000_0200 + $0) }

    private func prepare(_ identity: NetworkIdentity) throws {
        let gateways = ["10.1.2.1/24", "2001:db8::1/64"].compactMap { IPPrefix($0) }
        let segment = OverlaySegment(vni: 5000, local: Self.vteps[0], mtu: 1450, gateways: gateways)
        let endpoint = RemoteEndpoint(
            addresses: [Self.remote], mac: NetworkIdentity.containerMAC(Self.remote), vtep: Self.vteps[1])
        try VTEPFilter().set(identity, vni: 5000, port: 4789, members: Self.vteps)
        try OverlayNetwork.prepare(identity, segment, host: RouteSession()).program(PeerEntries([endpoint]))
    }

    /// The daemon takes the network away when no container is left, whoever told it so.
    func settle(_ identity: NetworkIdentity) throws {
        guard try OverlayNetwork.remove(identity) else { return }
        try VTEPFilter().remove(identity)
        endpoints.remove("\(HostAccess.containerID)/\(HostAccess.portName)")
    }

    private static func answer(_ identity: NetworkIdentity) -> Value {
        func range(_ subnet: String, _ start: String, _ end: String, _ gateway: String) -> Value {
            [
                [
                    "subnet": .string(subnet), "rangeStart": .string(start), "rangeEnd": .string(end),
                    "gateway": .string(gateway),
                ]
            ]
        }
        return [
            "networkID": .string(identity.identifier), "vni": 5000, "port": 4789, "mtu": 1450,
            "namespace": .string(identity.namespacePath), "vtep": "192.0.2.1", "hostID": "1",
            "subnets": [
                ["subnet": "10.1.2.0/24", "gateway": "10.1.2.1"],
                ["subnet": "2001:db8::/64", "gateway": "2001:db8::1"],
            ],
            "ranges": [
                range("10.1.2.0/24", "10.1.2.64", "10.1.2.127", "10.1.2.1"),
                range("2001:db8::/64", "2001:db8::40", "2001:db8::7f", "2001:db8::1"),
            ], "exclude": [],
        ]
    }
}
