internal import Glibc
internal import NetworkTypes
internal import System

/// Somebody with a UDP socket in a lab who sends what he likes.
public final class Attacker: Sendable {
    private let socket: OwnedFD

    /// Opens the socket at an address of the lab's host, any port.
    public init(in lab: Lab, at address: String) throws {
        guard let own = IPAddress(address) else { throw LabError("\(address) is no address") }
        let descriptor = try lab.inside {
            let descriptor = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw SystemError("open", "socket", .current) }
            guard unsafe SocketAddress(own, 0).withPointer({ unsafe bind(descriptor, $0, $1) }) == 0 else {
                throw SystemError("bind", address, .current)
            }
            return descriptor
        }
        socket = OwnedFD(owning: descriptor)
    }

    /// Sends one datagram.
    public func send(_ bytes: [UInt8], to address: String, port: UInt16 = 7946) throws {
        guard let target = IPAddress(address) else { throw LabError("\(address) is no address") }
        let descriptor = socket.rawValue
        let sent = unsafe SocketAddress(target, port).withPointer {
            unsafe sendto(descriptor, bytes, bytes.count, 0, $0, $1)
        }
        guard sent == bytes.count else { throw SystemError("send to", address, .current) }
    }

    /// The next datagram that comes, nil when none does for so many milliseconds.
    public func receive(within milliseconds: Int32) -> [UInt8]? {
        var wait = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&wait, 1, milliseconds) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe recv(socket.rawValue, &bytes, bytes.count, 0)
        return count >= 0 ? Array(bytes[..<count]) : nil
    }
}

/// Hears every UDP datagram that reaches an address of a lab's host: packets to replay.
public final class Eavesdropper: Sendable {
    private let socket: OwnedFD

    /// Begins to listen. The kernel keeps some hundred datagrams until ``datagrams(from:)`` takes them.
    public init(in lab: Lab) throws {
        socket = OwnedFD(
            owning: try lab.inside {
                let type = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
                let descriptor = Glibc.socket(AF_INET, type, Int32(IPPROTO_UDP))
                guard descriptor >= 0 else { throw SystemError("open", "raw socket", .current) }
                return descriptor
            })
    }

    /// What an address sent to a port since the last call, without the headers of IP and UDP.
    public func datagrams(from address: String, to port: UInt16 = 7946) -> [[UInt8]] {
        guard case .v4(let source) = IPAddress(address) else { return [] }
        var heard: [[UInt8]] = []
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe recv(socket.rawValue, &bytes, bytes.count, 0)
            guard count > 0 else { return heard }
            let header = Int(bytes[0] & 15) * 4
            let target = UInt16(bytes[header + 2]) << 8 | UInt16(bytes[header + 3])
            if count > header + 8, Array(bytes[12..<16]) == source.bytes, target == port {
                heard.append(Array(bytes[(header + 8)..<count]))
            }
        }
    }
}

extension Lab {
    /// Opens a TCP connection for each of the texts, writes it and closes; says how many were taken.
    public func pour(_ streams: [[UInt8]], into address: String, port: UInt16 = 7946) throws -> Int {
        guard let target = IPAddress(address) else { throw LabError("\(address) is no address") }
        return try inside {
            var taken = 0
            for bytes in streams {
                let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
                guard descriptor >= 0 else { throw SystemError("open", "socket", .current) }
                let owner = OwnedFD(owning: descriptor)
                let connected = unsafe SocketAddress(target, port).withPointer {
                    unsafe connect(owner.rawValue, $0, $1)
                }
                guard connected == 0 else { continue }
                _ = unsafe Glibc.send(owner.rawValue, bytes, bytes.count, Int32(MSG_NOSIGNAL))
                taken += 1
            }
            return taken
        }
    }
}
