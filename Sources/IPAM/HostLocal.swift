public import JSON
public import NetworkTypes

/// The host-local address manager of one network: reservations are files that the reference plugin understands.
public struct HostLocal: Sendable {
    /// The network's name.
    public let network: String
    /// The directory of all networks' state, `ipam.dataDir`.
    public let dataDirectory: String

    /// Names a network's state; nothing is read or made.
    public init(network: String, dataDirectory: String) {
        self.network = network
        self.dataDirectory = dataDirectory
    }

    /// Where the state of the networks with this `ipam` object is; see ``HostLocalConfiguration/dataDirectory(of:)``.
    public static func dataDirectory(of ipam: Reader) throws(JSON.DecodingError) -> String {
        try HostLocalConfiguration.dataDirectory(of: ipam)
    }

    /// ADD: takes one address from each range set.
    public func allocate(_ configuration: HostLocalConfiguration, for owner: Owner) throws(IPAMError) -> Allocation {
        throw .notAvailable(reason: "not written yet")
    }

    /// DEL: gives back whatever the owner holds. An owner that holds nothing is no error.
    public func release(_ owner: Owner) throws(IPAMError) {
        throw .notAvailable(reason: "not written yet")
    }

    /// CHECK: something is reserved for the owner.
    public func check(_ owner: Owner) throws(IPAMError) {
        throw .notAvailable(reason: "not written yet")
    }

    /// CHECK: the addresses of the earlier result are the ones reserved for the owner.
    ///
    /// Addresses outside `rangeSets` are somebody else's and are passed over.
    public func check(_ owner: Owner, addresses: [IPAddress], within rangeSets: [RangeSet]) throws(IPAMError) {
        throw .notAvailable(reason: "not written yet")
    }

    /// GC: gives back every address whose owner is not in `valid`.
    public func collectGarbage(valid: Set<Owner>) throws(IPAMError) {
        throw .notAvailable(reason: "not written yet")
    }

    /// STATUS: whether an ADD would find an address and could record it.
    public func status(_ configuration: HostLocalConfiguration) throws(IPAMError) {
        throw .notAvailable(reason: "not written yet")
    }
}
