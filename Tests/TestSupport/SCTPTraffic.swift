internal import Glibc
internal import NetworkTypes
internal import System

/// A server that answers every INIT on one port with an INIT ACK, whose cookie says "c1 10.1.2.3": its own name and the
/// client it sees. Made of raw sockets, so the kernel need not know SCTP.
public final class SCTPResponder: Sendable {
    private let thread: BackgroundThread
    private let stop: OwnedFD

    fileprivate init(_ name: String, _ port: UInt16, v4: consuming OwnedFD, v6: consuming OwnedFD) throws {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw SystemError("create", "pipe", .current) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        stop = OwnedFD(owning: ends[1])
        let sockets = Sockets(v4: RawSCTP(.ipv4, v4), v6: RawSCTP(.ipv6, v6), end: OwnedFD(owning: ends[0]))
        thread = try BackgroundThread { sockets.serve(name, port) }
    }

    deinit {
        let byte: [UInt8] = [0]
        _ = unsafe write(stop.rawValue, byte, 1)
    }

    private final class Sockets: Sendable {
        private let v4: RawSCTP
        private let v6: RawSCTP
        private let end: OwnedFD

        init(v4: RawSCTP, v6: RawSCTP, end: consuming OwnedFD) {
            (self.v4, self.v6) = (v4, v6)
            self.end = end
        }

        func serve(_ name: String, _ port: UInt16) {
            while true {
                var waits = [end.rawValue, v4.descriptor, v6.descriptor].map {
                    pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
                }
                _ = unsafe poll(&waits, nfds_t(waits.count), -1)
                if waits[0].revents != 0 { return }
                for (wait, socket) in zip(waits.dropFirst(), [v4, v6]) where wait.revents != 0 {
                    guard let (packet, peer) = socket.receive(), packet.kind == .initiation, packet.destination == port
                    else { continue }
                    var answer = SCTPPacket(.acknowledgement, from: port, to: packet.source, tag: 0x5357_4946)
                    answer.verificationTag = packet.tag
                    answer.cookie = Array("\(name) \(peer)".utf8)
                    socket.send(answer, to: peer)
                }
            }
        }
    }
}

/// A raw socket of IP protocol 132.
private final class RawSCTP: Sendable {
    private let family: AddressFamily
    private let file: OwnedFD
    var descriptor: Int32 { file.rawValue }

    init(_ family: AddressFamily, _ file: consuming OwnedFD) {
        self.family = family
        self.file = file
    }

    static func open(_ family: AddressFamily) throws -> Int32 {
        let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family == .ipv4 ? AF_INET : AF_INET6, type, 132)
        guard descriptor >= 0 else { throw SystemError("open", "raw socket", .current) }
        return descriptor
    }

    func send(_ packet: SCTPPacket, to address: IPAddress) {
        let bytes = packet.bytes
        let descriptor = descriptor
        // A raw socket's address has no port.
        _ = unsafe SocketAddress(address, 0).withPointer { unsafe sendto(descriptor, bytes, bytes.count, 0, $0, $1) }
    }

    func receive() -> (packet: SCTPPacket, peer: IPAddress)? {
        var input = [UInt8](repeating: 0, count: 2048)
        let descriptor = descriptor
        let (count, peer) = unsafe SocketAddress.filled { address, size in
            unsafe recvfrom(descriptor, &input, 2048, 0, address, size)
        }
        guard count > 0, let address = IPAddress(peer.text) else { return nil }
        // IPv4's raw sockets give the IP header, too.
        let header = family == .ipv4 ? Int(input[0] & 15) * 4 : 0
        guard header < count, let packet = SCTPPacket(input[header..<count]) else { return nil }
        return (packet, address)
    }
}

extension Lab {
    /// Starts a server on an SCTP port of the host or of a container, for both families.
    public func serveSCTP(_ place: String?, port: UInt16) throws -> SCTPResponder {
        let descriptors = try inside(place) { try [AddressFamily.ipv4, .ipv6].map { try RawSCTP.open($0) } }
        return try SCTPResponder(
            place ?? "host", port, v4: OwnedFD(owning: descriptors[0]), v6: OwnedFD(owning: descriptors[1]))
    }

    /// Sends INITs to a port until a well-formed INIT ACK comes back: from the address and port asked, to the client's own
    /// port and tag, with the right checksum.
    ///
    /// - Parameters:
    ///   - source: the client's port.
    ///   - timeout: milliseconds until the answer is given up.
    /// - Returns: "name address"; nil when there was no answer.
    public func askSCTP(
        _ address: String, _ port: UInt16, from place: String?, source: UInt16 = 40132, timeout: Int = 10_000
    ) throws -> String? {
        guard let target = IPAddress(address) else { throw LabError("\(address) is no address") }
        return try inside(place) {
            let socket = RawSCTP(target.family, OwnedFD(owning: try RawSCTP.open(target.family)))
            let packet = SCTPPacket(.initiation, from: source, to: port, tag: 0x636C_6900 | UInt32(source & 255))
            let deadline = monotonicNanoseconds() &+ UInt64(timeout) &* 1_000_000
            while monotonicNanoseconds() < deadline {
                socket.send(packet, to: target)
                var wait = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
                while unsafe poll(&wait, 1, 200) > 0 {
                    guard let (answer, peer) = socket.receive(), answer.kind == .acknowledgement, peer == target,
                        answer.source == port, answer.destination == source, answer.verificationTag == packet.tag
                    else { continue }
                    return String(decoding: answer.cookie, as: UTF8.self)
                }
            }
            return nil
        }
    }
}
