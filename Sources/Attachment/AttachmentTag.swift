public import CNI
public import NetworkTypes

/// The short hash of an attachment that names and marks everything an ADD makes for it, so that DEL and GC find it
/// without a state file.
///
/// A host veth is called `veth`, four characters of the network's hash, seven of the attachment's: with a thousand
/// attachments on a host the chance of any two sharing a name is about 1 in 70 000, and the link's alias tells whose it
/// is.
public struct AttachmentTag: Hashable, Sendable {
    /// The attachment.
    public let attachment: Attachment
    /// The host veth's name, fifteen characters.
    public let linkName: String
    private let digest: [UInt8]

    /// The tag of an attachment.
    public init(_ attachment: Attachment) {
        self.attachment = attachment
        // "/" is in none of the three names, so different attachments give different texts.
        digest = SHA512.digest("\(attachment.network)/\(attachment.containerID)/\(attachment.interfaceName)".utf8)
        linkName = Self.linkNamePrefix(network: attachment.network) + Self.base32(digest, characters: 7)
    }

    /// The tag of an attachment that GC is told to keep.
    public init(network: String, _ entry: ValidAttachments.Entry) {
        self.init(Attachment(network: network, containerID: entry.containerID, interfaceName: entry.interfaceName))
    }

    /// What the host veth names of all attachments of a network begin with, eight characters.
    public static func linkNamePrefix(network: String) -> String {
        "veth" + base32(SHA512.digest(network.utf8), characters: 4)
    }

    /// What the host veth's alias says (`ip link` shows it): whose link this is, in full.
    ///
    /// The kernel keeps 255 bytes. A longer text keeps the hash instead of the container's id.
    public var alias: String {
        let text = "swiftlet \(attachment.network) \(attachment.containerID) \(attachment.interfaceName)"
        return text.utf8.count <= 255 ? text : "swiftlet - \(SHA512.hex(text, length: 64)) \(attachment.interfaceName)"
    }

    /// Whether an alias is this attachment's.
    public func owns(alias: String?) -> Bool { alias == self.alias }

    /// Whether an alias is some attachment's.
    public static func isOurs(alias: String?) -> Bool { alias?.hasPrefix("swiftlet ") == true }

    /// The network an alias of ours names; nil for other aliases and for shortened ones.
    public static func network(ofAlias alias: String?) -> String? {
        guard let parts = alias?.split(separator: " "), parts.count == 4, parts[0] == "swiftlet", parts[1] != "-" else {
            return nil
        }
        return String(parts[1])
    }

    /// The container end's MAC when none is asked for: the same for the same address on the same network, so that whoever
    /// gets the address is not hidden by its neighbours' entries of the one who had it before; without an address, the
    /// same for the same attachment.
    ///
    /// The kernel's announcement (`arp_notify`) comes before the bridge's port forwards, and reaches nobody.
    public func containerMAC(_ addresses: [CNIResult.Address]) -> MACAddress {
        guard let first = addresses.first else { return MACAddress(locallyAdministered: Self.number(digest, at: 16)) }
        let owner = SHA512.digest("\(attachment.network)/\(first.address.address)".utf8)
        return MACAddress(locallyAdministered: Self.number(owner, at: 16))
    }

    /// The host end's MAC.
    public var hostMAC: MACAddress { MACAddress(locallyAdministered: Self.number(digest, at: 24)) }

    private static func number(_ digest: [UInt8], at offset: Int) -> UInt64 {
        digest[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Lower-case base 32 (RFC 4648 alphabet) of the leading bits.
    private static func base32(_ bytes: [UInt8], characters: Int) -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
        let number = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        let text = (0..<characters).map { alphabet[Int(number >> UInt64(59 - 5 * $0) & 31)] }
        return String(decoding: text, as: UTF8.self)
    }
}
