import JSON
import NetworkTypes
import System

@testable import IPAM

/// A directory of its own under /tmp, removed with all it holds.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = "/tmp/swiftlet-ipam-" + String(UInt64.random(in: .min ... .max), radix: 16)
        try Files.makeDirectories(path, mode: 0o700)
    }

    deinit {
        _ = try? Spawn.run("/bin/rm", arguments: ["rm", "-rf", path], environment: Environment())
    }

    func host(_ network: String = "net") -> HostLocal { HostLocal(network: network, dataDirectory: path) }

    /// The network's files except the lock: name and content.
    func files(_ network: String = "net") throws -> [String: String] {
        var contents: [String: String] = [:]
        for name in try Files.list("\(path)/\(network)") where name != "lock" {
            contents[name] = try Files.text("\(path)/\(network)/\(name)")
        }
        return contents
    }

    /// The network's reservations: address and content.
    func reservations(_ network: String = "net") throws -> [String: String] {
        try files(network).filter { !$0.key.hasPrefix("last_reserved_ip.") }
    }

    func write(_ name: String, _ text: String, network: String = "net") throws {
        let directory = "\(path)/\(network)"
        try Files.makeDirectories(directory, mode: 0o755)
        try AtomicFile.replace("\(directory)/\(name)", with: Array(text.utf8), isDurable: false)
    }

    var index: String { "\(path)/.swiftlet/net.index" }
}

func parsed(_ json: String) throws -> Reader { Reader(try Value(parsing: Array(json.utf8))) }

func configuration(
    _ ipam: String, network: String = "net", runtimeConfig: String = "{}", args: String = "{}",
    requestedIP: String? = nil, version: String = "1.0.0"
) throws -> HostLocalConfiguration {
    try HostLocalConfiguration(
        network: network, ipam: Reader(try Value(parsing: Array(ipam.utf8)), path: "ipam"),
        runtimeConfig: Reader(try Value(parsing: Array(runtimeConfig.utf8)), path: "runtimeConfig"),
        args: Reader(try Value(parsing: Array(args.utf8)), path: "args"), requestedIP: requestedIP,
        allowsSeveralPerFamily: !["0.1.0", "0.2.0"].contains(version), versionText: version)
}

func owner(_ container: String, _ interface: String = "eth0") -> Owner {
    Owner(containerID: container, interfaceName: interface)
}

func address(_ text: String) throws -> IPAddress {
    guard let address = IPAddress(text) else { throw ParseFailure(text: text) }
    return address
}

func prefix(_ text: String) throws -> IPPrefix {
    guard let prefix = IPPrefix(text) else { throw ParseFailure(text: text) }
    return prefix
}

struct ParseFailure: Error { let text: String }

func range(_ subnet: String, _ start: String? = nil, _ end: String? = nil, gateway: String? = nil) throws
    -> AddressRange
{
    try AddressRange(
        subnet: prefix(subnet), start: start.map(address), end: end.map(address), gateway: gateway.map(address))
}

extension Allocation {
    /// The addresses as text.
    var texts: [String] { addresses.map(\.prefix.description) }
}

/// The text of what `body` throws.
func failure(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

/// A reproducible generator (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
