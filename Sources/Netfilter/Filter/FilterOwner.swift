internal import NetworkTypes

/// Whose a filter entry is: one container's interface on one network.
public struct FilterOwner: Hashable, Sendable, CustomStringConvertible {
    /// The network's name.
    public let network: String
    /// The container's id.
    public let containerID: String
    /// The interface's name inside the container.
    public let interfaceName: String

    /// Names an owner.
    public init(network: String, containerID: String, interfaceName: String) {
        self.network = network
        self.containerID = containerID
        self.interfaceName = interfaceName
        tag = Self.networkTag(network) + "-" + SHA512.hex("\(interfaceName):\(containerID)", length: 16)
    }

    /// What entries of all owners of a network begin with: 16 hexadecimal digits of the name's SHA-512.
    public static func networkTag(_ network: String) -> String { SHA512.hex(network, length: 16) }

    /// What tells this owner's entries: 16 digits for the network, "-", 16 for interface and container.
    ///
    /// The reference plugins hash the same texts for the comments of their masquerade rules.
    public let tag: String

    /// The comment of an entry: the tag and, for people, what it stands for. A long network's name is cut, so that the rest
    /// keeps within what `nft` allows.
    public var comment: String { "\(tag) \(network.prefix(60)) \(containerID.prefix(12))/\(interfaceName)" }

    /// The comment of what a network's attachments share.
    public static func networkComment(_ network: String) -> String { "\(networkTag(network)) \(network)" }

    /// Whether a comment is one of this owner's.
    public func owns(_ comment: String?) -> Bool { comment?.hasPrefix(tag) == true }

    /// Whether a comment is one of the same container's, on whichever network and interface.
    public func isOfSameContainer(_ comment: String?) -> Bool {
        guard let comment else { return false }
        let text = "\(Self.interface(comment)):\(containerID)"
        return comment.prefix { $0 != " " }.hasSuffix("-" + SHA512.hex(text, length: 16))
    }

    /// The interface's name that a comment ends with; empty when it has none.
    static func interface(_ comment: String?) -> String {
        guard let comment, let slash = comment.lastIndex(of: "/") else { return "" }
        return String(comment[comment.index(after: slash)...])
    }

    /// For error messages.
    public var description: String { "\(network) \(containerID.prefix(12))/\(interfaceName)" }
}
