import ArgumentParser
import CNI
import CNIRuntime
import JSON
import NetworkTypes
import System

extension CNIAttachment {
    /// cnitool's id: ten bytes of the path's SHA-512.
    static func defaultID(netns: String) -> String { "cnitool-\(SHA512.hex(netns, length: 20))" }
}

/// What the container is given beyond the network's configuration.
struct CNIWishes: ParsableArguments {
    @Option(help: "CNI_ARGS: KEY=VALUE[;KEY=VALUE...]; may be repeated.")
    var args: [String] = []
    @Option(help: "What the plugins are capable of and the runtime gives, as a JSON object.")
    var capability: String?
    @Option(help: "An address of one's own, ADDR[/PREFIX]; may be repeated.")
    var ip: [String] = []
    @Option(help: "A MAC address of one's own.")
    var mac: String?
    @Option(help: "A port to publish, [HOSTADDR:]HOSTPORT:PORT[/PROTOCOL]; may be repeated.")
    var publish: [Publication] = []
    @Option(help: "Another name of the container on the network; may be repeated.")
    var alias: [String] = []
    @Option(help: "The container's name.")
    var name: String?

    /// Translated for a list: by capability where a plugin has it, else by argument where there is one of that meaning.
    func wishes(for list: NetworkList) throws -> Runtime.Wishes {
        let environment = Environment.current()
        var wishes = Runtime.Wishes()
        var malformed: String?
        for text in [environment["CNI_ARGS"] ?? ""] + args {
            for pair in text.split(separator: ";") {
                let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if halves.count == 2, !halves[0].isEmpty {
                    wishes.arguments.append((String(halves[0]), String(halves[1])))
                } else {
                    malformed = malformed ?? String(pair)
                }
            }
        }
        let ignoring = wishes.arguments.last { $0.name == "IgnoreUnknown" }?.value.lowercased()
        if let malformed, !["1", "t", "true"].contains(ignoring) {
            throw ValidationError("--args or CNI_ARGS: '\(malformed)' is not KEY=VALUE")
        }
        for (place, text) in [("CAP_ARGS", environment["CAP_ARGS"]), ("--capability", capability)] {
            guard let text, !text.isEmpty else { continue }
            guard case .object(let object)? = try? Value(parsing: Array(text.utf8)) else {
                throw ValidationError("\(place): expected a JSON object")
            }
            for member in object.members { wishes.capabilities[member.key] = member.value }
        }
        var asArguments: [(name: String, value: String)] = []
        if !ip.isEmpty {
            if list.isCapable(of: "ips") {
                wishes.capabilities["ips"] = .array(ip.map { .string($0) })
            } else {
                asArguments.append(("IP", ip.map { $0.prefix { $0 != "/" } }.joined(separator: ",")))
            }
        }
        if let mac {
            if list.isCapable(of: "mac") {
                wishes.capabilities["mac"] = .string(mac)
            } else {
                asArguments.append(("MAC", mac))
            }
        }
        if let name { asArguments.append(("K8S_POD_NAME", name)) }
        if !asArguments.isEmpty {
            // A plugin that does not know a key may refuse it without this one.
            if !wishes.arguments.contains(where: { $0.name == "IgnoreUnknown" }) {
                wishes.arguments.insert(("IgnoreUnknown", "1"), at: 0)
            }
            wishes.arguments += asArguments
        }
        if !publish.isEmpty {
            try require("portMappings", "--publish", list)
            wishes.capabilities["portMappings"] = .array(publish.map(\.document))
        }
        if !alias.isEmpty {
            try require("aliases", "--alias", list)
            wishes.capabilities["aliases"] = .array(alias.map { .string($0) })
        }
        return wishes
    }

    private func require(_ capability: String, _ option: String, _ list: NetworkList) throws {
        if list.isCapable(of: capability) { return }
        throw CNIError(
            CNIError.Code.invalidConfiguration, "\(option): no plugin of network \(list.name) takes it",
            details: "one must say \"capabilities\": {\"\(capability)\": true}")
    }
}

/// A port of the host that leads to one of the container.
struct Publication: ExpressibleByArgument, Sendable {
    let hostAddress: String?
    let hostPort: UInt16
    let port: UInt16
    let transport: String

    /// Reads `[HOSTADDR:]HOSTPORT:PORT[/PROTOCOL]`, an IPv6 address in brackets.
    init?(argument: String) {
        let halves = argument.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        transport = halves.count == 2 ? String(halves[1]) : "tcp"
        var parts = halves[0].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 2, ["tcp", "udp", "sctp"].contains(transport), let port = UInt16(parts.removeLast()),
            let hostPort = UInt16(parts.removeLast()), port > 0
        else { return nil }
        self.port = port
        self.hostPort = hostPort
        var address = parts.joined(separator: ":")
        if address.hasPrefix("["), address.hasSuffix("]") { address = String(address.dropFirst().dropLast()) }
        if !parts.isEmpty, IPAddress(address) == nil { return nil }
        hostAddress = parts.isEmpty ? nil : address
    }

    var document: Value {
        var object = Object([
            ("hostPort", .integer(Int64(hostPort))), ("containerPort", .integer(Int64(port))),
            ("protocol", .string(transport)),
        ])
        if let hostAddress { object["hostIP"] = .string(hostAddress) }
        return .object(object)
    }
}
