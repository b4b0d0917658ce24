public import Gossip
internal import NetworkTypes

/// memberlist's usual port, for UDP and TCP.
public let defaultGossipPort: UInt16 = 7946

extension Endpoint {
    /// Reads `ADDRESS`, `IPV4:PORT`, `[IPV6]` or `[IPV6]:PORT`; without a port it is 7946.
    public init?(text: String) { self.init(text: text, defaultPort: defaultGossipPort) }

    /// Reads the same with another port for texts without one.
    init?(text: String, defaultPort: UInt16) {
        if let address = IPAddress(text) {
            self.init(address: address, port: defaultPort)
            return
        }
        if text.first == "[", text.last == "]" {
            guard case .v6(let address)? = IPAddress(text.dropFirst().dropLast()) else { return nil }
            self.init(address: .v6(address), port: defaultPort)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.first == "[", host.last == "]" {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard let address = IPAddress(host) else { return nil }
        self.init(address: address, port: port)
    }
}
