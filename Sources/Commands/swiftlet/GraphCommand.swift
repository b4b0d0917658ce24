import ArgumentParser
import ClusterGraph
import JSON
import System

struct GraphCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "graph", abstract: "Draw the cluster: hosts, networks, containers.",
        discussion: "swiftlet graph --format svg >cluster.svg; or swiftlet graph | dot -Tpng >cluster.png")
    @OptionGroup var common: Common
    @Option(help: "dot, for Graphviz, or svg, which needs nothing.")
    var format = Format.dot

    enum Format: String, CaseIterable, ExpressibleByArgument {
        case dot
        case svg
    }

    func run() throws {
        try common.perform { client in
            let graph = try Self.graph(
                members: NetworkCatalogue.list(client.ask("GET", "/v1/members"), "members"),
                networks: NetworkCatalogue.list(client.ask("GET", "/v1/networks"), "networks"),
                endpoints: NetworkCatalogue.list(client.ask("GET", "/v1/endpoints"), "endpoints"))
            switch format {
            case .dot: print(ShownText.lines(graph.dot), terminator: "")
            case .svg: print(ShownText.lines(graph.svg), terminator: "")
            }
        }
    }

    private static func graph(members: [Value], networks: [Value], endpoints: [Value]) throws -> ClusterGraph {
        let hosts = try members.map { Reader($0) }.map { member in
            ClusterGraph.Host(
                name: try member.cell("name"), address: try member.cell("address"), status: try member.cell("status"))
        }
        let drawnNetworks = try networks.map { Reader($0) }.map { network in
            let subnets = try network.member("IPAM").member("Config").elements().map { try $0.cell("Subnet") }
            let vni = try network.member("VNI").integer().map { "VNI \($0)" }
            let isInternal = try network.member("Internal").bool() == true
            let words = [subnets.joined(separator: ", "), vni ?? "", isInternal ? "internal" : ""]
            return ClusterGraph.Network(
                name: try network.cell("Name"), caption: words.filter { !$0.isEmpty }.joined(separator: " · "))
        }
        let drawnEndpoints = try endpoints.map { Reader($0) }.map { endpoint in
            let container = try endpoint.cell("containerID")
            return ClusterGraph.Endpoint(
                host: try endpoint.cell("host"), network: try endpoint.cell("network"), container: container,
                name: try endpoint.member("names").strings().first ?? String(container.prefix(20)),
                addresses: try endpoint.member("addresses").strings(),
                isSuspended: try endpoint.cell("status") == "suspended")
        }
        return ClusterGraph(hosts: hosts, networks: drawnNetworks, endpoints: drawnEndpoints)
    }
}
