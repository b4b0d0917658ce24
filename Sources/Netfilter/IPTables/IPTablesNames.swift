internal import NetworkTypes

/// The chains of the iptables back end. They are the reference plugins', so that either suite cleans up after the other.
enum IPTablesNames {
    static let forward = "CNI-FORWARD"
    static let isolation1 = "CNI-ISOLATION-STAGE-1"
    static let isolation2 = "CNI-ISOLATION-STAGE-2"
    static let hostPorts = "CNI-HOSTPORT-DNAT"
    static let setMark = "CNI-HOSTPORT-SETMARK"
    static let masquerade = "CNI-HOSTPORT-MASQ"
    /// The chains that all containers share.
    static let shared: Set<String> = [forward, isolation1, isolation2, hostPorts, setMark, masquerade]

    /// A container's masquerade chain on a network: `CNI-` and 24 digits.
    static func masqueradeChain(network: String, containerID: String) -> String {
        "CNI-" + SHA512.hex(network + containerID, length: 24)
    }

    /// A container's port chain on a network: `CNI-DN-` and 21 digits.
    static func portChain(network: String, containerID: String) -> String {
        "CNI-DN-" + SHA512.hex(network + containerID, length: 21)
    }

    /// The comment of a container's masquerade rules in the reference plugins.
    static func comment(network: String, containerID: String) -> String {
        "name: \"\(network)\" id: \"\(containerID)\""
    }

    /// The comment of a container's port entries, cut as the reference cuts it.
    static func portComment(network: String, containerID: String) -> String {
        let text = "dnat " + comment(network: network, containerID: containerID)
        return text.utf8.count <= 256 ? text : String(text.prefix(253)) + "..."
    }
}

extension FilterOwner {
    var masqueradeChain: String { IPTablesNames.masqueradeChain(network: network, containerID: containerID) }
    var portChain: String { IPTablesNames.portChain(network: network, containerID: containerID) }
    /// A container's attachments to one network share a chain; the comment tells their jumps to it. The usual first
    /// interface's is the reference's to the letter, so that its DEL finds the rule, too.
    var masqueradeComment: String {
        let usual = IPTablesNames.comment(network: network, containerID: containerID)
        let text = interfaceName == "eth0" ? usual : usual + " if: \"\(interfaceName)\""
        return text.utf8.count <= 255 ? text : comment
    }
    var portComment: String { IPTablesNames.portComment(network: network, containerID: containerID) }
}
