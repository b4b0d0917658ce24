internal import Cluster
internal import Gossip
internal import NetworkTypes

/// What the overlay's side of the daemon is told at its start.
struct ClusterSettings: Sendable {
    /// The cluster's name.
    var cluster: String
    /// The node's name.
    var name: String
    /// Where the others reach the gossip.
    var advertised: Endpoint
    /// Where frames are received.
    var bind: Endpoint
    /// The VTEP's address unless a network says otherwise; an interface may be given instead.
    var vtep: IPAddress?
    var vtepInterface: String?
    /// The nodes whose cluster is joined; with ourselves they decide on the first split of address blocks.
    var join: [Endpoint]
    /// The same by name: what they stand for may not be known yet.
    var joinNames: [PeerName] = []
    /// The hosts that share the blocks from the beginning, by name; empty to let the voters decide.
    var seeds: [String]
    /// Where networks that others announce are written for this host's runtimes; nil for nowhere.
    var adoptsInto: String?
    /// How long the rows of a host that failed are kept.
    var grace: UInt64 = ReplicaSettings().grace
    /// How long after the start nothing is removed from the kernel that the tables do not know.
    var settling: UInt64 = 30_000_000_000
    /// How often the kernel is held to the tables.
    var reconcileInterval: UInt64 = 30_000_000_000
    /// How long an ADD waits for an address block.
    var blockPatience: UInt64 = 2_000_000_000
    /// How long an ADD that was prepared may take.
    var preparationLimit: UInt64 = 120_000_000_000
}

/// A refusal of the control API: what was wrong, what helps, and the CNI error code.
struct ControlFault: Error, Sendable {
    let status: Int
    let error: String
    let remedy: String
    let code: Int

    init(_ status: Int, _ error: String, remedy: String = "", code: Int) {
        self.status = status
        self.error = error
        self.remedy = remedy
        self.code = code
    }
}
