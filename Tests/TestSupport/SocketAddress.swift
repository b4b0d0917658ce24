internal import Glibc
internal import NetworkTypes
internal import System

/// The bytes of a `sockaddr_in` or `sockaddr_in6`.
struct SocketAddress {
    private(set) var bytes: [UInt8]

    /// An address and port.
    init(_ address: IPAddress, _ port: UInt16) {
        let portBytes = [UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port)]
        switch address {
        case .v4(let v4): bytes = Self.family(AF_INET) + portBytes + v4.bytes + [UInt8](repeating: 0, count: 8)
        case .v6(let v6):
            bytes = Self.family(AF_INET6) + portBytes + [0, 0, 0, 0] + v6.bytes + [0, 0, 0, 0]
        }
    }

    /// What a system call filled in.
    init(bytes: [UInt8]) { self.bytes = bytes }

    private static func family(_ number: Int32) -> [UInt8] {
        unsafe withUnsafeBytes(of: sa_family_t(number)) { unsafe Array($0) }
    }

    /// The address as text; an IPv4 address on an IPv6 socket is written as IPv4.
    var text: String {
        let isV6 = bytes.starts(with: Self.family(AF_INET6))
        let part = isV6 ? bytes[8..<24] : bytes[4..<8]
        guard let address = IPAddress(bytes: part) else { return "?" }
        if case .v6(let v6) = address, let mapped = v6.mappedIPv4 { return "\(mapped)" }
        return "\(address)"
    }

    func withPointer<Value>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Value) -> Value? {
        unsafe bytes.withUnsafeBytes { raw in
            guard let start = raw.baseAddress else { return nil }
            return unsafe body(start.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
    }

    /// Has a system call fill in an address.
    static func filled(_ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int) -> (
        result: Int, address: SocketAddress
    ) {
        var bytes = [UInt8](repeating: 0, count: 128)
        var size = socklen_t(bytes.count)
        let result = unsafe bytes.withUnsafeMutableBytes { raw in
            guard let start = raw.baseAddress else { return -1 }
            return unsafe body(start.assumingMemoryBound(to: sockaddr.self), &size)
        }
        return (result, SocketAddress(bytes: bytes))
    }
}
