import CNI
import JSON
import NetworkTypes
import System

/// A request as the dispatcher would hand it to a plugin.
func request(
    _ command: Command, _ json: String, containerID: String = "c1", netns: String = "/run/netns/c1",
    interfaceName: String = "eth0", arguments: String = "", previous: CNIResult? = nil
) throws -> Request {
    var document = try Value(parsing: Array(json.utf8))
    if let previous, case .object(var object) = document {
        let version = SpecVersion(
            rawValue: object["cniVersion"].flatMap { if case .string(let text) = $0 { text } else { nil } } ?? "0.1.0")
        object["prevResult"] = try previous.document(version ?? .v0_1_0)
        document = .object(object)
    }
    // Without a result as it is written: repeated keys do not survive parsing.
    let bytes = previous == nil ? Array(json.utf8) : Array(document.text().utf8)
    let invocation = Invocation(
        command: command, containerID: containerID, netns: netns, interfaceName: interfaceName, arguments: arguments,
        path: ["/nonexistent"], environment: Environment(), input: bytes)
    return Request(invocation: invocation, configuration: try NetworkConfiguration(parsing: bytes))
}

/// What a delegate hands out: one IPv4 address, and one IPv6 address when asked for.
func offer(_ address: String = "10.1.2.5/24", ipv6: String? = nil, routes: [String] = []) -> CNIResult {
    var result = CNIResult()
    result.addresses = [address, ipv6].compactMap { $0 }.compactMap { IPPrefix($0) }.map { .init(address: $0) }
    result.routes = routes.compactMap { IPPrefix($0) }.map { .init(destination: $0) }
    return result
}
