internal import CLinux
internal import Netlink
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

    /// Sends the frames of addresses by links of a namespace.
    static func send(
        _ entries: [IPAddress: MACAddress], by links: [Int32], in namespace: borrowing NetworkNamespace
    ) throws {
        if links.isEmpty { return }
        // A packet socket belongs to the namespace it was opened in. Protocol 0: it receives nothing.
        let descriptor = try namespace.run {
            let descriptor = CLinux.socket(AF_PACKET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw SystemError("open", "packet socket", .current) }
            return descriptor
        }
        let owner = OwnedFD(owning: descriptor)
        for (address, mac) in entries {
            let frame = NeighbourAnnouncement(address, mac).bytes
            for link in links {
                // A link that goes down or away has nobody to be told.
                _ = unsafe swiftlet_send_frame(owner.rawValue, link, frame, frame.count)
            }
        }
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

extension OverlayNetwork {
    /// Tells this host's containers, and the gateways on `br0`, that addresses have these MACs now. Nothing goes to other
    /// hosts. Containers keep what they once resolved for half a minute and more, and the neighbours of `vxlan0` answer only
    /// those who ask.
    ///
    /// - Parameter except: the host end of the container that has the addresses.
    public func announce(_ entries: [IPAddress: MACAddress], except: String? = nil) throws(OverlayError) {
        if entries.isEmpty { return }
        try OverlayError.wrapping {
            let links = try stack.links()
            guard let bridge = links.first(where: { $0.name == OverlaySegment.bridgeName }) else { return }
            // The gateway resolves anew. That it has none is what is usual.
            _ = stack.perform(
                entries.map { .removeNeighbour(Neighbour(link: bridge.index, address: $0.key, mac: $0.value)) })
            let ports = links.filter { $0.master == bridge.index && $0.kind == "veth" && $0.name != except }
            try NeighbourAnnouncement.send(entries, by: ports.map(\.index), in: namespace)
        }
    }
}
