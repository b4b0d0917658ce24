public import NetworkTypes

/// An address and a port; memberlist uses the same number for UDP and TCP.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// The address; IPv4-mapped IPv6 is held as IPv4.
    public let address: IPAddress
    /// The port in host byte order.
    public let port: UInt16

    /// Makes an endpoint.
    public init(address: IPAddress, port: UInt16) {
        if case .v6(let long) = address, let short = long.mappedIPv4 {
            self.address = .v4(short)
        } else {
            self.address = address
        }
        self.port = port
    }

    /// `192.0.2.1:7946` or `[2001:db8::1]:7946`.
    public var description: String {
        address.family == .ipv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}
