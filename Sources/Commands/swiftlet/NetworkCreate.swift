public import ArgumentParser
import CNIRuntime
import JSON
import Netlink
public import NetworkTypes
public import Networks
import System

extension NetworkCommands {
    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Create a network as 'docker network create' does: a file for the runtimes, and word to the hosts.",
            discussion: """
                The list is written to 60-NAME.conflist, for podman, containerd, CRI-O, nerdctl or 'swiftlet cni'. An \
                overlay is announced to all hosts first; those whose daemon has adopt: true write the same list.

                Options for overlay: mtu, vni, port, multicast, gateway.bridge, gateway.interface; for \
                bridge: mtu, bridge, icc, ipMasq; Docker's com.docker.network.* names of the same.
                """)
        @OptionGroup var common: Common
        @OptionGroup var places: NetworkPlaces
        @Option(name: [.short, .long], help: "overlay or bridge.")
        var driver = NetworkDefinition.Driver.bridge
        @Option(help: "Subnet, ADDR/PREFIX; may be repeated (default: a free one).")
        var subnet: [IPPrefix] = []
        @Option(help: "Gateway of the subnet it lies in; may be repeated.")
        var gateway: [IPAddress] = []
        @Option(name: .customLong("ip-range"), help: "Hand out addresses of this part of the subnet; may be repeated.")
        var ranges: [IPPrefix] = []
        @Option(name: .customLong("aux-address"), help: "NAME=ADDR never to be handed out; may be repeated.")
        var auxiliary: [AuxiliaryAddress] = []
        @Flag(help: "No way out of the network.")
        var `internal` = false
        @Flag(
            name: .customLong("ipv6"), help: "Also a subnet of IPv6; a private one of its own unless --subnet has one.")
        var hasIPv6 = false
        @Option(name: [.customShort("o"), .customLong("opt")], help: "Driver option NAME=VALUE; may be repeated.")
        var options: [String] = []
        @Flag(help: "Only write the file; tell no daemon.")
        var noAnnounce = false
        @Argument(help: "The network's name.")
        var name: String

        func run() throws {
            try common.perform { client in
                let isAnnounced = driver == .overlay && !noAnnounce
                let definition = try self.definition(isAnnounced ? client : nil)
                let files = NetworkFiles(places.directory)
                var answer: Value = ["Name": .string(name)]
                if isAnnounced {
                    answer = try client.ask(
                        "POST", "/v1/networks",
                        ["network": .string(name), "definition": .object(try definition.document())])
                }
                do {
                    _ = try files.write(definition)
                } catch {
                    // Nobody shall be told of a network that is not here.
                    if isAnnounced { _ = try? client.ask("DELETE", ControlClient.path("/v1/networks", name)) }
                    throw error
                }
                try common.show(answer) { network in
                    let id = try network.cell("Id")
                    return id == "-" ? SHA512Name.id(name) : id
                }
            }
        }

        private func definition(_ client: ControlClient?) throws -> NetworkDefinition {
            var definition = NetworkDefinition(name: name, driver: driver, isInternal: `internal`)
            definition.subnets = subnet.map { NetworkDefinition.Subnet($0) }
            if !subnet.contains(where: { $0.family == .ipv4 }) {
                guard let free = SubnetPool.free(driver, used: try used(client)) else {
                    throw DefinitionFault("no subnet is free; choose one with --subnet")
                }
                definition.subnets.insert(NetworkDefinition.Subnet(free), at: 0)
            }
            if hasIPv6, !subnet.contains(where: { $0.family == .ipv6 }), let unique = SubnetPool.unique(for: name) {
                definition.subnets.append(NetworkDefinition.Subnet(unique))
            }
            try definition.place(
                gateways: gateway, ranges: ranges, auxiliary: auxiliary.map { ($0.name, $0.address) })
            for option in options {
                let halves = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                definition.options[String(halves[0])] = halves.count == 2 ? String(halves[1]) : ""
            }
            try definition.validate()
            try definition.refuseOverlap(with: networks(client))
            // What is there of a network that is created again is its own.
            if (try? places.directory.network(named: name)) == nil { try refuseOverlapWithHost(definition) }
            return definition
        }

        /// What a subnet that is chosen here must not overlap: other networks, and all routes of this host.
        private func used(_ client: ControlClient?) throws -> [IPPrefix] {
            let routes = SubnetPool.routes((try? Files.text("/proc/net/route")) ?? "")
            return try networks(client).map(\.prefix) + routes
        }

        /// The subnets of this host's other networks, and for an overlay of the cluster's.
        private func networks(_ client: ControlClient?) throws -> [SubnetUse] {
            var uses = try NetworkFiles(places.directory).subnetsInUse(except: name)
            guard let client else { return uses }
            for network in try NetworkCatalogue.list(client.ask("GET", "/v1/networks"), "networks") {
                let other = try Reader(network).cell("Name")
                if other == name { continue }
                for config in try Reader(network).member("IPAM").member("Config").elements() {
                    guard let prefix = IPPrefix(try config.cell("Subnet")) else { continue }
                    uses.append(SubnetUse(prefix, "network \(other) of the cluster"))
                }
            }
            return uses
        }

        /// `bridge` and `overlay-vxlan` look again at their first ADD: by then the host may use the subnet.
        private func refuseOverlapWithHost(_ definition: NetworkDefinition) throws {
            let occupied: OccupiedSubnets
            do {
                let host = try RouteSession()
                var own: Set<Int32> = []
                if let bridge = (try? definition.bridgeName()) ?? nil, let link = try host.link(named: bridge) {
                    own.insert(link.index)
                }
                occupied = try OccupiedSubnets(
                    host, families: Set(definition.subnets.map(\.prefix.family)), except: own)
            } catch {
                throw Refusal("this host's addresses and routes cannot be read: \(error)")
            }
            for subnet in definition.subnets {
                guard let occupant = occupied.occupant(of: subnet.prefix) else { continue }
                throw Refusal("subnet \(subnet.prefix) overlaps with \(occupant); choose another with --subnet")
            }
        }
    }
}

/// One `--aux-address`.
struct AuxiliaryAddress: ExpressibleByArgument, Sendable {
    let name: String
    let address: IPAddress

    init?(argument: String) {
        let halves = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2, !halves[0].isEmpty, let address = IPAddress(halves[1]) else { return nil }
        name = String(halves[0])
        self.address = address
    }
}

extension NetworkDefinition.Driver: ExpressibleByArgument {}

extension IPPrefix: ExpressibleByArgument {
    /// Reads `ADDR/PREFIX`.
    public init?(argument: String) { self.init(argument) }
}

extension IPAddress: ExpressibleByArgument {
    /// Reads an address.
    public init?(argument: String) { self.init(argument) }
}
