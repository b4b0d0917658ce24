import CNI
import GwbridgeNATPlugin
import Netlink
import NetworkTypes
import PluginKit
import System
import TestSupport
import Testing

/// Fail at step k, for every k, on the real kernel: what fails is as if it had not been tried, and what was to be removed
/// is by the next DEL, without harm to the container's other network.
@Suite(.enabled(if: FreshNamespace.isPermitted)) struct GwbridgeFaultTests {
    /// Both namespaces, the packet filter's entries of the container, and the files.
    struct World: Equatable {
        let host: KernelFaultTests.World
        let container: KernelFaultTests.World
        let entries: [String]
        let files: [String]

        init(_ lab: Place) throws {
            host = try KernelFaultTests.World(lab.outside)
            container = try KernelFaultTests.World(lab.inside)
            let rules = (try? command("nft list ruleset")) ?? ""
            entries = rules.split(whereSeparator: { ",\n".contains($0) }).map(String.init).filter {
                $0.contains(" c1/")
            }
            .sorted()
            files = ["gateway", "data/swiftlet-gwbridge"].flatMap { directory in
                ((try? Files.list("\(lab.directory)/\(directory)")) ?? []).filter {
                    $0 != "lock" && !$0.hasPrefix("last_reserved_ip")
                }
            }.sorted()
        }
    }

    /// A host with one container.
    struct Place {
        let outside: RouteSession
        let inside: RouteSession
        let sandbox: String
        let directory: String

        func plugin(_ system: FaultyHost) -> GwbridgeCommands { GwbridgeCommands(system: system, directory: directory) }
        func host() -> FaultyHost { FaultyHost(lockDirectory: "\(directory)/lock") }

        /// The request of one of two networks.
        func request(_ command: Command, _ network: Int, previous: CNIResult? = nil) throws -> Request {
            let ports = [
                #"{"hostPort":8080,"containerPort":80,"protocol":"udp"},{"hostPort":8081,"containerPort":81}"#,
                #"{"hostPort":8080,"containerPort":80,"protocol":"udp"},{"hostPort":8082,"containerPort":82,"protocol":"udp"}"#,
            ]
            let json = """
                {"cniVersion":"1.0.0","name":"net\(network)","type":"gwbridge-nat","interface":"gw0",
                "dataDir":"\(directory)/data","runtimeConfig":{"portMappings":[\(ports[network])]}}
                """
            return try PluginTests.request(
                command, json, netns: sandbox, interfaceName: "eth\(network)", previous: previous)
        }

        func add(_ network: Int, _ system: FaultyHost? = nil) throws -> CNIResult {
            try plugin(system ?? host()).add(request(.add, network))
        }

        func delete(_ network: Int, _ system: FaultyHost? = nil) throws {
            try plugin(system ?? host()).delete(request(.delete, network))
        }

        func check(_ network: Int, _ result: CNIResult) throws {
            try plugin(host()).check(request(.check, network, previous: result))
        }
    }

    static func inPlace(_ body: @escaping @Sendable (Place) throws -> Void) throws {
        let temporary = try TemporaryDirectory()
        for name in ["gateway", "lock", "data"] { try Files.makeDirectories(temporary.appending(name), mode: 0o700) }
        let directory = temporary.path
        try inFreshNamespace { _ in
            let container = try FreshNamespace()
            let lab = Place(
                outside: try RouteSession(), inside: try RouteSession(in: container.open()), sandbox: container.path,
                directory: directory)
            // The bridge, and what the packet filter has for all, stay.
            _ = try lab.add(0)
            try lab.delete(0)
            try body(lab)
        }
        withExtendedLifetime(temporary) {}
    }

    @Test(arguments: [0, 1]) func added(_ others: Int) throws {
        try Self.inPlace { lab in
            var step = 0
            while true {
                step += 1
                let kept = try (0..<others).map { try lab.add($0) }
                let before = try World(lab)
                let system = lab.host()
                system.injector.failingChange = step
                let outcome = Result { try lab.add(others, system) }
                let note = "step \(step): \(system.injector.log.prefix(step).suffix(2))"
                if case .failure(let error) = outcome {
                    try #require(system.injector.changes >= step, "\(note): \(error)")
                    #expect(try World(lab) == before, "\(note)")
                }
                for (index, result) in kept.enumerated() { try lab.check(index, result) }
                for index in 0...others { try lab.delete(index) }
                if case .success = outcome, system.injector.changes < step { break }
            }
            #expect(step > (others == 0 ? 6 : 2))
        }
    }

    @Test(arguments: [[0, 1], [1, 0]]) func removed(_ order: [Int]) throws {
        try Self.inPlace { lab in
            let start = try World(lab)
            // First the one whose use goes on to the other, then the last one.
            for (position, network) in order.enumerated() {
                var step = 0
                while true {
                    step += 1
                    let results = try [lab.add(0), lab.add(1)]
                    for earlier in order.prefix(position) { try lab.delete(earlier) }
                    let system = lab.host()
                    system.injector.failingChange = step
                    let outcome = Result { try lab.delete(network, system) }
                    let isOver = system.injector.changes < step
                    let note =
                        "\(order), DEL of \(network), step \(step): \(system.injector.log.prefix(step).suffix(2))"
                    if !isOver, case .success = outcome { Issue.record("\(note): a failure was kept quiet") }
                    try lab.delete(network)
                    for other in order.dropFirst(position + 1) {
                        do { try lab.check(other, results[other]) } catch { Issue.record("\(note): \(error)") }
                        try lab.delete(other)
                    }
                    #expect(try World(lab) == start, "\(note)")
                    if isOver { break }
                }
                #expect(step > 1)
            }
        }
    }
}
