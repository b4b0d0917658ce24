internal import Attachment
internal import NetworkTypes

/// A network as it is on this host when a container can be connected to it.
struct PreparedNetwork: Equatable {
    /// The overlay namespace's path.
    var path: String
    /// The network's MTU.
    var mtu: UInt32
    /// What this host may hand out.
    var pools: AddressPools
    /// What is never handed out.
    var exclusions: [IPPrefix]

    /// The overlay namespace's name, `1-<short id>`.
    var name: String { Self.name(ofPath: path) }

    /// The last part of a path.
    static func name(ofPath path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }
}

extension Place {
    /// A network's overlay namespace.
    static let segment = Place("overlay")
}
