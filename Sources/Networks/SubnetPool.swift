public import NetworkTypes

/// The subnets that networks made without one are given, as Docker does: the first that overlaps nothing.
public enum SubnetPool {
    /// A free subnet of IPv4 for a driver: of 172.18.0.0/16 to 172.31.0.0/16 and 192.168.0.0/16 in /20 for bridges, of
    /// 10.0.0.0/8 in /24 for overlays.
    ///
    /// - Parameter used: what it must not overlap: other networks, the host's routes.
    /// - Returns: nil when all is taken.
    public static func free(_ driver: NetworkDefinition.Driver, used: [IPPrefix]) -> IPPrefix? {
        let taken = used.filter { $0.family == .ipv4 && $0.length > 0 }
        let pools: [(first: UInt32, count: UInt32, length: Int)]
        switch driver {
        case .bridge: pools = [(0xAC12_0000, 14, 16), (0xC0A8_0000, 16, 20)]
        // Docker's first is 10.0.0.0/24, which is a host's own network too often.
        case .overlay: pools = [(0x0A00_0100, 65535, 24)]
        }
        for pool in pools {
            for index in 0..<pool.count {
                let number = UInt128(pool.first + index << UInt32(32 - pool.length))
                let address = IPAddress(family: .ipv4, number: number)
                guard let prefix = IPPrefix(address, length: pool.length) else { continue }
                if !taken.contains(where: { $0.overlaps(prefix) }) { return prefix }
            }
        }
        return nil
    }

    /// A subnet of IPv6 for a network that is to have one: /64 of the private range fd00::/8 (RFC 4193), drawn from the
    /// network's name, so that all hosts draw the same.
    public static func unique(for name: String) -> IPPrefix? {
        let digest = SHA512.digest(Array("subnet/\(name)".utf8))
        return IPAddress(bytes: [0xFD] + digest.prefix(7) + [UInt8](repeating: 0, count: 8)).flatMap {
            IPPrefix($0, length: 64)
        }
    }

    /// The destinations of the host's routes of IPv4, from the text of `/proc/net/route`; default routes left out. All of
    /// them, also those a network of one's own choice may narrow: nothing is lost by choosing elsewhere.
    public static func routes(_ table: String) -> [IPPrefix] {
        table.utf8.split(separator: UInt8(ascii: "\n")).dropFirst().compactMap { line in
            let columns = line.split { [0x09, 0x20].contains($0) }
            guard columns.count > 7, let destination = UInt32(String(Substring(columns[1])), radix: 16),
                let mask = UInt32(String(Substring(columns[7])), radix: 16), mask != 0
            else { return nil }
            // The file has them as the machine keeps them in memory, in network order.
            let address = IPAddress(family: .ipv4, number: UInt128(UInt32(bigEndian: destination)))
            return IPPrefix(address, length: mask.nonzeroBitCount)
        }
    }
}
