internal import Glibc
internal import Gossip
internal import NetworkTypes

/// A node to join that is given by its host name: who that is, is asked anew at every attempt.
public struct PeerName: Hashable, Sendable, CustomStringConvertible {
    /// The host's name.
    public let host: String
    /// The port of its gossip.
    public let port: UInt16

    /// Reads `HOST` or `HOST:PORT`; without a port it is 7946. Nil for addresses and for what no host can be called.
    public init?(text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let host = parts.first.map(String.init), (1...253).contains(host.utf8.count), IPAddress(host) == nil,
            host.utf8.allSatisfy({ Self.isPartOfName($0) }), host.utf8.contains(where: { Self.isLetter($0) }),
            host.utf8.first != UInt8(ascii: "-")
        else { return nil }
        if parts.count > 1 {
            guard let port = UInt16(parts[1]), port > 0 else { return nil }
            self.port = port
        } else {
            port = defaultGossipPort
        }
        self.host = host
    }

    /// `HOST:PORT`.
    public var description: String { "\(host):\(port)" }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isPartOfName(_ byte: UInt8) -> Bool {
        isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
    }

    /// Asks the system's resolver (getaddrinfo(3): hosts file, DNS), which may take many seconds: not for an event loop.
    ///
    /// - Throws: ``StartFault`` in the resolver's words.
    func resolve() throws(StartFault) -> [Endpoint] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, nil, &hints, &first)
        guard result == 0 else {
            throw StartFault("\(host): \(unsafe gai_strerror(result).map { unsafe String(cString: $0) } ?? "unknown")")
        }
        defer { unsafe freeaddrinfo(first) }
        var endpoints: [Endpoint] = []
        var next = unsafe first
        while let entry = unsafe next {
            unsafe next = entry.pointee.ai_next
            guard let address = unsafe entry.pointee.ai_addr else { continue }
            // The address lies at offset 4 of a sockaddr_in and at offset 8 of a sockaddr_in6 (netinet/in.h).
            let place = unsafe entry.pointee.ai_family == AF_INET6 ? 8..<24 : 4..<8
            let bytes = unsafe Array(
                UnsafeRawBufferPointer(start: address, count: Int(entry.pointee.ai_addrlen))[place])
            if let address = IPAddress(bytes: bytes) { endpoints.append(Endpoint(address: address, port: port)) }
        }
        return endpoints
    }
}
