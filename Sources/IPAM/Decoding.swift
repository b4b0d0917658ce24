internal import JSON
internal import NetworkTypes

/// A range as it is written, before its defaults are known.
struct RangeParts {
    let subnet: IPPrefix
    let start: IPAddress?
    let end: IPAddress?
    let gateway: IPAddress?
}

extension RangeParts {
    /// The range with its defaults.
    func range() throws(RangeFault) -> AddressRange {
        try AddressRange(subnet: subnet, start: start, end: end, gateway: gateway)
    }
}

extension Reader {
    /// The `subnet`, `rangeStart`, `rangeEnd` and `gateway` of the object here.
    func rangeParts() throws(JSON.DecodingError) -> RangeParts {
        guard let subnet = try member("subnet").network() else { throw error("subnet is missing") }
        return RangeParts(
            subnet: subnet, start: try member("rangeStart").address(), end: try member("rangeEnd").address(),
            gateway: try member("gateway").address())
    }

    /// One element of `routes`.
    func route() throws(JSON.DecodingError) -> Allocation.Route {
        guard let destination = try member("dst").network() else { throw error("dst is missing") }
        let scope = try member("scope").integer(in: 0...255)
        let gateway = try member("gw").address()
        if let gateway, gateway.family != destination.family {
            throw try member("gw").error("\(gateway) is of another family than \(destination)")
        }
        return Allocation.Route(
            destination: destination, gateway: gateway, mtu: try member("mtu").positive(),
            advertisedMSS: try member("advmss").positive(), priority: try member("priority").positive(),
            table: try member("table").number(), scope: scope.map { UInt8($0) })
    }

    /// `onDuplicate`, "error" when absent.
    func duplicatePolicy() throws(JSON.DecodingError) -> HostLocalConfiguration.DuplicatePolicy {
        let place = try member("onDuplicate")
        guard let text = try place.string() else { return .error }
        guard let policy = HostLocalConfiguration.DuplicatePolicy(rawValue: text) else {
            throw place.error("must be \"error\" or \"reuse\", not \"\(text)\"")
        }
        return policy
    }

    /// The address here; an empty string counts as absent.
    private func address() throws(JSON.DecodingError) -> IPAddress? {
        guard let text = try string(), !text.isEmpty else { return nil }
        guard let address = IPAddress(text) else { throw error("invalid IP address: \(text)") }
        return address
    }

    private func network() throws(JSON.DecodingError) -> IPPrefix? {
        guard let text = try string() else { return nil }
        guard let prefix = IPPrefix(text) else { throw error("invalid CIDR address: \(text)") }
        return prefix
    }

    private func number() throws(JSON.DecodingError) -> UInt32? {
        try integer(in: 0...Int64(UInt32.max)).map { UInt32($0) }
    }

    /// A number whose zero means that nothing is set.
    private func positive() throws(JSON.DecodingError) -> UInt32? {
        try number().flatMap { $0 == 0 ? nil : $0 }
    }
}
