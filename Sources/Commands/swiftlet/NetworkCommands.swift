import ArgumentParser
import CNI
import CNIRuntime
import JSON
import Netlink
import NetworkTypes
import Networks
import System

struct NetworkCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "network", abstract: "List, inspect, create and remove networks.",
        subcommands: [List.self, Inspect.self, Create.self, Adopt.self, Remove.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the networks of the cluster and of this host.")
        @OptionGroup var common: Common
        @OptionGroup var places: NetworkPlaces

        func run() throws {
            try common.perform { client in
                let catalogue = try NetworkCatalogue(client, places)
                if common.json { return say(Value.array(catalogue.entries.map(\.document))) }
                var table = Table("NAME", "ID", "DRIVER", "SCOPE", "SUBNETS", "CONTAINERS", "FILE")
                for entry in catalogue.entries {
                    let network = Reader(entry.document)
                    let subnets = try network.member("IPAM").member("Config").elements().map { try $0.cell("Subnet") }
                    table.add(
                        try network.cell("Name"), String(try network.cell("Id").prefix(12)),
                        try network.cell("Driver"), try network.cell("Scope"),
                        subnets.isEmpty ? "-" : subnets.joined(separator: ","),
                        "\(entry.containers)", entry.file ?? "-")
                }
                say(table.text)
            }
        }
    }

    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show networks as 'docker network inspect' does, with peers and address blocks.")
        @OptionGroup var common: Common
        @OptionGroup var places: NetworkPlaces
        @Argument(help: "The networks' names.") var names: [String]

        func run() throws {
            try common.perform { client in
                var found: [Value] = []
                for name in names { found.append(try NetworkCatalogue.network(name, client, places)) }
                say(Value.array(found))
            }
        }
    }

    struct Adopt: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write this host's file for networks that other hosts have announced.")
        @OptionGroup var common: Common
        @OptionGroup var places: NetworkPlaces
        @Argument(help: "The networks' names (default: all).") var names: [String] = []

        func run() throws {
            try common.perform { client in
                var wanted = names
                if wanted.isEmpty {
                    wanted = try NetworkCatalogue.list(client.ask("GET", "/v1/networks"), "networks").map {
                        try Reader($0).cell("Name")
                    }
                }
                for name in wanted {
                    let network = try client.ask("GET", ControlClient.path("/v1/networks", name))
                    let definition = try NetworkDefinition(inspected: Reader(network))
                    if try NetworkFiles(places.directory).adopt(definition) { say(name) }
                }
            }
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Remove networks from this host: announcement and file.")
        @OptionGroup var common: Common
        @OptionGroup var places: NetworkPlaces
        @Argument(help: "The networks' names.") var names: [String]

        func run() throws {
            try common.perform { client in
                for name in names {
                    let entry = try? places.directory.network(named: name)
                    let attached = entry == nil ? [] : ResultCache(places.cacheDir).attachments(of: name)
                    if let first = attached.first(where: { $0.netns.isEmpty || Files.exists($0.netns) }) {
                        throw Refusal(
                            "network \(name) has containers here (\(first.attachment.containerID)); detach them first")
                    }
                    var isKnown = false
                    // A network of this host alone is no business of the daemon's.
                    if entry == nil || entry.map(NetworkCatalogue.isOverlay) == true {
                        isKnown = try withdraw(name, client, isRequired: entry == nil)
                    }
                    let isRemoved = try NetworkFiles(places.directory).remove(name)
                    guard isKnown || isRemoved else { throw Refusal("no network \(name)") }
                    if isRemoved, let entry { removeBridge(of: entry) }
                    say(name)
                }
            }
        }

        /// The bridge that the network's containers were on keeps the subnet from being used again; one that has ports, or is
        /// another network's, too, stays.
        private func removeBridge(of entry: NetworkDirectory.Entry) {
            func bridge(_ list: NetworkList) -> String? {
                guard list.type(at: 0) == "bridge", case .string(let name)? = list.plugins[0]["bridge"] else {
                    return nil
                }
                return name
            }
            let others = (try? places.directory.networks().usable) ?? []
            guard let name = bridge(entry.list), !others.contains(where: { bridge($0.list) == name }) else { return }
            do {
                let host = try RouteSession()
                guard let link = try host.link(named: name), link.kind == "bridge",
                    try !host.links().contains(where: { $0.master == link.index })
                else { return }
                try host.deleteLink(index: link.index)
            } catch {
                complain("bridge \(name) stays: \(error)")
            }
        }

        private func withdraw(_ name: String, _ client: ControlClient, isRequired: Bool) throws -> Bool {
            do throws(ControlClient.Failure) {
                _ = try client.ask("DELETE", ControlClient.path("/v1/networks", name))
                return true
            } catch {
                if error.isUnknown { return false }
                guard error.isUnreachable, !isRequired else { throw error }
                throw Refusal("\(error) It must be told that \(name) goes.")
            }
        }
    }
}

/// Where this host's networks are.
struct NetworkPlaces: ParsableArguments {
    @Option(help: "Directory of networks.")
    var confDir = "/etc/cni/net.d"
    @Option(help: "Directory of the result cache.")
    var cacheDir = "/var/lib/cni"

    var directory: NetworkDirectory { NetworkDirectory(confDir) }
}

/// What is refused here, without the daemon.
struct Refusal: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
