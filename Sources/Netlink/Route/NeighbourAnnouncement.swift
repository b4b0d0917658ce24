internal import CLinux
public import NetworkTypes
internal import System

/// The frame by which whoever keeps a MAC for an address learns that it is another one now: a gratuitous ARP reply
/// (RFC 5227, 3) or an unsolicited neighbour advertisement with the override flag (RFC 4861, 7.2.6). Nobody who does not
/// keep one for the address makes an entry of it.
struct NeighbourAnnouncement: Equatable {
    let bytes: [UInt8]

    init(_ address: IPAddress, _ mac: MACAddress) {
        switch address {
        case .v4(let address): bytes = Self.reply(address.bytes, mac.bytes)
        case .v6(let address): bytes = Self.advertisement(address.bytes, mac.bytes)
        }
    }

    private static func reply(_ address: [UInt8], _ mac: [UInt8]) -> [UInt8] {
        let head: [UInt8] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2]
        return [UInt8](repeating: 0xFF, count: 6) + mac + head + mac + address + mac + address
    }

    private static func advertisement(_ address: [UInt8], _ mac: [UInt8]) -> [UInt8] {
        let everybody: [UInt8] = [0xFF, 0x02] + [UInt8](repeating: 0, count: 13) + [1]
        // Type 136, override; option 2 is the target's link-layer address, one unit of eight bytes.
        var message: [UInt8] = [136, 0, 0, 0, 0x20, 0, 0, 0] + address + [2, 1] + mac
        let length = UInt8(message.count)
        let sum = checksum(address + everybody + [0, 0, 0, length, 0, 0, 0, 58] + message)
        message[2] = UInt8(truncatingIfNeeded: sum >> 8)
        message[3] = UInt8(truncatingIfNeeded: sum)
        let head: [UInt8] = [0x86, 0xDD, 0x60, 0, 0, 0, 0, length, 58, 255]
        return [0x33, 0x33, 0, 0, 0, 1] + mac + head + address + everybody + message
    }

    /// The Internet checksum (RFC 1071) of an even number of bytes.
    private static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count - 1, by: 2) {
            sum += UInt32(bytes[index]) << 8 | UInt32(bytes[index + 1])
        }
        while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
        return ~UInt16(truncatingIfNeeded: sum)
    }
}

extension RouteSession {
    /// Announces by links that addresses have these MACs. Equivalent: `arping -A -c 1 -I LINK ADDRESS`.
    public func announce(_ entries: [IPAddress: MACAddress], by links: [Int32]) throws(NetlinkError) {
        if links.isEmpty || entries.isEmpty { return }
        let socket: OwnedFD
        do throws(SystemError) {
            socket = try packetSocket()
        } catch {
            throw NetlinkError(operation: error.operation, subject: error.subject, errno: error.errno)
        }
        for (address, mac) in entries {
            let frame = NeighbourAnnouncement(address, mac).bytes
            for link in links {
                // A link that goes down or away has nobody to be told.
                _ = unsafe swiftlet_send_frame(socket.rawValue, link, frame, frame.count)
            }
        }
    }

    /// A packet socket belongs to the namespace it was opened in.
    private func packetSocket() throws(SystemError) -> OwnedFD {
        @Sendable func open() throws -> Int32 {
            let descriptor = swiftlet_packet_socket()
            guard descriptor >= 0 else { throw SystemError("open", "packet socket", .current) }
            return descriptor
        }
        do {
            switch namespace {
            case .some(let namespace): return OwnedFD(owning: try namespace.run(open))
            case .none: return OwnedFD(owning: try open())
            }
        } catch {
            throw error as? SystemError ?? SystemError("open", "packet socket", .invalidArgument)
        }
    }
}
