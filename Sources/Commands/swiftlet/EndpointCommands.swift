import ArgumentParser
import JSON

struct EndpointCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "endpoint", abstract: "List the containers on the cluster's overlay networks.",
        subcommands: [List.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the endpoints of all networks, or of one.")
        @OptionGroup var common: Common
        @Option(help: "Only of this network.")
        var network: String?

        func run() throws {
            try common.perform { client in
                let path = ControlClient.path("/v1/endpoints", query: [("network", network)])
                let document = try client.ask("GET", path)
                try common.show(document) { _ in
                    var table = Table(
                        "NETWORK", "ADDRESSES", "MAC", "CONTAINER", "INTERFACE", "NAMES", "HOST", "STATUS")
                    for element in try NetworkCatalogue.list(document, "endpoints") {
                        let endpoint = Reader(element)
                        let names = try endpoint.member("names").strings() + endpoint.member("aliases").strings()
                        let addresses = try endpoint.member("addresses").strings()
                        table.add(
                            try endpoint.cell("network"), addresses.isEmpty ? "-" : addresses.joined(separator: ","),
                            try endpoint.cell("mac"), String(try endpoint.cell("containerID").prefix(30)),
                            try endpoint.cell("ifname"), names.isEmpty ? "-" : names.joined(separator: ","),
                            try endpoint.cell("host"), try endpoint.cell("status"))
                    }
                    return table.text
                }
            }
        }
    }
}
