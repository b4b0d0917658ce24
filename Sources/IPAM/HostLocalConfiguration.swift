public import JSON
public import NetworkTypes

/// The `ipam` object of a host-local network with everything a runtime may add to it, checked.
public struct HostLocalConfiguration: Sendable {
    /// What a second ADD of an owner that holds addresses already gets.
    public enum DuplicatePolicy: String, Sendable {
        /// An error, as the reference plugin answers.
        case error
        /// The same addresses again.
        case reuse
    }

    /// An address or network that is never handed out.
    public struct Exclusion: Equatable, Sendable {
        /// Whom it is kept for; nil when the configuration gives no name.
        public let name: String?
        /// The addresses.
        public let network: IPPrefix
    }

    /// Where state is kept when the configuration does not say.
    public static let defaultDataDirectory = "/var/lib/cni/networks"

    /// The network's name.
    public let network: String
    /// The pools, one address is taken from each: `runtimeConfig.ipRanges`, then the range written directly into
    /// `ipam`, then `ipam.ranges`. A set's position names its `last_reserved_ip` file.
    public let rangeSets: [RangeSet]
    /// Addresses the caller wants: of `CNI_ARGS`, then `args.cni.ips`, then `runtimeConfig.ips`; each once, none that no
    /// host can have.
    public let requestedAddresses: [IPAddress]
    /// `ipam.routes`.
    public let routes: [Allocation.Route]
    /// `ipam.dataDir`.
    public let dataDirectory: String
    /// `ipam.resolvConf`: a file in the format of resolv.conf(5).
    public let resolvConf: String?
    /// `ipam.exclude`.
    public let exclusions: [Exclusion]
    /// `ipam.onDuplicate`.
    public let duplicatePolicy: DuplicatePolicy

    /// Reads and checks a configuration.
    ///
    /// - Parameters:
    ///   - ipam: the `ipam` object.
    ///   - runtimeConfig: the `runtimeConfig` object, for `ipRanges` and `ips`.
    ///   - args: the `args` object, for `cni.ips`.
    ///   - requestedIP: `IP` of `CNI_ARGS`, with or without prefix length.
    ///   - allowsSeveralPerFamily: false below version 0.3.0, whose results hold one address of each family.
    ///   - versionText: the configuration's version, for that error.
    /// - Throws: the first fault with its place, or in the reference plugin's words where it has any.
    public init(
        network: String, ipam: Reader, runtimeConfig: Reader, args: Reader, requestedIP: String?,
        allowsSeveralPerFamily: Bool, versionText: String
    ) throws(JSON.DecodingError) {
        guard try ipam.object() != nil else {
            throw ipam.error("IPAM config missing 'ipam' key", verbatim: true)
        }
        self.network = network
        dataDirectory = try Self.dataDirectory(of: ipam)
        resolvConf = try ipam.member("resolvConf").string().flatMap { $0.isEmpty ? nil : $0 }
        duplicatePolicy = try ipam.duplicatePolicy()
        routes = try Self.each(ipam.member("routes").elements()) { (element) throws(JSON.DecodingError) in
            try element.route()
        }
        let sets = try Self.rangeSets(ipam, runtimeConfig)
        try Self.check(sets, ipam, allowsSeveralPerFamily, versionText)
        requestedAddresses = try RequestedAddresses.parse(
            argument: requestedIP, args: args, runtimeConfig: runtimeConfig,
            subnets: sets.flatMap { $0.ranges.map(\.subnet) })
        rangeSets = sets
        exclusions = try Self.exclusions(ipam.member("exclude"), sets)
    }

    /// Where the state of the networks with this `ipam` object is, read without looking at anything else: DEL must find
    /// it although the configuration has become invalid.
    ///
    /// - Throws: when `dataDir` is no string.
    public static func dataDirectory(of ipam: Reader) throws(JSON.DecodingError) -> String {
        guard let path = try ipam.member("dataDir").string(), !path.isEmpty else { return defaultDataDirectory }
        return path
    }

    private static func each<Element>(
        _ readers: [Reader], _ body: (Reader) throws(JSON.DecodingError) -> Element
    ) throws(JSON.DecodingError) -> [Element] {
        var elements: [Element] = []
        for reader in readers { elements.append(try body(reader)) }
        return elements
    }

    private static func rangeSets(_ ipam: Reader, _ runtimeConfig: Reader) throws(JSON.DecodingError) -> [RangeSet] {
        var places = try runtimeConfig.member("ipRanges").elements().map { ($0, isLegacy: false) }
        if try ipam.member("subnet").string() != nil { places.append((ipam, isLegacy: true)) }
        places += try ipam.member("ranges").elements().map { ($0, isLegacy: false) }
        guard !places.isEmpty else { throw ipam.error("no IP ranges specified", verbatim: true) }
        var sets: [RangeSet] = []
        for (index, place) in places.enumerated() {
            let readers = place.isLegacy ? [place.0] : try place.0.elements()
            func named(_ fault: RangeFault) -> JSON.DecodingError {
                place.0.error("invalid range set \(index): \(fault)", verbatim: true)
            }
            let ranges = try each(readers) { (reader) throws(JSON.DecodingError) in
                let parts = try reader.rangeParts()
                do throws(RangeFault) {
                    return try parts.range()
                } catch {
                    guard let key = error.key else { throw named(error) }
                    throw try reader.member(key).error(error.description)
                }
            }
            do throws(RangeFault) { sets.append(try RangeSet(ranges)) } catch { throw named(error) }
        }
        return sets
    }

    private static func check(
        _ sets: [RangeSet], _ ipam: Reader, _ allowsSeveralPerFamily: Bool, _ versionText: String
    ) throws(JSON.DecodingError) {
        let families = sets.map(\.family)
        if !allowsSeveralPerFamily, Set(families).count < families.count {
            throw ipam.error(
                "CNI version \(versionText) does not support more than 1 address per family", verbatim: true)
        }
        for (index, one) in sets.enumerated() {
            for other in sets.indices.dropFirst(index + 1) where one.overlaps(sets[other]) {
                throw ipam.error("range set \(index) overlaps with \(other)", verbatim: true)
            }
        }
    }

    private static func exclusions(_ reader: Reader, _ sets: [RangeSet]) throws(JSON.DecodingError) -> [Exclusion] {
        var named: [(name: String?, reader: Reader)] = []
        if case .object(let object)? = reader.value {
            named = object.members.map { ($0.key, Reader($0.value, path: "\(reader.path).\($0.key)")) }
        } else {
            named = try reader.elements().map { (nil, $0) }
        }
        return try named.map { (name, reader) throws(JSON.DecodingError) in
            guard let text = try reader.string() else {
                throw reader.error("expected an address or a network, found nothing", kind: .type)
            }
            guard let network = IPAddress(text).map(IPPrefix.init(host:)) ?? IPPrefix(text) else {
                throw reader.error("\"\(text)\" is neither an IP address nor a network in CIDR notation")
            }
            guard network == network.network else {
                throw reader.error("\(network) has host bits set; the network is \(network.network)")
            }
            // The subnet counts, not only the range inside it: a router's address usually lies just beside the range.
            guard sets.contains(where: { $0.ranges.contains { $0.subnet.overlaps(network) } }) else {
                throw reader.error("\(text) lies in none of the ranges' subnets")
            }
            return Exclusion(name: name, network: network)
        }
    }
}
